"""Group ``protection``, what may be shown of a year, kept so that nothing unsafe goes out and no revision gives an earlier
release away.

``protected_rates`` keeps what it is made from and what it shows (``disclosed_rates``, confidential). When its blocking
checks have passed they clear it (``cleared``). ``published_year`` publishes a cleared table only, and marks what goes out
(``releases``, and the thresholds of the sensitivity table in ``shown_sensitivity``). What was protected and never went out,
because a check stopped it, is forgotten.
"""

import hashlib
from collections.abc import Iterator
from functools import partial

import dagster as dg
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.clock import all_years
from mm_pipeline.defs.assets import plots
from mm_pipeline.defs.assets.common import CONFIDENTIAL, PROTECTION, SettingsParam, declared, table_spec
from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.year_context import YearContext, year_context
from mm_pipeline.dimensions import REGION_NAMES
from mm_pipeline.disclosure import revision
from mm_pipeline.disclosure.postponement import Changes
from mm_pipeline.disclosure.protect import protect_revision
from mm_pipeline.disclosure.sensitivity import protect_sensitivity
from mm_pipeline.errors import ReleaseError
from mm_pipeline.operations.dagster_workarounds import newest_results
from mm_pipeline.operations.status import FAILED, state_of
from mm_pipeline.schemas import Table
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake, Provenance

CHECKS = (
    "nothing_hidden_shows",
    "disclosure_audit",
    "sensitivity_audit",
    "revisions_audit",
    "postponed_changes",
    "totals_stay_visible",
)
"""The blocking checks of ``protected_rates``: what has passed them all may be released."""

TABLES = "protected_tables"
"""Metadata of a result of these checks: :func:`evidence` of what it is of."""

_spec = partial(table_spec, PROTECTION, deps=["sector_rates", "threshold_counts"], code=["disclosure"])


def protect_year(work: YearContext, provenance: Provenance) -> tuple[pd.DataFrame, int]:
    """Write ``protected_rates`` and ``protected_sensitivity`` of the year.

    Returns the rates, and the number of earlier releases that they take into account. ReleaseError where one of these
    was made with another number of forfaits: the difference of two thresholds is a group that is protected in neither.
    """
    settings, releases = work.settings, stored(work, schemas.RELEASES)
    for other in sorted(set(releases["threshold"].dropna().astype(int)) - {settings.minimum_forfaits}):
        raise ReleaseError(
            f"{work.year} was released with MM_THRESHOLD={other}. Another release with {settings.minimum_forfaits} "
            "would tell by subtraction how many patients lie between the two, protected in neither. Set MM_THRESHOLD "
            "back, or use another data folder (MM_DATA_DIR) for figures that are not released."
        )
    published = settings.published_dir / str(work.year) / "rates.parquet"
    if not len(releases) and published.is_file():
        raise ReleaseError(
            f"data/published/{work.year} holds a release that data/lake/releases does not know, so that a new one cannot be "
            f"protected against it. Put data/lake/disclosed_rates, releases and shown_sensitivity of {work.year} back from "
            f"a backup. If nobody ever had that release: move data/published/{work.year} away. Then build the year again."
        )
    rates, threshold = work.read(schemas.SECTOR_RATES).to_pandas(), settings.disclosure_threshold
    kept, released = stored(work, schemas.DISCLOSED_RATES), set(releases["digest"])
    earlier, highest = revision.releases_of(kept, released), settings.revision_may_hide
    result = protect_revision(rates, threshold, earlier, highest=highest, total_worth=settings.total_worth)
    counts = revision.threshold_cells(work.read(schemas.THRESHOLD_COUNTS).to_pandas())
    before = revision.thresholds_of(kept, released)
    known = len(before) > 0 or not result.postponed  # an earlier version of the program did not keep them
    if known and result.postponed:
        counts = Changes(counts, before).rates(result.postponed)
    now = pd.concat([revision.disclosed(result.rates, result.table), *([counts] if known else [])]).assign(
        year=work.year
    )
    digest = revision.digest_of(result.table)
    kept = revision.remembered(kept, now, digest=digest, disclosure_threshold=threshold, released=released)
    store(work, schemas.DISCLOSED_RATES, kept, provenance)
    store(work, schemas.PROTECTED_SENSITIVITY, _protected_sensitivity(work, result.table, counts, known), provenance)
    store(work, schemas.PROTECTED_RATES, result.table, provenance)
    return result.table, int(kept["release"].max()) - 1


