"""Synthetic deliveries: the content of ``data/raw/<year>/``. Nothing in it is derived from data on real persons."""

import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from threading import Event

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mm_pipeline.demo import billing, contributions, facts
from mm_pipeline.demo.csv_files import bad_lines, write
from mm_pipeline.demo.hashing import Dice
from mm_pipeline.demo.houses import Houses, Paid, houses_of
from mm_pipeline.demo.identifiers import providers
from mm_pipeline.demo.people import ever_insured, people_of
from mm_pipeline.demo.places import Country, country_of, vintage_of
from mm_pipeline.demo.registrations import Registrations, registered, registrations_of, with_a_patient_each
from mm_pipeline.demo.residents import beneficiaries
from mm_pipeline.demo.violations import Violations, plant, with_other_amounts, with_other_contributions
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.files.permissions import making_private_files

#: Persons, or registrations, in a piece: some 500 MB of memory a year, and nearly as fast as larger pieces.
PERSONS_AT_A_TIME, REGISTRATIONS_AT_A_TIME = 1 << 19, 1 << 16


@dataclass(frozen=True)
class World:
    """Everything that is the same in all years of a seed and scale."""

    dice: Dice
    scale: float
    country: Country
    houses: Houses
    ended: Event = field(default_factory=Event)
    """Set when nobody waits for the years any more."""

    @property
    def ghost(self) -> int:
        """The number of the ghost house, after the real houses and before the general practices."""
        return len(self.houses.opening)

    def providers(self, year: int) -> pa.StringArray:
        """The identifiers of a year by number."""
        return providers(self.ghost, max(round(billing.PRACTICES * self.scale), 2), year)

    def go_on(self) -> None:
        """Raise CancelledError if nobody waits for the years any more. Called before each piece, which takes seconds."""
        if self.ended.is_set():
            raise CancelledError


@making_private_files()
def synthesize(
    raw_dir: Path,
    years: Iterable[int],
    *,
    scale: float,
    seed: int,
    areas: Callable[[int], pa.Table],
    at_once: int = 1,
    on_year: Callable[[int], object] = lambda year: None,
) -> None:
    """Write a synthetic delivery for each year: ``raw_dir/<year>/`` with its datasets and their manifest.

    ``scale`` is the share of the national size (over 0, up to 1). ``areas(year)`` gives the table of areas of a year
    (``mm_pipeline.reference.areas``); it is also asked for 2018, whose municipalities the people are laid out on. The
    same seed, scale and areas give the same bytes, whichever other years are made. A year that is there is replaced;
    it appears whole, for its owner only. ``at_once``: years made at the same time, each in a thread, as numpy and pyarrow
    do most of the work. ``on_year`` is called after each, in their order.

    Raises OperatorError when the scale is out of bounds or a year cannot be made.
    """
    years = list(years)
    if not 0 < scale <= 1:
        raise OperatorError(f"scale {scale}: expected more than 0 and at most 1 (national size); give another --scale.")
    for year in years:
        if not facts.FIRST_YEAR <= year <= facts.LAST_YEAR:
            raise OperatorError(
                f"year {year}: synthetic deliveries exist for {facts.FIRST_YEAR} to {facts.LAST_YEAR}; "
                "give other --years."
            )
    country = country_of(areas(facts.BASE_YEAR))
    world = World(Dice(seed), scale, country, houses_of(country))
    threads = ThreadPoolExecutor(at_once)
    try:
        made = threads.map(_replace, repeat(world), repeat(raw_dir), years, map(areas, years))
        for year, _ in zip(years, made, strict=True):
            on_year(year)
    finally:
        world.ended.set()
        threads.shutdown(cancel_futures=True)


def _replace(world: World, raw_dir: Path, year: int, areas: pa.Table) -> None:
    """Write a year beside its place and rename it, the former one renamed away: a reader sees all of one or of the other."""
    folder, unfinished, former = raw_dir / str(year), raw_dir / f".{year}.tmp", raw_dir / f".{year}.old"
    for leftover in (unfinished, former):
        if leftover.exists():
            shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    _deliver(world, unfinished, year, areas)
    if folder.exists():
        folder.rename(former)
    unfinished.rename(folder)
    if former.exists():
        shutil.rmtree(former)


