"""Group ``publication`` (public): the protected table and what is made from it. Nothing here reads anything above
``protected_rates``, except ``protected_rates`` itself."""

import dagster as dg
import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis import _

from mm_pipeline import catalogue
from mm_pipeline.assets import plots
from mm_pipeline.assets.common import PUBLICATION, SettingsParam, declared, markdown_table, step
from mm_pipeline.assets.releases import mark_released, protect_year
from mm_pipeline.partitions import all_years
from mm_pipeline.reference.areas import refnis_file
from mm_pipeline.reference.refnis import units_of
from mm_pipeline.release.page import write_page
from mm_pipeline.release.tables import released_rates, write_tables
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake

SERIES = "series"

_REGIONS = {"BE": "Belgium", "02000": "Flanders", "03000": "Wallonia", "04000": "Brussels"}


@dg.asset(
    deps=["sector_rates"],
    **declared(
        PUBLICATION,
        "The rates that may be shown. A cell that narrows down fewer than five people (setting "
        "`MM_DISCLOSURE_THRESHOLD`) is suppressed, and as many more as it takes that nobody can work it out from all that "
        "is published, earlier releases of the year included. Unknown-sector rows are never in it.",
        table=catalogue.PROTECTED_RATES,
        rooms=["disclosure"],
    ),
)
def protected_rates(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        provenance = work.lake.derived_from(catalogue.SECTOR_RATES, year=work.year)
        protected, earlier = protect_year(work, provenance)
        table = pa.Table.from_pandas(protected, schema=catalogue.PROTECTED_RATES.schema, preserve_index=False)
        written = work.lake.write(work.backend, catalogue.PROTECTED_RATES, work.year, ibis.memtable(table), provenance)
        shown = protected.assign(published=protected["status"] == "published")
        visible = (
            shown.groupby(["level", "dimension"], sort=True)
            .agg(cells=("published", "size"), published=("published", "sum"))
            .reset_index()
        )
        visible["published_percent"] = (100 * visible["published"] / visible["cells"]).round(1)
        return work.result(
            written,
            synthetic=provenance.synthetic,
            earlier_releases=earlier,
            rates_by_region=_trend(settings),
            published_cells=markdown_table(visible.drop(columns="published").to_dict("records")),
        )


def _trend(settings: Settings) -> dg.MarkdownMetadataValue:
    """Published rate per 10 000 of the country and the regions over the years built so far."""
    lake = Lake(settings.lake_dir)
    series: dict[str, list[tuple[int, float]]] = {name: [] for name in _REGIONS.values()}
    for year in all_years():
        if not lake.has(catalogue.PROTECTED_RATES, year):
            continue
        table = pq.read_table(
            lake.path(catalogue.PROTECTED_RATES, year),
            filters=(pc.field("dimension") == "total") & pc.field("level").isin(["country", "region"]),
            partitioning=None,
        )
        for row in table.to_pylist():
            if row["rate_per_10000"] is not None:
                series[_REGIONS[row["area_code"]]].append((year, row["rate_per_10000"]))
    return plots.lines("Patients of a maison médicale by region", series, "per 10 000 beneficiaries")


@dg.asset(
    deps=["protected_rates"],
    **declared(
        PUBLICATION,
        "The released tables of the year: `data/published/<year>/rates.csv`, `rates.parquet` and their checksums.",
        table=catalogue.RELEASED_RATES,
        rooms=["release/tables"],
        kinds={"csv", "parquet"},
        uri="data/published/<year>/rates.csv",
    ),
)
def published_year(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    with step(context, settings) as work:
        synthetic = work.lake.provenance(catalogue.PROTECTED_RATES, work.year).synthetic
        mark_released(work)
        rates = released_rates(work.read(catalogue.PROTECTED_RATES).to_pyarrow(), synthetic=synthetic)
        folder = settings.published_dir / str(work.year)
        sizes = write_tables(folder, [rates])
        top = work.read(catalogue.PROTECTED_RATES).filter(
            _.level.isin(["country", "region"]), _.dimension == "total", _.status == "published"
        )
        preview = [
            {
                "area": _REGIONS[row["area_code"]],
                "beneficiaries": row["beneficiaries"],
                "patients": row["patients"],
                "rate per 10 000": round(row["rate_per_10000"], 1),
            }
            for row in top.order_by("level", "area_code").to_pyarrow().to_pylist()
        ]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rates.num_rows,
                "synthetic": synthetic,
                "files": markdown_table([{"file": name, "bytes": size} for name, size in sizes.items()]),
                "preview": markdown_table(preview),
                "rates_by_region": _trend(settings),
            }
        )


