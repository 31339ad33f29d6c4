"""What registrations, houses, contributions and their checks add to a year, from its deliveries to its release.

Builds one year through Dagster, a few times, and reads the seconds of each step from the event log. Everything in
``STEPS`` counts as added, though FF_MH is made from the registrations and would need most of that step without them: the
share is an upper bound.
"""

import argparse

from benchmarks.material import deliver, settings_at
from benchmarks.year import seconds_of_steps

STEPS = {
    "registrations",
    "registrations_checks",
    "houses",
    "houses_checks",
    "forfaits_per_patient_checks",
    "raw_contributions",
    "raw_contributions_checks",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capitation", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is the country (default: 0.1)")
    parser.add_argument("--rounds", type=int, default=3, help="builds of the year, after one warm-up (default: 3)")
    arguments = parser.parse_args()
    settings = settings_at(arguments.scale)
    deliver(settings, arguments.scale)
    median = seconds_of_steps(settings, arguments.rounds)
    if missing := STEPS - median.keys():
        raise SystemExit(f"no such step: {', '.join(sorted(missing))}")
    for step, seconds in sorted(median.items(), key=lambda item: -item[1]):
        print(f"{step:32} {seconds:7.2f} s{'   added' if step in STEPS else ''}")
    added = sum(median[step] for step in STEPS)
    rest = sum(median.values()) - added
    print(f"{'all others':32} {rest:7.2f} s")
    print(f"{'added':32} {added:7.2f} s, {100 * added / rest:.1f} % of the others")


if __name__ == "__main__":
    main()
