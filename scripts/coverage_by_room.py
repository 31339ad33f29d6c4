"""Print how much of each room of the package the tests run, by lines and branches; fail below the floor of pyproject.toml.

Reads the ``.coverage`` that ``.ci/run`` leaves: ``python scripts/coverage_by_room.py``.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def counts_of_rooms(report: dict) -> dict[str, Counter[str]]:
    """Folder of the package, or the root for its loose modules -> what coverage counts, added up over the files."""
    rooms: dict[str, Counter[str]] = {}
    for name, file in sorted(report["files"].items()):
        parts = Path(name).parts
        room = parts[1] if len(parts) > 2 else "(root)"
        rooms.setdefault(room, Counter()).update({what: file["summary"][what] for what in COUNTED})
    return rooms


def percent(counts: Counter[str]) -> float:
    """As coverage has it: covered lines and branches of all lines and branches."""
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
    rooms = counts_of_rooms(report)
    for room, counts in [*rooms.items(), ("all", sum(rooms.values(), Counter()))]:
        print(
            f"{room:12} {percent(counts):5.1f} %   {counts['num_statements']:6} lines {counts['num_branches']:6} branches"
        )
    return done.returncode  # 2: below the floor


if __name__ == "__main__":
    sys.exit(main())
