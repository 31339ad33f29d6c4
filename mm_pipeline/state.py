"""Is a year built, and from what? Read from Dagster's event log and held against what lies in ``data/``.

A year is up to date when every one of its assets was materialised by the present code, after everything it is made
from, and its deliveries, geography and settings are still those it was made from. The schedule, ``backfill`` and
``status`` all ask here.
"""

from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CODE_VERSION_TAG, DATA_VERSION_TAG

from mm_pipeline.assets.deliveries import geography_version
from mm_pipeline.ingest import files
from mm_pipeline.ingest.delivery import Delivery, data_version, delivery
from mm_pipeline.settings import Settings


@dataclass(frozen=True)
class YearState:
    """``reasons``: why the year is not up to date, in words; empty when it is."""

    year: int
    delivery: Delivery
    built: bool
    """Whether the year has a published result, of whatever delivery."""
    reasons: tuple[str, ...]

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
        order = (key for level in self.graph.toposorted_asset_keys_by_level for key in sorted(level))
        return [key.to_user_string() for key in order if self.graph.get(key).partitions_def is not None]

    def state(self, year: int) -> YearState:
        lies_there = delivery(self.settings, year)
        built = self._of("published_year", year) is not None
        if lies_there.missing:
            return YearState(year, lies_there, built, (f"waiting for {', '.join(lies_there.missing)}",))
        reasons = [reason for name in self.yearly_assets if (reason := self._why_stale(name, lies_there))]
        return YearState(year, lies_there, built, tuple(reasons))

    def _why_stale(self, name: str, lies_there: Delivery) -> str | None:
        asset = self.graph.get(dg.AssetKey(name))
        own = self._of(name, lies_there.year)
        if own is None:
            return f"{name} has not been built"
        if own.code_version != asset.code_version:
            return f"{name} was built by another version of the code"
        source = self._source_version(name, lies_there)
        if source is not None and own.data_version != source:
            return f"{name}: the delivery, the reference data or a setting has changed since it was built"
        for parent in sorted(asset.parent_keys):
            above = self._of(parent.to_user_string(), lies_there.year)
            if above is not None and above.order > own.order:
                return f"{name} is older than {parent.to_user_string()}"
        return None

    def _source_version(self, name: str, lies_there: Delivery) -> str | None:
        """Data version of what an asset is read from; None for assets made from other assets."""
        if name == "geography":
            return geography_version(self.settings, lies_there.year)
        if not name.startswith("raw_"):
            return None
        dataset = name.removeprefix("raw_")
        sha256 = files.fingerprint(lies_there.present[dataset])
        return data_version(self.settings, lies_there.year, dataset, sha256)

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
        result = {}
        for record in self.instance.fetch_materializations(wanted, limit=len(newest)).records:
            tags = record.asset_materialization.tags if record.asset_materialization else {}
            result[int(record.partition_key or 0)] = Materialisation(
                record.storage_id, (tags or {}).get(CODE_VERSION_TAG), (tags or {}).get(DATA_VERSION_TAG)
            )
        return result


def delivery_fingerprint(settings: Settings, lies_there: Delivery) -> str:
    """One short hash over all files of a complete delivery."""
    versions = [
        data_version(settings, lies_there.year, name, files.fingerprint(path))
        for name, path in sorted(lies_there.present.items())
    ]
    return "-".join(version[:6] for version in versions)