def _deliver(world: World, folder: Path, year: int, areas: pa.Table) -> None:
    """Write the files of one year into the folder."""
    registrations, violations, rows = _write_people(world, folder, year, areas)
    rows["forfaits.csv.gz"] = _write_forfaits(world, folder / "forfaits.csv.gz", year, registrations, violations)
    if year >= contributions.FIRST_YEAR:
        asked = contributions.contributions_of(world.dice, registrations, violations.persons, year)
        asked = with_other_contributions(world.dice, asked, year)
        with (folder / "contributions.csv.gz").open("wb") as file:
            table = contributions.table(world.dice, asked, world.providers(year))
            rows["contributions.csv.gz"] = write(file, table, ",", {})
    manifest = {
        "extracted_on": f"{year + 1}-03-31",
        "version": f"synthetic, seed {world.dice.seed}, scale {world.scale:g}",
        "synthetic": True,
        "files": {name: {"rows": rows[name], "sha256": fingerprint(folder / name)} for name in sorted(rows)},
        # Rules that depend on the size of the population, like the maturity at 500 patients, are scaled by the sample.
        **({"sample": world.scale} if world.scale < 1 else {}),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _write_people(
    world: World, folder: Path, year: int, areas: pa.Table
) -> tuple[Registrations, Violations, dict[str, int]]:
    """Write the beneficiaries and the DMGs. Returns the registrations, what is planted, and the rows of both files by name.

    What is planted is chosen among the first persons, before their beneficiaries are written. It does not affect the DMGs.
    """
    dice, country, houses = world.dice, world.country, world.houses
    vintage = vintage_of(country, areas, world.scale)
    identifiers = world.providers(year)
    persons = ever_insured(world.scale)
    starts = range(0, persons, PERSONS_AT_A_TIME)
    parts, rows = [], {"beneficiaries.csv.gz": 0, "dmg.parquet": 0}
    with (
        (folder / "beneficiaries.csv.gz").open("wb") as people_file,
        parquet.ParquetWriter(folder / "dmg.parquet", billing.DMG_SCHEMA, compression="zstd") as dmg_file,
    ):
        for piece, start in enumerate(starts):
            world.go_on()
            people = people_of(dice, country, year, start, min(start + PERSONS_AT_A_TIME, persons))
            part = registrations_of(dice, country, houses, people)
            table = billing.dmg(dice, people, part, identifiers, world.ghost + 1)
            dmg_file.write_table(table)
            rows["dmg.parquet"] += len(table)
            if piece == 0:
                part, violations = plant(dice, country, people, part, world.ghost)
            parts.append(part)
            table = beneficiaries(dice, country, vintage, people, violations.unlisted)
            bad = bad_lines(dice, "beneficiaries", year, piece, len(starts), len(table))
            rows["beneficiaries.csv.gz"] += write(people_file, table, ",", bad)
    registrations = Registrations(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    registrations = with_a_patient_each(dice, country, houses, registrations, violations.persons, year)
    return registrations, violations, rows


def _write_forfaits(world: World, path: Path, year: int, registrations: Registrations, violations: Violations) -> int:
    """Write the forfaits of the registrations. Returns the number of rows."""
    dice, identifiers, rows = world.dice, world.providers(year), 0
    # The ghost house opens in the year.
    paid = Paid(np.append(world.houses.opening, year), registered(registrations, world.ghost + 1))
    cents = with_other_amounts(dice, paid, year, world.scale)
    starts = range(0, max(len(registrations.person), 1), REGISTRATIONS_AT_A_TIME)
    with path.open("wb") as file:
        for piece, start in enumerate(starts):
            world.go_on()
            part = Registrations(*(column[start : start + REGISTRATIONS_AT_A_TIME] for column in registrations))
            table = billing.forfaits(dice, part, violations, identifiers, cents, year)
            rows += write(file, table, ";", bad_lines(dice, "forfaits", year, piece, len(starts), len(table)))
    return rows