def _protected_sensitivity(
    work: YearContext, protected: pd.DataFrame, cells: pd.DataFrame, known: bool
) -> pd.DataFrame:
    """``known``: whether ``cells`` have what is postponed; if not, no threshold is shown but that of the statistic."""
    shown, main = stored(work, schemas.SHOWN_SENSITIVITY), work.settings.minimum_forfaits
    counts, totals = revision.threshold_counts(cells), sensitivity_totals(protected)
    if not known:
        now = counts.merge(totals, on=["level", "area_code"], suffixes=("", "_shown"))
        is_main = now["threshold"] == main
        now["patients"] = now["patients"].mask(is_main, now["patients_shown"].fillna(now["patients"]))
        now["beneficiaries"] = now["beneficiaries_shown"].fillna(now["beneficiaries"])
        counts = now.astype({"beneficiaries": "int64", "patients": "int64"})
        shown = now.loc[is_main, ["level", "area_code", "threshold"]]
    table = protect_sensitivity(counts, totals, main, work.settings.disclosure_threshold, shown if len(shown) else None)
    return table.assign(year=work.year)


def sensitivity_totals(protected: pd.DataFrame) -> pd.DataFrame:
    """What ``protected_rates`` shows of the areas of the sensitivity table."""
    return protected[protected["level"].isin(["country", "region"]) & (protected["dimension"] == "total")]


def clear(work: YearContext) -> None:
    """These protected tables of the year may be released, and no others."""
    digest = pd.DataFrame({"digest": [digest_of_both(work)]}).assign(year=work.year)
    store(work, schemas.CLEARED, digest, Provenance(synthetic=False))


def assert_cleared(work: YearContext) -> None:
    """ReleaseError where the protected tables of the year are not those that have passed their checks."""
    if digest_of_both(work) not in set(stored(work, schemas.CLEARED)["digest"]):
        raise _not_passed(work.year)


def evidence(work: YearContext) -> str:
    """A hash of the protected tables, and of the settings that they are judged by."""
    return f"{digest_of_both(work)[:32]} {work.settings.fingerprint()}"


def assert_checked(work: YearContext, instance: dg.DagsterInstance) -> None:
    """ReleaseError where a newest result of a check of ``CHECKS`` is a failure, or none is of these tables and settings."""
    keys = [dg.AssetCheckKey(dg.AssetKey(schemas.PROTECTED_RATES.name), name) for name in CHECKS]
    newest, looked_at = newest_results(instance, keys, work.year), evidence(work)
    for key in keys:
        results = newest.get(key, [])
        is_failure = any(state_of(each) == FAILED for each in results)
        # A result of an earlier version of the program does not say what it is of.
        tables = [each.metadata[TABLES].value for each in results if TABLES in each.metadata]
        if is_failure or looked_at not in tables:
            raise _not_passed(work.year)


def _not_passed(year: int) -> ReleaseError:
    return ReleaseError(
        f"protected_rates of {year} has not passed its checks, or was made again since. Nothing was released. Build {year} "
        "again as a whole (job year). If a check of protected_rates is red, its text says what to do."
    )


def mark_released(work: YearContext) -> None:
    """Mark the protected tables of the year as released. Before they go out: better once too often.

    ReleaseError where they have not passed their checks, or ``disclosed_rates`` does not know them or an earlier release:
    then a later revision could not be protected against them.
    """
    assert_cleared(work)
    releases, digest = stored(work, schemas.RELEASES), revision.digest_of(stored(work, schemas.PROTECTED_RATES))
    marks = releases.set_index("digest")["threshold"].to_dict() | {digest: work.settings.minimum_forfaits}
    if not set(marks) <= set(stored(work, schemas.DISCLOSED_RATES)["digest"]):
        raise ReleaseError(
            f"{work.year}: data/lake/disclosed_rates does not hold every table that was released. Two runs built the year "
            "at the same time, or an old copy was put back. Nothing was released. Put the newest copy back if there is one. "
            f"Build {work.year} again as a whole (job year)."
        )
    provenance = work.lake.derived_from(schemas.PROTECTED_RATES, year=work.year)
    table = pd.DataFrame({"digest": list(marks), "threshold": list(marks.values())}).assign(year=work.year)
    store(work, schemas.RELEASES, table, provenance)
    sensitivity = stored(work, schemas.PROTECTED_SENSITIVITY)
    now = sensitivity[(sensitivity["rule"] == "at_least") & (sensitivity["status"] == "published")]
    shown = pd.concat([stored(work, schemas.SHOWN_SENSITIVITY), now])[schemas.SHOWN_SENSITIVITY.column_names]
    store(work, schemas.SHOWN_SENSITIVITY, shown.drop_duplicates(), provenance)


