"""Staleness: whether a year is up to date, from Dagster's event log and the files in ``data/``.

A year is up to date when every one of its assets was materialised by the present code, after everything it is made
from, when its deliveries, geography and settings are still those it was made from, and when its file is there. The
schedule, ``backfill`` and ``status`` all ask this module.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from mm_pipeline import schemas
from mm_pipeline.errors import LakeError, ReferenceDataError
from mm_pipeline.ingest.delivery import Delivery, data_version, delivery
from mm_pipeline.operations import dagster_workarounds as workarounds
from mm_pipeline.operations import provenance_differences as differences
from mm_pipeline.operations.dagster_workarounds import AssetGraph, AssetNode
from mm_pipeline.operations.purge import PERSONS, purged
from mm_pipeline.operations.sign_off import AWAITS_TAG, Awaited, awaited
from mm_pipeline.reference.areas import geography_version
from mm_pipeline.release.inputs import page_version, series_version
from mm_pipeline.settings import Settings
from mm_pipeline.storage.earlier_houses import earlier_houses
from mm_pipeline.storage.lake import MADE_BY, Lake

PUBLISHED_YEAR = "published_year"

_PUBLISHED = {
    "published_year": "{year}/rates.parquet",
    "published_series": "series/rates.parquet",
    "atlas_page": "atlas/index.html",
}


@dataclass(frozen=True)
class YearState:
    """The state of a year.

    ``reasons``: why it is not up to date, in words; empty if it is. ``changes``: the differences between files and settings
    and those it was built from, in words, without repetitions. ``is_new_delivery``: whether the delivery (files or manifest)
    is not the one it was built from. ``purged``: when its persons were. ``awaits``: what it awaits of people before it
    becomes public; nothing is built meanwhile.
    """

    year: int
    delivery: Delivery
    reasons: tuple[str, ...]
    changes: tuple[str, ...] = ()
    is_new_delivery: bool = False
    purged: date | None = None
    awaits: Awaited | None = None

    @property
    def is_up_to_date(self) -> bool:
        return not self.reasons


class Materialisation(NamedTuple):
    """The newest materialisation of one asset and year. ``order`` grows with time over all assets.

    ``awaits``: the release awaits people, so that the materialisation published nothing.
    """

    order: int
    code_version: str | None
    data_version: str | None
    awaits: bool


@dataclass
class Ledger:
    """The newest materialisation of every asset and year, fetched once per asset."""

    instance: dg.DagsterInstance
    graph: AssetGraph
    settings: Settings
    _newest: dict[str, dict[int, Materialisation]] = field(default_factory=dict)

    @cached_property
    def yearly_assets(self) -> list[str]:
        """Names of the assets of a year, in the order of the flow."""
        return [name for name, node in self._made_here.items() if node.partitions_def is not None]

    @cached_property
    def series_assets(self) -> list[str]:
        """Names of the assets that are made from all years, in the order of the flow."""
        return [name for name, node in self._made_here.items() if node.partitions_def is None]

    @cached_property
    def _made_here(self) -> dict[str, AssetNode]:
        """A table that another asset writes beside its own is looked at with that asset."""
        keys = (key for level in self.graph.toposorted_asset_keys_by_level for key in sorted(level))
        nodes = {key.to_user_string(): self.graph.get(key) for key in keys}
        return {name: node for name, node in nodes.items() if node.is_materializable and name not in MADE_BY}

    @property
    def _lake(self) -> Lake:
        return Lake(self.settings.lake_dir)

    def _asset(self, name: str) -> AssetNode:
        return self.graph.get(dg.AssetKey(name))

    def state(self, year: int) -> YearState:
        lies_there = delivery(self.settings, year)
        if since := purged(self.settings, year):
            return self._state_of_purged(lies_there, since)
        if lies_there.missing:
            waits = f"data/raw/{year} is {lies_there.hindrance}: nothing in it is read" if lies_there.hindrance else ""
            return YearState(year, lies_there, (waits or f"waiting for {', '.join(lies_there.missing)}",))
        reasons = [reason for name in self.yearly_assets if (reason := self._why_stale(name, lies_there))]
        read = [name for name in self.yearly_assets if differences.is_read(name)]
        files = {name: differences.changed_files(self.settings, name, lies_there) for name in read}
        settings = [change for name in read for change in differences.changed_settings(self.settings, name, year)]
        of_files = sorted((change for each in files.values() for change in each), key=differences.is_of_manifest)
        changes = dict.fromkeys([*of_files, *settings])
        is_new = any(self._of(name, year) is None or files[name] for name in read if name != "geography")
        is_whole = not any(self._why_unusable(name, year) for name in self.yearly_assets if name != PUBLISHED_YEAR)
        only_unpublished = is_whole and all(reason.startswith(PUBLISHED_YEAR) for reason in reasons)
        awaits = self._awaits(year) if only_unpublished and not self._damage(PUBLISHED_YEAR, year) else None
        return YearState(year, lies_there, () if awaits else tuple(reasons), tuple(changes), is_new, awaits=awaits)

    def _awaits(self, year: int) -> Awaited | None:
        """What the year awaits of people, if nothing else keeps it from being public."""
        waiting = awaited(self.settings, year)
        if waiting is None or waiting.is_complete:
            return None
        # A check may have failed since it was cleared: then that is what keeps it from being public.
        checks = self._asset(schemas.PROTECTED_RATES.name).check_keys
        results = [each for of in workarounds.newest_results(self.instance, checks, year).values() for each in of]
        failed = any(each.severity is dg.AssetCheckSeverity.ERROR and not each.passed for each in results)
        return None if failed else waiting

    def _state_of_purged(self, lies_there: Delivery, since: date) -> YearState:
        """The state of a year whose persons were purged: it is not stale until its delivery changes."""
        changes = tuple(differences.changes_since_purged(self.settings, lies_there))
        kept = [name for name in self.yearly_assets if name not in {table.name for table in PERSONS}]
        lost = [reason for name in kept if (reason := self._why_unusable(name, lies_there.year))]
        reasons = tuple(lost) if lies_there.missing else (*lost, *changes)
        return YearState(lies_there.year, lies_there, reasons, changes, bool(changes), purged=since)

    def is_made(self, name: str, year: int) -> bool:
        """Whether the asset was materialised for the year, from any delivery, and its file is there."""
        return self._of(name, year) is not None and self._file(name, year).is_file()

    def is_series_up_to_date(self) -> bool:
        """Whether series and page were made by the present code from the present released years and outlines."""
        for name in self.series_assets:
            records = self.instance.fetch_materializations(dg.AssetKey(name), limit=1).records
            own = _materialisation(records[0]) if records else None
            if own is None or own.code_version != self._asset(name).code_version or not self._file(name).is_file():
                return False
            if own.data_version != self._series_version(name):
                return False
        return True

    def inputs(self, lies_there: Delivery) -> str:
        """A short hash over all that a run of the year would read: complete delivery, reference data, settings, code."""
        parts = [
            *(
                f"{self._asset(name).code_version} {self._source_version(name, lies_there)}"
                for name in self.yearly_assets
            ),
            str(self.settings.quarantine_limit),
            self.settings.largest_delivery,
            self.settings.key_check(),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _why_stale(self, name: str, lies_there: Delivery) -> str | None:
        asset, own = self._asset(name), self._of(name, lies_there.year)
        if own is None:
            return f"{name} has not been built"
        if unusable := self._why_unusable(name, lies_there.year):
            return unusable
        if own.awaits:
            return f"{name} awaits its release"
        if own.code_version != asset.code_version:
            return f"{name} was built by another version of the code ({own.code_version}; now {asset.code_version})"
        source = self._source_version(name, lies_there)
        settings = differences.changed_settings(self.settings, name, lies_there.year)
        if (source is not None and own.data_version != source) or differences.OTHER_SECRET in settings:
            changes = [*differences.changed_files(self.settings, name, lies_there), *settings]
            return f"{name}: {'; '.join(changes) or 'what it is read from has changed since it was built'}"
        if name == schemas.HOUSES.name and (reason := self._why_houses_are_stale(lies_there.year)):
            return reason
        for parent in sorted(key.to_user_string() for key in asset.parent_keys):
            above = self._of(parent, lies_there.year)
            if above is not None and above.order > own.order:
                return f"{name} is older than {parent}"
        return None

    def _why_unusable(self, name: str, year: int) -> str | None:
        if not self._file(name, year).is_file():
            return f"{name}: its file is not there any more"
        return self._damage(name, year)

    def _damage(self, name: str, year: int) -> str | None:
        written = (table for table in schemas.LAKE_TABLES.values() if MADE_BY.get(table.name, table.name) == name)
        for table in written:
            if not self._lake.is_intact(table, year):
                return f"{name}: a file of it is damaged (data/lake/{table.name}): it is not as its checksum says"
        return None

    def _why_houses_are_stale(self, year: int) -> str | None:
        """Why the table of houses is stale against its own earlier years, a dependency that Dagster does not know."""
        try:
            earlier = earlier_houses(self._lake, year).version
            if self._lake.provenance(schemas.HOUSES, year).details == {"earlier": earlier}:
                return None
        except (LakeError, OSError, ValueError) as error:  # a damaged file; pyarrow's errors are of the last two kinds
            return f"houses: {error}"
        return "houses: the earlier years, which say how long a house is in the system, have changed since it was built"

    def _source_version(self, name: str, lies_there: Delivery) -> str | None:
        """Data version of the files that an asset is read from; None for assets made from other assets."""
        if name == "geography":
            return geography_version(self.settings.reference_dir, lies_there.year)
        if not name.startswith("raw_"):
            return None
        dataset = name.removeprefix("raw_")
        return data_version(self.settings, lies_there.year, dataset, lies_there.sha256(dataset))

    def _series_version(self, name: str) -> str | None:
        try:
            return {"published_series": series_version, "atlas_page": page_version}[name](self.settings)
        except (ReferenceDataError, OSError):  # on reading outlines: the page's own run says what is wrong with them
            return None

    def _file(self, name: str, year: int = 0) -> Path:
        if name in schemas.LAKE_TABLES:
            return self._lake.path(schemas.LAKE_TABLES[name], year)
        return self.settings.published_dir / _PUBLISHED[name].format(year=year)

    def _of(self, name: str, year: int) -> Materialisation | None:
        if name not in self._newest:
            records = workarounds.newest_materializations(self.instance, dg.AssetKey(name))
            self._newest[name] = {int(record.partition_key or 0): _materialisation(record) for record in records}
        return self._newest[name].get(year)


def _materialisation(record: dg.EventLogRecord) -> Materialisation:
    tags = (record.asset_materialization.tags if record.asset_materialization else None) or {}
    versions = tags.get(workarounds.CODE_VERSION_TAG), tags.get(workarounds.DATA_VERSION_TAG)
    return Materialisation(record.storage_id, *versions, AWAITS_TAG in tags)
