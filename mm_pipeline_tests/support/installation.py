"""A small installation: three demonstration years in a folder, a Dagster instance beside it, and ways to look at both."""

import csv
import gzip
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from filelock import FileLock

from mm_pipeline.definitions import build_definitions
from mm_pipeline.demo import synthesize
from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.operations.backfill import Backfill, YearResult
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import MADE_BY
from mm_pipeline_tests.support import small_country
from mm_pipeline_tests.support.pipeline import settings_for

YEARS = [2004, 2005, 2006]
"""One without sectors, the first with them, and one that has a year before it to be compared with."""

WITH_CONTRIBUTIONS = 2006

SCALE = 0.003


@dataclass(frozen=True)
class Installation:
    """``root/data`` and ``root/dagster``: everything that an installation keeps.

    One of the small country has its hierarchy in ``data/reference``; else it is Belgium, where nobody lives anywhere else.
    """

    root: Path

    @classmethod
    def of_small_country(cls, root: Path) -> Self:
        installation = cls(root)
        small_country.write_hierarchy(installation.settings.reference_dir)
        return installation

    @property
    def settings(self) -> Settings:
        return settings_for(self.root / "data")

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        home = self.root / "dagster"
        home.mkdir(exist_ok=True)
        # As for every process of an installation: the event log lies where this says.
        with (
            patch.dict(os.environ, DAGSTER_HOME=str(home)),
            self.with_all_areas(),
            dg.DagsterInstance.local_temp(str(home)) as instance,
        ):
            yield instance

    def with_all_areas(self) -> AbstractContextManager[None]:
        """What lets the checks take its hierarchy for complete."""
        return small_country.complete() if self._is_small else nullcontext()

    @property
    def _is_small(self) -> bool:
        return (self.settings.reference_dir / "refnis.csv").is_file()

    @property
    def command(self) -> list[str]:
        """``mm-pipeline`` in a process of its own."""
        name = "mm_pipeline_tests.support.small_country" if self._is_small else "mm_pipeline.cli"
        return [sys.executable, "-m", name]

    @contextmanager
    def backfill(self, **changes: object) -> Iterator[tuple[Backfill, dg.DagsterInstance]]:
        with self.instance() as instance:
            yield Backfill(replace(self.settings, **changes), instance, build_definitions), instance  # type: ignore[arg-type]

    def materialise(
        self, *names: str, year: int | None = None, fails: bool = False, settings: Settings | None = None
    ) -> dg.ExecuteInProcessResult:
        """These assets by themselves with their checks, as the UI does it; it succeeds, or else ``fails``."""
        job = build_definitions(settings=settings or self.settings).resolve_implicit_global_asset_job_def()
        with self.instance() as instance:
            result = job.execute_in_process(
                instance=instance,
                partition_key=str(year) if year else None,
                asset_selection=[*map(dg.AssetKey, made_together(names))],
                raise_on_error=not fails,
            )
        assert result.success != fails
        return result

    def copied_to(self, root: Path) -> Self:
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return type(self)(root)

    def raw(self, year: int) -> Path:
        return self.settings.raw_dir / str(year)

    def results(self, *years: int) -> dict[Path, bytes]:
        """Every file of these years in lake and release, with its bytes; without years, every file at all."""
        parts = {f"year={year}" for year in years} | {str(year) for year in years}
        return {
            path.relative_to(self.root): path.read_bytes()
            for folder in (self.settings.lake_dir, self.settings.published_dir)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and ".locks" not in path.parts and (not years or parts & set(path.parts))
        }


def made_together(names: Iterable[str]) -> list[str]:
    """These assets, and the tables that one of them writes beside its own: nothing of it is made alone."""
    chosen = list(names)
    return [*chosen, *(table for table, maker in MADE_BY.items() if maker in chosen)]


def deliver(settings: Settings, years: Iterable[int], seed: int = 1, scale: float = SCALE) -> None:
    """Demonstration deliveries of people of the small country."""
    synthesize(settings.raw_dir, years, scale=scale, seed=seed, areas=small_country.areas_of)
    for year in set(years) & {WITH_CONTRIBUTIONS}:
        contribute(settings.raw_dir / str(year))


def built(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], Installation]
) -> tuple[Installation, list[YearResult]]:
    """The three years in an installation of this worker's own, built by the first worker that asks for them."""
    own = tmp_path_factory.mktemp("built")
    of_all_workers = own.parent.parent if os.environ.get("PYTEST_XDIST_WORKER") else own.parent
    template, results = of_all_workers / f"template {make.__name__}", of_all_workers / f"results {make.__name__}"
    with FileLock(f"{template}.lock"):
        if not results.is_file():
            template.mkdir()
            installation = make(template)
            deliver(installation.settings, YEARS)
            with installation.backfill() as (backfill, _instance):
                made = backfill.years(YEARS)
            assert [result.problems for result in made] == [[]] * len(YEARS)
            results.write_bytes(pickle.dumps(made))
    return Installation(template).copied_to(own), pickle.loads(results.read_bytes())


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the one step that failed says."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.error.to_string()


def contribute(folder: Path) -> None:
    """Contributions of the first patients, of whom the manifest does not speak: the demonstration has none so early."""
    with gzip.open(folder / "forfaits.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))[:500]
    houses = {row["SS00010"]: row["SS00075"] for row in rows if row["SS00010"] and row["SS00075"]}
    with (folder / "contributions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient_id", "household_id", "house_id", "amount_eur"])
        writer.writerows([who, f"synh{n // 2:016x}", house, "2.50"] for n, (who, house) in enumerate(houses.items()))


def announce(folder: Path) -> None:
    """Bring the manifest in line with the files' bytes."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, entry in manifest["files"].items():
        entry["sha256"] = fingerprint(folder / name)
    path.write_text(json.dumps(manifest))


def change_a_byte(folder: Path) -> None:
    """Another time stamp in the header of a gzip file: other bytes, same content."""
    file = folder / "forfaits.csv.gz"
    content = bytearray(file.read_bytes())
    content[4] ^= 1
    file.write_bytes(bytes(content))
    announce(folder)


def checks_of_year(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey], year: int
) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    """The newest result of each check as Dagster keeps it for this partition."""
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(keys), partition_filter=PartitionKeyFilter(key=str(year))
    )
    return dict(newest)
