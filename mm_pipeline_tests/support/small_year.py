"""A small country in which everything is as it should be, and the tools to plant a fault in it.

Here: the deliveries of a year with a few hundred people (small enough that many figures are from 1 to 4), the tables
made from them, and :class:`SmallYear`, which lets a check look at them. Every outcome that passes through it is held to
the rule that no pseudonym, key, house or small number of people may show. Not here: what a check must say; see the tests.
"""

import csv
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from mm_pipeline import schemas
from mm_pipeline.defs.assets.protection import clear, protect_year
from mm_pipeline.defs.assets.release import publish_year
from mm_pipeline.defs.checks.framework import Outcome
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.ingest.ingest import ingest
from mm_pipeline.reference.areas import areas, reference_sources
from mm_pipeline.schemas import Table
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake, Provenance
from mm_pipeline_tests.support.paths import REFERENCE
from mm_pipeline_tests.support.pipeline import build_year, derive, settings_for

YEAR = 2020
"""A year with published figures of the regions, and of the same vintage as the year before."""


SECTORS = {
    "21004": ("21004A00-", "21004A011"),
    "11002": ("11002J81-", "11002A101"),
    "62063": ("62063A10-", "62063A2MJ"),
    "44021": ("44021A00-",),
    "52011": ("52011A00-",),
}
EMPTY_MUNICIPALITY, TINY_MUNICIPALITY = "44013", "52011"
WITH_UNKNOWN_SECTORS = ("21004", "62063", "44021")
AGES = (*range(2, 80, 4), *range(0, 90, 5), 8, 12, 16, 30, 35, 40, 42, 45, 50, 55, 58, 60)
PEOPLE = 600

Row = dict[str, Any]


def geography(year: int) -> pa.Table:
    """Real municipalities, one of them empty, what is above them, and a few sectors."""
    names = ("name_fr", "name_nl", "name_de")
    sectors = [
        {"level": "sector", "area_code": code, "parent_code": municipality, **dict.fromkeys(names, code)}
        for municipality, codes in SECTORS.items()
        for code in codes
    ]
    parents = {(row["level"], row["area_code"]): row for row in areas(REFERENCE, year).to_pylist()}
    chosen = {}
    for municipality in (*SECTORS, EMPTY_MUNICIPALITY):
        code = municipality
        for level in ("municipality", "arrondissement", "province", "region", "country"):
            chosen[level, code] = parents[level, code]
            code = parents[level, code]["parent_code"]
    return pa.Table.from_pylist([*chosen.values(), *sectors], schema=schemas.GEOGRAPHY.schema)


