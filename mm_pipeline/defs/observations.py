"""What others bring, deliveries and reference data: Dagster does not make it, and is told when it changes."""

import hashlib
from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.ingest import delivery
from mm_pipeline.reference.areas import reference_sources
from mm_pipeline.settings import Settings

DELIVERY, REFERENCE = "delivery", "reference"


def observe(instance: dg.DagsterInstance, settings: Settings, year: int) -> None:
    """Tell Dagster what lies there for the year, if it is not what it was told last."""
    for name, version, files_there in (
        (DELIVERY, *_version_and_files(delivery.fingerprints(settings, year))),
        (REFERENCE, *_version_and_files(reference_sources(settings.reference_dir, year))),
    ):
        last = instance.get_latest_data_version_record(dg.AssetKey(name), is_source=True, partition_key=str(year))
        if _told_version(last) != version:
            instance.report_runless_asset_event(
                dg.AssetObservation(
                    name,
                    partition=str(year),
                    tags={DATA_VERSION_TAG: version},
                    metadata={"files": files_there},
                )
            )


def _version_and_files(sha256_of: Mapping[str, str]) -> tuple[str, dg.MarkdownMetadataValue]:
    rows = [{"file": name.removeprefix("references/"), "SHA-256": sha256} for name, sha256 in sha256_of.items()]
    version = hashlib.sha256(repr(sorted(sha256_of.items())).encode()).hexdigest()[:16]
    return version, markdown_table(rows)


def _told_version(record: dg.EventLogRecord | None) -> str | None:
    observation = record.asset_observation if record else None
    return observation.tags.get(DATA_VERSION_TAG) if observation and observation.tags else None
