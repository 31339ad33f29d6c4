"""Is a year built, and from what? Read from Dagster's event log and held against what lies in ``data/``.

A year is up to date when every one of its assets was materialised by the present code, after everything it is made
from, and its deliveries, geography and settings are still those it was made from, and its file is there. The schedule,
``backfill`` and ``status`` all ask here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode
from dagster._core.definitions.data_version import CODE_VERSION_TAG, DATA_VERSION_TAG

from mm_pipeline import catalogue
from mm_pipeline.assets.deliveries import geography_version, reference_sources
from mm_pipeline.assets.houses import earlier_houses
from mm_pipeline.assets.publication import page_version, series_version
from mm_pipeline.errors import LakeError, ReferenceDataError
from mm_pipeline.ingest import manifest
from mm_pipeline.ingest.contract import OPTIONAL
from mm_pipeline.ingest.delivery import Delivery, data_version, delivery, fingerprints
from mm_pipeline.settings import Settings
from mm_pipeline.sign_off import awaited
from mm_pipeline.storage.lake import MADE_BY, Lake, Provenance

PUBLISHED_YEAR = "published_year"

_PUBLISHED = {
    "published_year": "{year}/rates.parquet",
    "published_series": "series/rates.parquet",
    "atlas_page": "atlas/index.html",
}


@dataclass(frozen=True)
class YearState:
    """``reasons``: why the year is not up to date, in words; empty when it is."""

    year: int
    delivery: Delivery
    reasons: tuple[str, ...]
    changes: tuple[str, ...] = ()
    """How files and settings differ from those it was built from, in words, each told once."""
    is_new_delivery: bool = False
    """Whether what was delivered is not what the year was built from: files or manifest, not reference data or settings."""

    awaits: str = ""
    """What the year awaits before it becomes public, in words; nothing is to be built meanwhile."""

    @property
    def is_up_to_date(self) -> bool:
        return not self.reasons


@dataclass(frozen=True)
class Materialisation:
    """The newest materialisation of one asset and year. ``order`` grows with time over all assets."""

    order: int
    code_version: str | None
    data_version: str | None


@dataclass
class Ledger:
    """The newest materialisation of every asset and year, fetched once per asset."""

    instance: dg.DagsterInstance
    graph: AssetGraph
    settings: Settings
    _newest: dict[str, dict[int, Materialisation]] = field(default_factory=dict)

    @cached_property
    def yearly_assets(self) -> list[str]:
        """Names in the order of the flow."""
        return [name for name in self._made_here if self._asset(name).partitions_def is not None]

    @cached_property
    def series_assets(self) -> list[str]:
        """Names of what is made from all years, in the order of the flow."""
        return [name for name in self._made_here if self._asset(name).partitions_def is None]

    @cached_property
    def _made_here(self) -> list[str]:
        keys = (key for level in self.graph.toposorted_asset_keys_by_level for key in sorted(level))
        return [key.to_user_string() for key in keys if self.graph.get(key).is_materializable]

    @property
    def _lake(self) -> Lake:
        return Lake(self.settings.lake_dir)

    def _asset(self, name: str) -> AssetNode:
        return self.graph.get(dg.AssetKey(name))

    def state(self, year: int) -> YearState:
        lies_there = delivery(self.settings, year)
        if lies_there.missing:
            waits = f"data/raw/{year} is {lies_there.hindrance}: nothing in it is read" if lies_there.hindrance else ""
            return YearState(year, lies_there, (waits or f"waiting for {', '.join(lies_there.missing)}",))
        reasons = [reason for name in self.yearly_assets if (reason := self._why_stale(name, lies_there))]
        read = [name for name in self.yearly_assets if self._is_read(name)]
        files = {name: self._other_files(name, lies_there) for name in read}
        settings = [change for name in read for change in self._other_settings(name, year)]
        # A manifest changes with whatever file it tells of: the file is what one wants to know first.
        of_files = sorted((change for each in files.values() for change in each), key=_is_of_manifest)
        changes = dict.fromkeys([*of_files, *settings])
        is_new = any(self._of(name, year) is None or files[name] for name in read if name != "geography")
        awaits = self._awaits(year) if all(reason.startswith(PUBLISHED_YEAR) for reason in reasons) else ""
        return YearState(year, lies_there, () if awaits else tuple(reasons), tuple(changes), is_new, awaits)

    def _awaits(self, year: int) -> str:
        """The signatures that the year awaits, if that is all that keeps it from being public."""
        waiting = awaited(self.settings, year)
        if waiting is None or waiting.is_complete:
            return ""
        # Without rows its checks have not passed: then it is these that somebody has to look at.
        is_cleared = self._lake.has(catalogue.CLEARED, year) and self._lake.written(catalogue.CLEARED, year).rows > 0
        return waiting.sentence if is_cleared else ""

    @staticmethod
    def _is_read(name: str) -> bool:
        """Whether the asset is read from files, and not made from other assets."""
        return name == "geography" or name.startswith("raw_")

    def is_made(self, name: str, year: int) -> bool:
        """Whether the asset was materialised for the year, from whatever delivery, and its file is there."""
        return self._of(name, year) is not None and self._file(name, year).is_file()

    def is_series_up_to_date(self) -> bool:
        """Whether all that is made from all years was made by the present code, from the released years and outlines as they
        are now."""
        for name in self.series_assets:
            asset, own = self._asset(name), self._newest_of(name)
            if own is None or own.code_version != asset.code_version or not self._file(name).is_file():
                return False
            if own.data_version != self._series_version(name):
                return False
        return True

    def inputs(self, lies_there: Delivery) -> str:
        """One short hash over all that a run of the year would read: complete delivery, reference, settings, code."""
        versions = [
            f"{self._asset(name).code_version} {self._source_version(name, lies_there)}" for name in self.yearly_assets
        ]
        parts = [*versions, str(self.settings.quarantine_limit), self.settings.largest_delivery]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _why_stale(self, name: str, lies_there: Delivery) -> str | None:
        asset = self._asset(name)
        own = self._of(name, lies_there.year)
        if own is None:
            return f"{name} has not been built"
        if not self._file(name, lies_there.year).is_file():
            return f"{name}: its file is not there any more"
        for table in self._tables(name):
            if not self._lake.is_intact(table, lies_there.year):
                return f"{name}: a file of it is damaged (data/lake/{table.name}): it is not as its checksum says"
        if own.code_version != asset.code_version:
            return f"{name} was built by another version of the code ({own.code_version}; now {asset.code_version})"
        source = self._source_version(name, lies_there)
        if source is not None and own.data_version != source:
            changes = [*self._other_files(name, lies_there), *self._other_settings(name, lies_there.year)]
            return f"{name}: {'; '.join(changes) or 'what it is read from has changed since it was built'}"
        if name == catalogue.HOUSES.name and (reason := self._why_houses_are_stale(lies_there.year)):
            return reason
        for parent in sorted(asset.parent_keys):
            above = self._of(parent.to_user_string(), lies_there.year)
            if above is not None and above.order > own.order:
                return f"{name} is older than {parent.to_user_string()}"
        return None

    def _other_files(self, name: str, lies_there: Delivery) -> list[str]:
        """How the files that the asset is read from differ from those it was built from."""
        if (made := self._provenance(name, lies_there.year)) is None:
            return []
        if name == "geography":
            return list(_differences(made.sources, reference_sources(self.settings, lies_there.year)))
        now = self._delivered(name.removeprefix("raw_"), lies_there)
        if "settings" not in made.details:  # an earlier version of the program, which did not keep the manifest's
            now.pop(f"deliveries/{manifest.NAME}", None)
        return list(_differences(made.sources, now))

    def _delivered(self, dataset: str, lies_there: Delivery) -> dict[str, str]:
        """The files that a raw table would be read from, as in its provenance; a misnamed one has no fingerprint."""
        path = lies_there.present.get(dataset)
        read = {path.name, manifest.NAME} if path else {manifest.NAME}
        misnamed = lies_there.misnamed if dataset in OPTIONAL and not path else ()
        there = fingerprints(self.settings, lies_there.year).items()
        return {f"deliveries/{file}": sha256 for file, sha256 in there if file in read} | {
            f"deliveries/{file}": "" for file in misnamed
        }

    def _other_settings(self, name: str, year: int) -> list[str]:
        """How the settings that change a figure differ from those that the raw table was built with."""
        made, now = self._provenance(name, year), self.settings.of_figures
        was = made.details.get("settings", {}) if made else {}
        return [
            f"{each} was {was[each] or 'not set'}, now {now[each] or 'not set'}"
            for each in now
            if was.get(each, now[each]) != now[each]
        ]

    def _provenance(self, name: str, year: int) -> Provenance | None:
        """Of a raw table or the geography; None where it is lost or damaged, which is told as such."""
        with suppress(LakeError, OSError, ValueError, KeyError, TypeError):
            return self._lake.provenance(catalogue.LAKE_TABLES[name], year)
        return None

    def _tables(self, name: str) -> list[catalogue.Table]:
        """The tables that an asset writes."""
        return [table for table in catalogue.LAKE_TABLES.values() if MADE_BY.get(table.name, table.name) == name]

    def _why_houses_are_stale(self, year: int) -> str | None:
        """The table of houses reads its own earlier years, which Dagster knows nothing of."""
        try:
            earlier = earlier_houses(self._lake, year).version
            if self._lake.provenance(catalogue.HOUSES, year).details == {"earlier": earlier}:
                return None
        except (LakeError, OSError, ValueError) as error:  # a damaged file; pyarrow's errors are of the last two kinds
            return f"houses: {error}"
        return "houses: the earlier years, which say how long a house is in the system, have changed since it was built"

    def _source_version(self, name: str, lies_there: Delivery) -> str | None:
        """Data version of what an asset is read from; None for assets made from other assets."""
        if name == "geography":
            return geography_version(self.settings, lies_there.year)
        if not name.startswith("raw_"):
            return None
        dataset = name.removeprefix("raw_")
        return data_version(self.settings, lies_there.year, dataset, lies_there.sha256(dataset))

    def _series_version(self, name: str) -> str | None:
        try:
            return {"published_series": series_version, "atlas_page": page_version}[name](self.settings)
        except (ReferenceDataError, OSError):  # of the outlines: the page's own run says what is wrong with them
            return None

    def _file(self, name: str, year: int = 0) -> Path:
        if name in catalogue.LAKE_TABLES:
            return self._lake.path(catalogue.LAKE_TABLES[name], year)
        return self.settings.published_dir / _PUBLISHED[name].format(year=year)

    def _newest_of(self, name: str) -> Materialisation | None:
        """The newest materialisation of whatever year, or of an asset without years."""
        records = self.instance.fetch_materializations(dg.AssetKey(name), limit=1).records
        return _materialisation(records[0]) if records else None

    def _of(self, name: str, year: int) -> Materialisation | None:
        if name not in self._newest:
            self._newest[name] = self._fetch(dg.AssetKey(name))
        return self._newest[name].get(year)

    def _fetch(self, key: dg.AssetKey) -> dict[int, Materialisation]:
        newest = self.instance.event_log_storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        if not newest:
            return {}
        wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=list(newest.values()))
        records = self.instance.fetch_materializations(wanted, limit=len(newest)).records
        return {int(record.partition_key or 0): _materialisation(record) for record in records}


def _differences(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Two sets of files (kind/name -> SHA-256) in words; a file that took the place of another format is one of both."""
    for key in sorted(was.keys() | now.keys()):
        name, before, after = key.partition("/")[2], was.get(key), now.get(key)
        if before == after:
            continue
        if before is None:
            yield f"{name} is new" + (f" (SHA-256 {_short(after)})" if after else " and cannot be read under this name")
        elif after is None:
            yield f"{name} is not there any more (SHA-256 was {_short(before)})"
        else:
            yield f"{name} has changed (SHA-256 was {_short(before)}, now {_short(after)})"


def _is_of_manifest(change: str) -> bool:
    return change.startswith(manifest.NAME)


def _short(sha256: str) -> str:
    return f"{sha256[:12]}..."


def _materialisation(record: dg.EventLogRecord) -> Materialisation:
    tags = (record.asset_materialization.tags if record.asset_materialization else None) or {}
    return Materialisation(record.storage_id, tags.get(CODE_VERSION_TAG), tags.get(DATA_VERSION_TAG))
