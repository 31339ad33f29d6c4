"""``make bench``: the measurements of ``docs/performance.md``, as Markdown."""

import argparse
from collections.abc import Callable

from benchmarks import engines, first_run, growth, orchestration, timing, year

PARTS = ("engines", "year", "years", "people", "resources", "orchestration", "first_run")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--scale", type=float, default=1, help="1 is the country (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each, after one warm-up (default: 5)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; expected {', '.join(PARTS)}")
    scale, rounds = arguments.scale, arguments.rounds
    reports: dict[str, Callable[[], str]] = {
        "engines": lambda: engines.report(scale, rounds),
        "year": lambda: year.report(scale, max(rounds // 2, 1)),
        "years": lambda: growth.by_years(scale / 10),
        "people": lambda: growth.by_people([people * scale for people in growth.PEOPLE]),
        "resources": lambda: growth.by_resources(scale),
        "orchestration": lambda: orchestration.report(),
        "first_run": lambda: first_run.report(),
    }
    print(f"Scale {scale:g} (1 is the country). {timing.machine()}.", flush=True)
    for part in arguments.parts or PARTS:
        print(f"\n## {part}\n\n{reports[part]()}", flush=True)


if __name__ == "__main__":
    main()
