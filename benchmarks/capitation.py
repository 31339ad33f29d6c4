"""What registrations, houses, contributions and their checks add to a year, from its deliveries to its release.

Builds one year through Dagster, a few times, and reads the seconds of each step from the event log. Everything in
``STEPS`` counts as added, though FF_MH is made from the registrations and would need most of that step without them: the
share is an upper bound.
"""

import argparse
import statistics

import dagster as dg

from benchmarks.__main__ import DATA, YEAR, deliver
from mm_pipeline.automation import YEARLY_JOB
from mm_pipeline.definitions import build_definitions
from mm_pipeline.settings import Settings

STEPS = {
    "registrations",
    "registrations_checks",
    "houses",
    "houses_checks",
    "forfaits_per_patient_checks",
    "raw_contributions",
    "raw_contributions_checks",
}


def seconds_of_steps(settings: Settings) -> dict[str, float]:
    """Build the year; the seconds of each step."""
    job = build_definitions(settings=settings).resolve_job_def(YEARLY_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        run = job.execute_in_process(partition_key=str(YEAR), instance=instance, run_config=quiet)
    return {
        event.step_key: event.step_success_data.duration_ms / 1000
        for event in run.all_events
        if event.is_step_success and event.step_key
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capitation", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is the country (default: 0.1)")
    parser.add_argument("--rounds", type=int, default=3, help="builds of the year, after one warm-up (default: 3)")
    arguments = parser.parse_args()
    settings = Settings(data_dir=DATA / f"{arguments.scale:g}", id_key="benchmark")
    deliver(settings, arguments.scale)
    seconds_of_steps(settings)
    rounds = [seconds_of_steps(settings) for _ in range(arguments.rounds)]
    missing = STEPS - rounds[0].keys()
    if missing:
        raise SystemExit(f"no such step: {', '.join(sorted(missing))}")
    median = {step: statistics.median(each[step] for each in rounds) for step in rounds[0]}
    for step, seconds in sorted(median.items(), key=lambda item: -item[1]):
        print(f"{step:32} {seconds:7.2f} s{'   added' if step in STEPS else ''}")
    added = sum(median[step] for step in STEPS)
    rest = sum(median.values()) - added
    print(f"{'all others':32} {rest:7.2f} s")
    print(f"{'added':32} {added:7.2f} s, {100 * added / rest:.1f} % of the others")


if __name__ == "__main__":
    main()