def digest_of_both(work: YearContext) -> str:
    """A hash of the protected tables of the year, whatever the order of their rows."""
    sensitivity = stored(work, schemas.PROTECTED_SENSITIVITY).sort_values(list(schemas.PROTECTED_SENSITIVITY.order))
    digest = revision.digest_of(stored(work, schemas.PROTECTED_RATES))
    return hashlib.sha256(f"{digest}\n{sensitivity.to_csv(index=False)}".encode()).hexdigest()


def stored(work: YearContext, table: Table) -> pd.DataFrame:
    """The rows of the year; none where it was never written."""
    if not work.lake.was_written(table, work.year):
        return table.schema.empty_table().to_pandas()
    # A column that an earlier version of the program did not keep is empty.
    return work.read(table).to_pandas().reindex(columns=table.column_names)


def store(work: YearContext, table: Table, rows: pd.DataFrame, provenance: Provenance) -> None:
    """Replace the rows of the year."""
    content = pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False)
    work.lake.write(work.backend, table, work.year, ibis.memtable(content), provenance)


def rates_by_region(settings: Settings) -> dg.MarkdownMetadataValue:
    """Published rate per 10 000 of the country and the regions over the years built so far."""
    lake = Lake(settings.lake_dir)
    series: dict[str, list[tuple[int, float]]] = {name: [] for name in REGION_NAMES.values()}
    for year in all_years():
        if not lake.is_usable(schemas.PROTECTED_RATES, year):
            continue
        table = pq.read_table(
            lake.path(schemas.PROTECTED_RATES, year),
            filters=(pc.field("dimension") == "total") & pc.field("level").isin(["country", "region"]),
            partitioning=None,
        )
        for row in table.to_pylist():
            if row["rate_per_10000"] is not None:
                series[REGION_NAMES[row["area_code"]]].append((year, row["rate_per_10000"]))
    return plots.lines("Patients of a maison médicale by region", series, "per 10 000 beneficiaries")


@dg.multi_asset(
    name=schemas.PROTECTED_RATES.name,
    partitions_def=YEARS,
    specs=[
        _spec(
            schemas.PROTECTED_RATES,
            "The rates that may be shown. A cell that narrows down fewer people than "
            "`MM_DISCLOSURE_THRESHOLD` is suppressed, and as many more as it takes that nobody can work it out from all "
            "that is published, earlier releases of the year included. Unknown-sector rows are never in it.",
        ),
        _spec(schemas.PROTECTED_SENSITIVITY, "What other thresholds than six would give, as far as it may be shown."),
        _spec(
            schemas.DISCLOSED_RATES,
            "What the protected rates were made from and what they show, of this release of the year and of every earlier "
            "one: a revision is protected against it. It cannot be made again.",
            zone=CONFIDENTIAL,
        ),
    ],
)
def protected_rates(
    context: dg.AssetExecutionContext, settings: SettingsParam, engine: DuckDBEngine
) -> Iterator[dg.MaterializeResult]:
    """Its memory of earlier releases lies in the lake: ``disclosed_rates`` of the year itself, and what was released."""
    with year_context(context, settings, engine) as work:
        provenance = work.lake.derived_from(schemas.SECTOR_RATES, schemas.THRESHOLD_COUNTS, year=work.year)
        protected, earlier = protect_year(work, provenance)
        for table in (schemas.DISCLOSED_RATES, schemas.PROTECTED_SENSITIVITY):
            yield dg.MaterializeResult(table.name, metadata=work.metadata(table, work.lake.written(table, work.year)))
        is_shown = protected["status"] == "published"
        groups = is_shown.groupby([protected["level"], protected["dimension"]])
        visible = groups.agg(cells="size", published="sum").reset_index()
        visible["published_percent"] = (100 * visible.pop("published") / visible["cells"]).round(1)
        metadata = work.metadata(
            schemas.PROTECTED_RATES,
            work.lake.written(schemas.PROTECTED_RATES, work.year),
            synthetic=provenance.synthetic,
            earlier_releases=earlier,
            rates_by_region=rates_by_region(settings),
            published_cells=markdown_table(visible.to_dict("records")),
        )
        yield dg.MaterializeResult(schemas.PROTECTED_RATES.name, metadata=metadata)


@dg.asset(
    deps=[schemas.PROTECTED_RATES.name, schemas.PROTECTED_SENSITIVITY.name],
    **declared(
        PROTECTION,
        "Which protected tables of the year may be released: those that have passed all blocking checks of "
        "`protected_rates`. Nothing is released but these.",
        table=schemas.CLEARED,
        zone=CONFIDENTIAL,
        code=["disclosure"],
        kinds={"parquet"},
    ),
)
def cleared(context: dg.AssetExecutionContext, settings: SettingsParam, engine: DuckDBEngine) -> None:
    with year_context(context, settings, engine) as work:
        assert_checked(work, context.instance)
        clear(work)
