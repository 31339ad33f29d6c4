"""Group ``deliveries`` (restricted): the year's extracts, typed and keyed, and the year's geography."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import ibis

from mm_pipeline import schemas
from mm_pipeline.defs.assets import plots
from mm_pipeline.defs.assets.common import DELIVERIES, HOUSES, SettingsParam, Stage, declared, lake_asset
from mm_pipeline.defs.checks.framework import not_applicable, result
from mm_pipeline.defs.metadata import usable_rows
from mm_pipeline.defs.observations import DELIVERY, EARLIER_HOUSES, OUTLINES, REFERENCE
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.resources.lake import Rows
from mm_pipeline.defs.year_context import year_context
from mm_pipeline.disclosure.small_numbers import rounded, told
from mm_pipeline.errors import DeliveryError
from mm_pipeline.files import safe_names
from mm_pipeline.ingest import delivery, files
from mm_pipeline.ingest.contract import OPTIONAL
from mm_pipeline.ingest.ingest import Account, ingest
from mm_pipeline.ingest.reader import shown_names
from mm_pipeline.reference.areas import areas, geography_version, reference_sources
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake, Provenance

CONTRACT_CHECK = "delivery_contract"

_CONTENT = {
    "forfaits": "Billed maison médicale forfaits of the year (nomenclature code 109616), one row a billed line.",
    "beneficiaries": "Beneficiaries of the year, one row a person: the last residence known in the year.",
    "dmg": "Global medical records (DMG) of the year: which practice holds the record of which patient.",
    "contributions": "What houses asked of their patients beside the forfait, one row a declared amount. Not every year "
    "has this delivery: without it the table is empty and its checks are not applicable.",
}


def _raw_asset(name: str, table: schemas.Table) -> dg.AssetsDefinition:
    @dg.asset(
        name=table.name,
        deps=[DELIVERY],
        **declared(
            DELIVERIES,
            f"{_CONTENT[name]}\n\nRead from `data/raw/<year>/{name}.parquet`, `.csv` or `.csv.gz`. Pseudonyms are "
            "replaced by a keyed hash; bad rows are in the quarantine with line, column and reason.",
            table=table,
            code=["ingest", "statistic/residence"],
        ),
        check_specs=[
            dg.AssetCheckSpec(
                CONTRACT_CHECK,
                asset=table.name,
                description=f"The file of {name} is there{' (or none was sent)' if name in OPTIONAL else ''}, complete, "
                "readable, with the columns of the contract, and as its manifest announces. If not, the year stops here "
                "and its earlier results stay.",
                blocking=True,
                partitions_def=YEARS,
            )
        ],
        output_required=False,
    )
    def raw(context: dg.AssetExecutionContext, settings: SettingsParam, engine: DuckDBEngine) -> Iterator[Any]:
        with year_context(context, settings, engine) as work:
            try:
                account = ingest(work.backend, work.lake, settings, name, work.year)
            except DeliveryError as error:
                context.log.error(str(error))
                yield dg.AssetCheckResult(check_name=CONTRACT_CHECK, passed=False, description=str(error))
                return
            version = delivery.data_version(settings, work.year, name, account.sha256, account.manifest_sha256)
            written = work.lake.written(table, work.year)
            if not account.file:
                metadata = work.metadata(table, written, file="none delivered")
                yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(version))
                why = f"no {name} were delivered for {work.year}, which is legal."
                yield result(table.name, CONTRACT_CHECK, not_applicable(why))
                return
            metadata = work.metadata(
                table,
                written,
                file=account.file,
                sha256=account.sha256,
                usable_rows=told(usable_rows(account)),
                kept_rows=told(account.kept),
                ignored_rows=told(account.ignored),
                quarantined_rows=account.quarantined,
                ignored_columns=shown_names(account.extra_columns) or "none",
                quarantined_share=_quarantine_plot(settings, table, work.year),
                path=dg.MetadataValue.path(str(written.path.relative_to(settings.data_dir.parent))),
            )
            yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(version))
            said = f"{account.file}: {told(usable_rows(account))} usable rows, all columns there" + (
                f", as announced ({account.version})." if account.version else "; no manifest to hold it against."
            )
            if others := files.beside(settings.raw_dir / str(work.year) / account.file):
                said += (
                    f" Beside it lies {safe_names.listed(others)}, which is not read: if it is a part of the delivery, join "
                    "the two and build the year again; else move it away."
                )
            yield dg.AssetCheckResult(
                check_name=CONTRACT_CHECK, passed=not others, severity=dg.AssetCheckSeverity.WARN, description=said
            )

    return raw


def _quarantine_plot(settings: Settings, table: schemas.Table, year: int) -> dg.MarkdownMetadataValue:
    """Share of quarantined rows, this year and the nine before it."""
    lake = Lake(settings.lake_dir)
    shares = {}
    for other in range(year - 9, year + 1):
        if lake.is_usable(table, other):
            account = Account.of(lake, table, other)
            if account.delivered:
                about = rounded(usable_rows(account)) + account.quarantined or 1
                shares[str(other)] = 100 * account.quarantined / about
    return plots.bars("Quarantined rows, % of delivered", shares)


raw_forfaits = _raw_asset("forfaits", schemas.RAW_FORFAITS)
raw_beneficiaries = _raw_asset("beneficiaries", schemas.RAW_BENEFICIARIES)
raw_dmg = _raw_asset("dmg", schemas.RAW_DMG)
raw_contributions = _raw_asset("contributions", schemas.RAW_CONTRIBUTIONS)


@lake_asset(
    DELIVERIES,
    schemas.GEOGRAPHY,
    "Areas in force on 31 December of the year, from the country to the statistical sectors, with their parents and "
    "names. Read from `data/reference/`: `refnis.csv` or Statbel's `TU_COM_REFNIS*.txt`, and the newest "
    "`sectors_<YYYY>.geojson[.zip]` that is not after the year (none: the sectors are those that beneficiaries name).",
    deps=[REFERENCE],
    code=["reference/areas", "reference/refnis", "reference/sectors", "reference/geojson"],
    kinds={"parquet", "geojson"},
)
def geography(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult[Rows]:
    year, folder = int(context.partition_key), settings.reference_dir
    table, sources = areas(folder, year), reference_sources(folder, year)
    read = [name.removeprefix("references/") for name in sources]
    counts = table.group_by("level").aggregate([([], "count_all")]).to_pylist()
    return dg.MaterializeResult(
        value=Rows(
            ibis.memtable(table), provenance=Provenance(synthetic=False, details={"files": read}, sources=sources)
        ),
        metadata={"files": ", ".join(read), **{row["level"]: row["count_all"] for row in counts}},
        data_version=dg.DataVersion(geography_version(folder, year)),
    )


def _observed(
    name: str, description: str, uri: str, *, stage: Stage = DELIVERIES, kinds: set[str], yearly: bool = True
) -> dg.AssetSpec:
    """What is read and not made: Dagster is told when it changes, and then shows what is out of date."""
    return dg.AssetSpec(
        name,
        description=description,
        group_name=stage.group,
        owners=[stage.owner],
        tags={"zone": stage.zone},
        kinds=kinds,
        partitions_def=YEARS if yearly else None,
        metadata={"dagster/uri": uri},
    )


OBSERVED = [
    _observed(
        DELIVERY,
        "What lies in `data/raw/<year>/`: the files of the year and their manifest, by their SHA-256. Observed by the "
        "sensor `new_deliveries` and at the beginning of each run of the year; nothing of the content is kept here.",
        "data/raw/<year>/",
        kinds={"csv", "parquet"},
    ),
    _observed(
        REFERENCE,
        "What lies in `data/reference/` for the year: the hierarchy of areas, and the sector table if there is one, by "
        "their SHA-256. Observed together with the delivery.",
        "data/reference/",
        kinds={"csv", "geojson"},
    ),
    _observed(
        OUTLINES,
        "What lies in `data/reference/` of outlines, of sectors and municipalities, by their SHA-256; the provinces if "
        "there are none. Observed at the beginning of each run of the series or the page.",
        "data/reference/",
        kinds={"csv", "geojson"},
        yearly=False,
    ),
    _observed(
        EARLIER_HOUSES,
        "What the table `houses` tells of earlier years, up to year - 2: the first month of each house. Observed with "
        "the delivery. Not a dependency of `houses` on itself: a backfill would then take two runs a year.",
        "data/lake/houses/",
        stage=HOUSES,
        kinds={"parquet"},
    ),
]
