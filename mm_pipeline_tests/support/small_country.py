"""A country of nine municipalities, three in each region: a year of it is built in seconds.

``python -m mm_pipeline_tests.support.small_country ...`` is ``mm-pipeline`` for an installation in it.
"""

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa

from mm_pipeline.reference import refnis
from mm_pipeline.reference.areas import areas
from mm_pipeline_tests.support.paths import REFERENCE

MUNICIPALITIES_OF = {"21000": 3, "62000": 3, "44000": 3}
"""Arrondissements that are there, and how many municipalities each has."""

VINTAGE = 2006


@cache
def hierarchy() -> list[dict[str, str]]:
    """The rows of the shipped hierarchy that are kept."""
    with (REFERENCE / "refnis.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["valid_from"] <= f"{VINTAGE}-12-31" <= row["valid_to"]]
    arrondissements = [row for row in rows if row["level"] == "arrondissement" and row["code"] in MUNICIPALITIES_OF]
    kept = [row for row in rows if row["level"] == "region"]
    provinces = {row["parent_code"] for row in arrondissements}
    kept += [row for row in rows if row["level"] == "province" and row["code"] in provinces]
    for row in arrondissements:
        below = [of for of in rows if of["level"] == "municipality" and of["parent_code"] == row["code"]]
        kept += [row, *below[: MUNICIPALITIES_OF[row["code"]]]]
    return kept


def write_hierarchy(reference_dir: Path) -> None:
    """Put the hierarchy of the small country into a folder of reference data."""
    reference_dir.mkdir(parents=True, exist_ok=True)
    with (reference_dir / "refnis.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, refnis.COLUMNS)
        writer.writeheader()
        writer.writerows(hierarchy())


@cache
def areas_of(year: int) -> pa.Table:
    """The area table of the small country, where its people live."""
    with tempfile.TemporaryDirectory() as folder:
        write_hierarchy(Path(folder))
        return areas(Path(folder), year)


@contextmanager
def complete() -> Iterator[None]:
    """Let the check of the hierarchy, which knows how many municipalities Belgium has, take this one for complete."""
    counts = Counter(row["level"] for row in hierarchy()) + Counter(["country", "province"])  # Brussels is both
    with patch("mm_pipeline.defs.checks.deliveries.expected_counts", lambda _year: counts):
        yield


if __name__ == "__main__":
    from mm_pipeline.cli import main

    with complete():
        main()
elif __name__ == "__mp_main__":  # a process that it starts to build a year
    for_good = complete()
    for_good.__enter__()