def deliveries(year: int) -> dict[str, list[Row]]:
    """Every eleventh person is a patient; the pseudonyms, houses and practices are easy to find in a text.

    4, 7 and 11 have no common factor: every municipality has patients, and some of them a DMG elsewhere.
    """
    municipalities = [code for code in SECTORS if code != TINY_MUNICIPALITY]
    beneficiaries, forfaits, dmg, contributions = [], [], [], []
    for number in range(PEOPLE):
        person = f"pseudonym-{number:04}"
        municipality = municipalities[number % 4]
        if number % 150 == 0:
            municipality = ""
        elif number % 200 == 18:
            municipality = TINY_MUNICIPALITY
        sectors = SECTORS.get(municipality, ("",))
        if municipality in WITH_UNKNOWN_SECTORS:
            sectors = (*sectors, f"{municipality}ZZZZ")
        beneficiaries.append(
            {
                "patient_id": person,
                "birth_year": year - AGES[(number * 7) % len(AGES)],
                "sex": "M" if number // 4 % 2 else "F",
                "preferential": int(number % 5 == 0),
                "municipality_code": municipality,
                "sector_code": sectors[number // 4 % len(sectors)],
                "valid_from": "",
            }
        )
        if number % 7 == 0:
            dmg.append({"patient_id": person, "practice_id": f"practice-{number % 9}"})
        if number % 11 == 3:
            house = f"house-{number % 4}"  # as the municipality: patients live near it
            dmg.append({"patient_id": person, "practice_id": house})
            months = 6 if number % 5 == 0 else 3 if number % 13 == 0 else 12
            forfaits += [forfait(person, house, year, month) for month in range(1, months + 1)]
            contributions.append(
                {
                    "patient_id": person,
                    "household_id": f"household-{number // 33}",
                    "house_id": house,
                    "amount_eur": "2.50" if number % 2 else "1.00",
                }
            )
    return {"forfaits": forfaits, "beneficiaries": beneficiaries, "dmg": dmg, "contributions": contributions}


def forfait(person: str, house: str, year: int, month: int) -> Row:
    return {
        "patient_id": person,
        "house_id": house,
        "service_date": f"{year}-{month:02}-01",
        "nomenclature_code": "109616",
        "quantity": 1,
        "amount_eur": "18.52",
    }


def deliver(folder: Path, datasets: dict[str, list[Row]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in datasets.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def build(settings: Settings, year: int, datasets: dict[str, list[Row]]) -> None:
    """The deliveries, every table of the lake and the release of the year."""
    deliver(settings.raw_dir / str(year), datasets)
    build_year(settings, year, geography(year))
    small = SmallYear(settings, year)
    small.protect()
    small.publish()


@cache
def writer() -> Backend:
    """An engine for all that the tests write; it reads nothing, so it cannot remember an earlier state."""
    return ibis.duckdb.connect(memory_limit="1GB", threads=2)


@dataclass(frozen=True)
class SmallYear:
    """A year of the small country. ``outcome_of`` lets a check look; the rest plants faults."""

    settings: Settings
    year: int = YEAR

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_dir)

    def copy(self, data_dir: Path) -> "SmallYear":
        shutil.copytree(self.settings.data_dir, data_dir, dirs_exist_ok=True)
        return SmallYear(settings_for(data_dir), self.year)

    def with_settings(self, **changes: Any) -> "SmallYear":
        return replace(self, settings=replace(self.settings, **changes))

    def in_year(self, year: int) -> "SmallYear":
        return replace(self, year=year)

    @contextmanager
    def step(self) -> Iterator[YearContext]:
        with DuckDBEngine.of(self.settings).session() as backend:
            yield YearContext(backend, self.lake, self.settings, self.year)

    def outcome_of(self, look: Callable[..., Outcome], **arguments: Any) -> Outcome:
        """What the check says of this year."""
        with self.step() as work:
            outcome = look(work, **arguments)
        self.assert_safe(outcome.text, outcome.metadata)
        return outcome

    # --- planting faults ----------------------------------------------------------------------------------------------

    def rows(self, table: Table) -> list[Row]:
        return pq.read_table(self.lake.path(table, self.year), partitioning=None).to_pylist()

    def account(self, table: Table) -> dict[str, Any]:
        return dict(self.lake.provenance(table, self.year).details)

    def put(self, table: Table, rows: Iterable[Row], *, synthetic: bool = True, **account: Any) -> None:
        """Replace the partition; ``account``: what its account of rows shall say instead."""
        details = self.account(table) | account
        sources = self.lake.provenance(table, self.year).sources if self.lake.has(table, self.year) else {}
        content = ibis.memtable(pa.Table.from_pylist(list(rows), schema=table.schema))
        self.lake.write(
            writer(), table, self.year, content, Provenance(synthetic=synthetic, details=details, sources=sources)
        )

    def change(self, table: Table, edit: Callable[[Row], Row | None]) -> None:
        """``edit`` every row; None takes it away."""
        self.put(table, [new for row in self.rows(table) if (new := edit(dict(row))) is not None])

    def set_account(self, table: Table, **account: Any) -> None:
        self.put(table, self.rows(table), **account)

    def deliver(self, **datasets: list[Row]) -> None:
        """Another delivery of the year (the datasets not given stay), and its raw tables."""
        deliver(self.settings.raw_dir / str(self.year), datasets)
        for name in datasets:
            self.ingest(name)

    def ingest(self, name: str) -> None:
        """The raw table of a dataset as it lies there."""
        with DuckDBEngine.of(self.settings).session() as backend:
            ingest(backend, self.lake, self.settings, name, self.year)

    def redeliver(self, *, rates: bool = True, **datasets: list[Row]) -> None:
        """Another delivery of the year, and every table up to the rates (or to the houses only) made from it."""
        self.deliver(**datasets)
        derive(self.settings, self.year, rates=rates)

    def put_whole_geography(self) -> None:
        self.put(schemas.GEOGRAPHY, areas(REFERENCE, self.year).to_pylist())

    def protect(self) -> None:
        with self.step() as work:
            protect_year(
                work, Provenance(synthetic=True, sources=reference_sources(self.settings.reference_dir, self.year))
            )

    def publish(self) -> Path:
        with self.step() as work:
            clear(work)
            publish_year(work)
        return self.settings.published_dir / str(self.year)

    # --- what may show ------------------------------------------------------------------------------------------------

    def keys(self) -> set[str]:
        """The patient keys of the lake, as they would be written."""
        tables = (
            schemas.RAW_FORFAITS,
            schemas.RAW_BENEFICIARIES,
            schemas.RAW_DMG,
            schemas.RAW_CONTRIBUTIONS,
        )
        there = [table for table in tables if self.lake.has(table, self.year)]
        columns = ("patient_key", "household_key")
        return {str(row[key]) for table in there for row in self.rows(table) for key in columns if key in row}

    def assert_safe(self, text: str, metadata: dict[str, Any]) -> None:
        assert_safe(text, metadata, self.settings.disclosure_threshold)
        everything = " ".join([text, *(_as_text(value) for value in metadata.values())])
        numbers = set(re.findall(r"-?\d{12,}", everything))  # of 64-bit hashes, one in ten million is shorter
        assert not numbers or not numbers & self.keys(), "a patient key shows"


_PSEUDONYMS = re.compile(r"pseudonym-|house-|household-|practice-")
_NOT_PEOPLE = (
    r"\b\d+ of (\d+|fewer than 50) rows\b|\(\d+ rows: ",
    r"\b\d+ rows (delivered|are not accounted for|are there that|have another nomenclature code|were counted)",
    r"\b(delivered|kept|ignored|quarantined) \d+",
    r"usable rows, \d+ in \d{4}|\d+ rows of \w+\.csv \(",
    r"\b\d+ ((sensitive|suppressed|published) )?(cells|lines|areas|municipalities|breakdowns|unknown-sector rows)\b",
    r"\band \d+ are not the sum of their sectors",
    r"\b\d+ of level \w+, \d+ expected",
    r"outside 1 to 5 %",
    r"\b\d+ hidden figures\b|\band \d+ more\b|is below \d|to be below \d|fewer than \d values|preferential/\d/",
    r"line \d+",
    r"\bthreshold \d+\b|\bforfaits from 1 to 12\b|\bhave \d+ to \d+ forfaits\b|\bwith \d+ forfaits\b",
    r"beyond the limit of \d",
    r"is below six \(found \d+\)",
    r"(preferential|sex|of) [01]\b",
    r"[FM]\b|1 = male, 2 = female|Is 1 the code|before [12] ",
)
_COLUMNS_OF_CELLS = {"rows", "cells", "visible", "hidden", "narrowest interval"}
_NOT_OF_PEOPLE = {"published_cells", "suppressed_cells", "hidden_cells", "narrowest_interval", "seconds", "waiting"}


def assert_safe(text: str, metadata: dict[str, Any], threshold: int = 5) -> None:
    """No pseudonym, house or practice, and no small number unless it is known to count something else than people.

    Numbers of delivered rows, of cells and of areas may show. The share of a small number tells it as well.
    """
    small, few = range(1, threshold), f"1 to {threshold - 1}"
    small_number = re.compile(rf"(?<![\w.,+-])({'|'.join(map(str, small))})(?![\w-]|[.,]\d)")
    for shown in (text, *(_as_text(value) for value in metadata.values())):
        assert not _PSEUDONYMS.search(shown), shown
    for shown in (text, *(value for value in metadata.values() if isinstance(value, str))):
        rest = re.sub("|".join([rf"\b{few}\b", *_NOT_PEOPLE]), " ", shown)
        assert not small_number.search(rest), shown
        for sentence in re.split(r"[.;] ", shown):
            assert f"{few} " not in sentence or "%" not in sentence, shown
    for name, value in metadata.items():
        if isinstance(value, dg.MarkdownMetadataValue):
            for row in _table(value.value or ""):
                people = [cell for column, cell in row.items() if column not in _COLUMNS_OF_CELLS]
                assert not any(small_number.fullmatch(cell) for cell in people), value.value
        elif not isinstance(value, str) and name not in _NOT_OF_PEOPLE:
            assert value not in small, (name, value)
    numbers = [metadata.get(name) for name in ("looked_at", "found")]
    if all(isinstance(number, int) for number in numbers) and "appeared" not in metadata:  # those are not among these
        assert numbers[0] - numbers[1] not in small, metadata


def _as_text(value: Any) -> str:
    return str(value.value) if isinstance(value, dg.MetadataValue) else str(value)


def _table(markdown: str) -> list[dict[str, str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]] if len(lines) > 2 else []
