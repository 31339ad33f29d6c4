"""A small world: three synthetic years in a folder, a Dagster instance beside it, and ways to look at both."""

import csv
import gzip
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from mm_pipeline.backfill import Backfill
from mm_pipeline.demo import synthesize
from mm_pipeline.ingest.files import fingerprint
from mm_pipeline.reference.areas import areas
from mm_pipeline.settings import Settings
from mm_pipeline_tests.harness import settings_for

YEARS = [2004, 2005, 2006]
"""One without sectors, the first with them, and one that has a year before it to be compared with."""

WITH_CONTRIBUTIONS = 2006

SCALE = 0.003


@dataclass(frozen=True)
class World:
    """``root/data`` and ``root/dagster``: everything that an installation keeps."""

    root: Path

    @property
    def settings(self) -> Settings:
        return settings_for(self.root / "data")

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        home = self.root / "dagster"
        home.mkdir(exist_ok=True)
        # As for every process of an installation: the event log lies where this says.
        with patch.dict(os.environ, DAGSTER_HOME=str(home)), dg.DagsterInstance.local_temp(str(home)) as instance:
            yield instance

    @contextmanager
    def backfill(self, **changes: object) -> Iterator[tuple[Backfill, dg.DagsterInstance]]:
        with self.instance() as instance:
            yield Backfill(replace(self.settings, **changes), instance), instance  # type: ignore[arg-type]

    def copied_to(self, root: Path) -> "World":
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return World(root)

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


def deliver(settings: Settings, years: Iterable[int], seed: int = 1) -> None:
    synthesize(settings.raw_dir, years, scale=SCALE, seed=seed, areas=lambda year: areas(settings.reference_dir, year))
    for year in set(years) & {WITH_CONTRIBUTIONS}:
        contribute(settings.raw_dir / str(year))


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
