"""What a run reads that it does not make: Dagster is told when it changes."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress

import dagster as dg

from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.errors import LakeError
from mm_pipeline.files.fingerprint import fingerprint
from mm_pipeline.ingest import delivery
from mm_pipeline.operations.dagster_workarounds import DATA_VERSION_TAG
from mm_pipeline.reference.areas import reference_sources
from mm_pipeline.reference.outlines import outline_files
from mm_pipeline.settings import Settings
from mm_pipeline.storage.earlier_houses import earlier_houses
from mm_pipeline.storage.lake import Lake

DELIVERY, REFERENCE, OUTLINES, EARLIER_HOUSES = "delivery", "reference", "outlines", "earlier_houses"


def observe(instance: dg.DagsterInstance, settings: Settings, year: int) -> None:
    """Tell Dagster what lies there for the year, if it is not what it was told last."""
    _tell(instance, DELIVERY, delivery.fingerprints(settings, year), str(year))
    _tell(instance, REFERENCE, reference_sources(settings.reference_dir, year), str(year))
    with suppress(LakeError):  # the asset that reads it says what is wrong with it
        earlier = earlier_houses(Lake(settings.lake_dir), year)
        _tell(instance, EARLIER_HOUSES, {f"houses of {len(earlier.years)} years": earlier.version}, str(year))


def observe_outlines(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Tell Dagster which outlines lie there, if it is not what it was told last."""
    files = outline_files(settings.reference_dir)
    _tell(instance, OUTLINES, {path.name: fingerprint(path) for path in files if path.is_file()})


def _tell(instance: dg.DagsterInstance, name: str, sha256_of: Mapping[str, str], year: str | None = None) -> None:
    """``sha256_of``: the files, by their names."""
    version = hashlib.sha256(repr(sorted(sha256_of.items())).encode()).hexdigest()[:16]
    rows = [{"file": name.removeprefix("references/"), "SHA-256": sha256} for name, sha256 in sha256_of.items()]
    last = instance.get_latest_data_version_record(dg.AssetKey(name), is_source=True, partition_key=year)
    observation = last.asset_observation if last else None
    if observation is None or (observation.tags or {}).get(DATA_VERSION_TAG) != version:
        metadata = {"files": markdown_table(rows)}
        tags = {DATA_VERSION_TAG: version}
        instance.report_runless_asset_event(dg.AssetObservation(name, partition=year, tags=tags, metadata=metadata))