# Since the last request: an update that is seen while another year is being built waits for that and is not forgotten.
# Nothing more than "newly updated" is matched, so that Dagster knows its time: of an update and a request that it sees
# together, the later one counts, and a year that comes during a refresh asks for the next.
_UPDATED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated()).since(
    dg.AutomationCondition.newly_requested()
)
_NOTHING_GOING_ON = ~dg.AutomationCondition.any_deps_in_progress() & ~dg.AutomationCondition.in_progress()
REFRESH_SERIES = (_UPDATED & _NOTHING_GOING_ON).with_label("a year was rebuilt")
# In the same run as the series; or after it, when it was made by hand.
REFRESH_PAGE = (
    (
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
        | dg.AutomationCondition.any_deps_updated().since(dg.AutomationCondition.newly_requested())
    )
    & _NOTHING_GOING_ON
).with_label("the series was made again")


@dg.asset(
    deps=["published_year"],
    automation_condition=REFRESH_SERIES,
    **declared(
        PUBLICATION,
        "The released tables of all years in one: `data/published/series/rates.csv` and `rates.parquet`. Made again by "
        "itself when a year was rebuilt.",
        table=catalogue.RELEASED_RATES,
        rooms=["release/tables"],
        kinds={"csv", "parquet"},
        yearly=False,
        uri="data/published/series/rates.csv",
    ),
)
def published_series(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    years = released_years(settings)
    files = {year: settings.published_dir / str(year) / "rates.parquet" for year in years}
    sizes = write_tables(
        settings.published_dir / SERIES, (pq.read_table(path, partitioning=None) for path in files.values())
    )
    rows = sum(pq.read_metadata(path).num_rows for path in files.values())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "years": f"{years[0]} to {years[-1]} ({len(years)})" if years else "none",
            "files": markdown_table([{"file": name, "bytes": size} for name, size in sizes.items()]),
            "rates_by_region": _trend(settings),
        }
    )


def released_years(settings: Settings) -> list[int]:
    folders = settings.published_dir.glob("[12][0-9][0-9][0-9]") if settings.published_dir.is_dir() else ()
    return sorted(int(folder.name) for folder in folders if (folder / "rates.parquet").is_file())


@dg.asset(
    deps=["published_series"],
    automation_condition=REFRESH_PAGE,
    **declared(
        PUBLICATION,
        "A page for everybody: `data/published/atlas/index.html`, opens by double click. The trend of the country and "
        "the regions, and the rate of every province, arrondissement and municipality.",
        rooms=["release/page"],
        kinds={"html"},
        yearly=False,
        uri="data/published/atlas/index.html",
    ),
)
def atlas_page(context: dg.AssetExecutionContext, settings: SettingsParam) -> dg.MaterializeResult:
    series = pq.read_table(settings.published_dir / SERIES / "rates.parquet", partitioning=None)
    path = write_page(settings.published_dir / "atlas", series, _names(settings, series))
    return dg.MaterializeResult(
        metadata={
            "page": dg.MetadataValue.path(str(path.relative_to(settings.data_dir.parent))),
            "bytes": path.stat().st_size,
            "rates_by_region": _trend(settings),
        }
    )


def _names(settings: Settings, series: pa.Table) -> dict[str, str]:
    """Names of the areas down to the municipality, of each code's newest vintage; both languages where they differ."""
    names = {}
    for year in sorted(pc.unique(series["year"]).to_pylist()):
        for unit in units_of(year, refnis_file(settings.reference_dir)):
            both = dict.fromkeys([unit.name_fr, unit.name_nl])
            names[unit.code] = " / ".join(both)
    return names


ASSETS = [protected_rates, published_year, published_series, atlas_page]
