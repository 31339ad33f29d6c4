"""Make ``data/reference/refnis.csv`` from Statbel's REFNIS file and lists of municipal mergers.

    python scripts/make_refnis.py TU_COM_REFNIS.txt refnis_changes_2025.csv --out data/reference/refnis.csv

REFNIS gives the hierarchy with validity dates. A change list (``old,new,name``; the year in its file name) says which
municipality codes gave way to which on 1 January of that year. A list that REFNIS already has is checked and changes
nothing, so every list may be given always. No network; the same input gives the same bytes.

What a list does not say is settled here:

- *Dates.* An old code ends on 31 December of the year before, a new one begins on 1 January and is open.
- *A code that is old and new at once* (11002 Antwerpen, which took in Borsbeek) persists: its extent changes, its row
  does not.
- *Parent.* The first two digits of a municipality's code are those of its arrondissement. REFNIS holds to that in
  every row, and the script refuses a file where it does not. The arrondissement of most predecessors would not do: in
  46029 Lokeren and 71072 Hasselt it is a tie. So 11056 Zwijndrecht goes from Antwerpen into 46030 under 46000
  Sint-Niklaas, in another province.
- *Names.* The list has one name. Where it holds the name of a predecessor, each language takes the form that REFNIS
  gives that predecessor: Tongeren-Borgloon is Tongres-Looz in French, Bastogne is Bastenaken in Dutch and Bastnach in
  German. What REFNIS puts in brackets to tell namesakes apart, as in "Tielt (Tielt)", is no part of the name here.

Only units in force on some 31 December from 2003 on are kept: the statistic begins there.
"""

import argparse
import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from mm_pipeline.errors import OperatorError, ReferenceDataError
from mm_pipeline.reference.areas import expected_counts
from mm_pipeline.reference.refnis import COLUMNS, LEVELS, OPEN_END, Unit, read_refnis, units_of

FIRST_YEAR = 2003


class ChangeList(NamedTuple):
    """Municipality codes, new -> old ones, in force from a 1 January on; ``names`` by new code, where given."""

    path: Path
    start: date
    predecessors: dict[str, list[str]]
    names: dict[str, str]


def read_changes(path: Path) -> ChangeList:
    """Read a change list. Raises ReferenceDataError on a name without a year, or a missing column."""
    year = re.search(r"[0-9]{4}", path.stem)
    if year is None:
        raise ReferenceDataError(f"{path}: no year in the file name; expected e.g. refnis_changes_2025.csv. Rename it.")
    predecessors: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for column in ("old", "new"):
            if column not in (reader.fieldnames or ()):
                raise ReferenceDataError(f"{path}, line 1, column {column}: missing; expected old,new[,name]. Mend it.")
        for row in reader:
            predecessors[row["new"]].append(row["old"])
            if row.get("name"):
                names[row["new"]] = row["name"]
    return ChangeList(path, date(int(year[0]), 1, 1), dict(predecessors), names)


def apply(units: list[Unit], changes: ChangeList) -> list[Unit]:
    """The units after one change list. Raises ReferenceDataError where the two contradict each other."""
    eve = changes.start - timedelta(days=1)
    before = {unit.code: unit for unit in units if unit.valid_from <= eve <= unit.valid_to}
    after = {unit.code: unit for unit in units if unit.valid_from <= changes.start <= unit.valid_to}
    ended = {old for olds in changes.predecessors.values() for old in olds} - changes.predecessors.keys()
    opened: list[Unit] = []
    for new, olds in changes.predecessors.items():
        unknown = [old for old in olds if old not in before]
        if unknown:
            raise ReferenceDataError(f"{changes.path}: {', '.join(unknown)} not in force on {eve}. Mend the list.")
        if new not in after:
            opened.append(successor(new, [before[old] for old in olds], changes))
    persisting = sorted(code for code in changes.predecessors if code in before and code in after)
    print(
        f"{changes.path.name}: closed {len(ended & after.keys())} of {len(ended)} codes on {eve}; "
        f"opened {len(opened)} of {len(changes.predecessors)}; "
        f"the same code with a new extent: {', '.join(persisting) or 'none'}",
        file=sys.stderr,
    )
    closed = [
        unit._replace(valid_to=eve) if after.get(unit.code) is unit and unit.code in ended else unit for unit in units
    ]
    return closed + opened


def successor(code: str, predecessors: list[Unit], changes: ChangeList) -> Unit:
    """The unit of a new code: parent and names as the docstring of this script says."""
    parent = f"{code[:2]}000"
    if parent not in {unit.parent_code for unit in predecessors}:
        raise ReferenceDataError(f"{changes.path}: {code} under {parent}, where no predecessor is. Mend the list.")
    if code not in changes.names:
        raise ReferenceDataError(f"{changes.path}, column name: none for {code}. Add it.")
    fr, nl, de = (translated(changes.names[code], predecessors, language) for language in ("fr", "nl", "de"))
    return Unit("municipality", code, parent, fr, nl, de, changes.start, OPEN_END, line=0)


def translated(name: str, predecessors: Iterable[Unit], language: str) -> str:
    """The name with each predecessor's name in it in the form of that language."""
    forms: dict[str, str] = {}
    for unit in predecessors:
        target = plain(getattr(unit, f"name_{language}"))
        forms |= {plain(form): target for form in (unit.name_de, unit.name_nl, unit.name_fr)}
    longest_first = sorted(map(re.escape, forms), key=len, reverse=True)
    return re.sub(rf"\b({'|'.join(longest_first)})\b", lambda match: forms[match[0]], name)


def plain(name: str) -> str:
    """A name without the brackets that tell namesakes apart."""
    return re.sub(r" \([^)]*\)$", "", name)


def kept(unit: Unit) -> bool:
    """Whether the unit is in force on some 31 December from FIRST_YEAR on."""
    first = max(unit.valid_from.year, FIRST_YEAR)
    return date(first, 12, 31) <= unit.valid_to


def as_csv(units: Iterable[Unit]) -> str:
    """The text of ``refnis.csv``: by level, code and date, so that a change of one unit is a change of one line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for unit in sorted(units, key=lambda unit: (LEVELS.index(unit.level), unit.code, unit.valid_from)):
        writer.writerow(unit[: len(COLUMNS)])
    return text.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Run the script; 1 with a message where the input cannot be used."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("refnis", type=Path, help="Statbel's TU_COM_REFNIS*.txt")
    parser.add_argument("changes", type=Path, nargs="*", help="change lists, oldest first: old,new,name")
    parser.add_argument("--out", type=Path, required=True, help="the refnis.csv to write")
    options = parser.parse_args(arguments)
    try:
        units = read_refnis(options.refnis)
        for unit in units:
            if unit.level == "municipality" and unit.code[:2] != unit.parent_code[:2]:
                raise ReferenceDataError(
                    f"{options.refnis}, line {unit.line}, column CD_SUP_REFNIS: {unit.parent_code} for {unit.code}; "
                    "the parent of a new code can no longer be told from its digits. Change this script."
                )
        last = FIRST_YEAR
        for path in options.changes:
            changes = read_changes(path)
            last = max(last, changes.start.year)
            units = apply(units, changes)
        options.out.write_text(as_csv(unit for unit in units if kept(unit)), encoding="utf-8", newline="")
        for year in range(FIRST_YEAR, last + 1):
            found = sum(unit.level == "municipality" for unit in units_of(year, options.out))
            if found != expected_counts(year)["municipality"]:
                raise ReferenceDataError(f"{options.out}: {found} municipalities in {year}. A change list is missing.")
    except (OperatorError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
