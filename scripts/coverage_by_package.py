"""Print how much of each subpackage the tests run, by lines and branches; fail below the floor of pyproject.toml.

Reads the ``.coverage`` that ``.ci/run`` leaves: ``python scripts/coverage_by_package.py``.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def counts_of_packages(report: dict) -> dict[str, Counter[str]]:
    """Counts of coverage, summed over the files of each subpackage; "(root)" has the loose modules."""
    packages: dict[str, Counter[str]] = {}
    for name, file in sorted(report["files"].items()):
        parts = Path(name).parts
        package = parts[1] if len(parts) > 2 else "(root)"
        packages.setdefault(package, Counter()).update({what: file["summary"][what] for what in COUNTED})
    return packages


def percent(counts: Counter[str]) -> float:
    """Percentage of covered lines and branches, as coverage computes it."""
    return (
        100
        * (counts["covered_lines"] + counts["covered_branches"])
        / (counts["num_statements"] + counts["num_branches"])
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        done = subprocess.run([sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(path)], check=False)
        report = json.loads(path.read_text(encoding="utf-8"))
    packages = counts_of_packages(report)
    for package, counts in [*packages.items(), ("all", sum(packages.values(), Counter()))]:
        print(
            f"{package:12} {percent(counts):5.1f} %   {counts['num_statements']:6} lines {counts['num_branches']:6} branches"
        )
    return done.returncode  # 2: below the floor


if __name__ == "__main__":
    sys.exit(main())
