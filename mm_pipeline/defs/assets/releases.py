"""What may be released of a year and what has been, kept in the lake so that nothing that is unsafe goes out, and a revision
does not give an earlier release away.

``protected_rates`` keeps what it is made from and what it shows (``disclosed_rates``, confidential). When its blocking
checks have passed they clear it (``cleared``). ``published_year`` publishes a cleared table only, and marks what goes out
(``releases``, and the thresholds of the sensitivity table in ``shown_sensitivity``). What was protected and never went out,
because a check stopped it, is forgotten.
"""

import hashlib

import ibis
import pandas as pd
import pyarrow as pa

from mm_pipeline import schemas
from mm_pipeline.defs.assets.common import Step
from mm_pipeline.disclosure.postponement import as_postponed
from mm_pipeline.disclosure.protect import protect_revision
from mm_pipeline.disclosure.revision import (
    digest_of,
    disclosed,
    releases_of,
    remembered,
    threshold_cells,
    threshold_counts,
    thresholds_of,
)
from mm_pipeline.disclosure.sensitivity import protect_sensitivity
from mm_pipeline.errors import ReleaseError
from mm_pipeline.schemas import Table
from mm_pipeline.storage.lake import Provenance


def protect_year(work: Step, provenance: Provenance) -> tuple[pd.DataFrame, int]:
    """Write ``protected_rates`` and ``protected_sensitivity`` of the year.

    Returns the rates, and the number of earlier releases that they take into account. ReleaseError where one of these
    was made with another number of forfaits: the difference of two thresholds is a group that is protected in neither.
    """
    threshold, releases = work.settings.disclosure_threshold, _kept(work, schemas.RELEASES)
    for other in sorted(set(releases["threshold"].dropna().astype(int)) - {work.settings.minimum_forfaits}):
        raise ReleaseError(
            f"{work.year} was released with MM_THRESHOLD={other}. Another release with {work.settings.minimum_forfaits} "
            "would tell by subtraction how many patients lie between the two, protected in neither. Set MM_THRESHOLD "
            "back, or use another data folder (MM_DATA_DIR) for figures that are not released."
        )
    published = work.settings.published_dir / str(work.year) / "rates.parquet"
    if not len(releases) and published.is_file():
        raise ReleaseError(
            f"data/published/{work.year} holds a release that data/lake/releases does not know, so that a new one cannot be "
            f"protected against it. Put data/lake/disclosed_rates, releases and shown_sensitivity of {work.year} back from "
            f"a backup. If nobody ever had that release: move data/published/{work.year} away. Then build the year again."
        )
    rates = work.read(schemas.SECTOR_RATES).to_pandas()
    kept, released = _kept(work, schemas.DISCLOSED_RATES), set(releases["digest"])
    result = protect_revision(
        rates,
        threshold,
        releases_of(kept, released),
        highest=work.settings.revision_may_hide,
        total_worth=work.settings.total_worth,
    )
    counts = threshold_cells(work.read(schemas.THRESHOLD_COUNTS).to_pandas())
    before = thresholds_of(kept, released)
    known = len(before) > 0 or not result.postponed  # an earlier version of the program did not keep them
    counts = as_postponed(counts, before, result.postponed) if known else counts
    now = pd.concat([disclosed(result.rates, result.table), *([counts] if known else [])]).assign(year=work.year)
    kept = remembered(kept, now, digest=digest_of(result.table), disclosure_threshold=threshold, released=released)
    _keep(work, schemas.DISCLOSED_RATES, kept, provenance)
    _keep(work, schemas.PROTECTED_SENSITIVITY, _protected_sensitivity(work, result.table, counts, known), provenance)
    _keep(work, schemas.PROTECTED_RATES, result.table, provenance)
    return result.table, int(kept["release"].max()) - 1


def _protected_sensitivity(work: Step, protected: pd.DataFrame, cells: pd.DataFrame, known: bool) -> pd.DataFrame:
    """``known``: whether ``cells`` have what is postponed; if not, no threshold is shown but that of the statistic."""
    shown, counts = _kept(work, schemas.SHOWN_SENSITIVITY), threshold_counts(cells)
    main = work.settings.minimum_forfaits
    totals = sensitivity_totals(protected)
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


def clear(work: Step, passed: bool) -> None:
    """After the blocking checks of ``protected_rates``: these tables of the year may be released, or none may."""
    protected, sensitivity = (_kept(work, table) for table in (schemas.PROTECTED_RATES, schemas.PROTECTED_SENSITIVITY))
    digests = [_digest_of_both(protected, sensitivity)] if passed else []
    _keep(work, schemas.CLEARED, pd.DataFrame({"digest": digests}, dtype=str).assign(year=work.year), Provenance(False))


def assert_cleared(work: Step, protected: pd.DataFrame, sensitivity: pd.DataFrame) -> None:
    """ReleaseError where these protected tables of the year have not passed their checks."""
    if _digest_of_both(protected, sensitivity) not in set(_kept(work, schemas.CLEARED)["digest"]):
        raise ReleaseError(
            f"protected_rates of {work.year} has not passed its checks, or was made again since. Nothing was released. "
            f"{_again(work)} If a check of protected_rates is red, its text says what to do."
        )


def _again(work: Step) -> str:
    return f"Build {work.year} again as a whole (job year)."


def mark_released(work: Step, protected: pd.DataFrame, sensitivity: pd.DataFrame) -> None:
    """Mark these protected tables of the year as released. Before they go out: better once too often.

    ReleaseError where they have not passed their checks, or ``disclosed_rates`` does not know them or an earlier release:
    then a later revision could not be protected against them.
    """
    assert_cleared(work, protected, sensitivity)
    releases, digest = _kept(work, schemas.RELEASES), digest_of(protected)
    marks = {
        **dict(zip(releases["digest"], releases["threshold"], strict=True)),
        digest: work.settings.minimum_forfaits,
    }
    if not set(marks) <= set(_kept(work, schemas.DISCLOSED_RATES)["digest"]):
        raise ReleaseError(
            f"{work.year}: data/lake/disclosed_rates does not hold every table that was released. Two runs built the year "
            "at the same time, or an old copy was put back. Nothing was released. Put the newest copy back if there is one. "
            f"{_again(work)}"
        )
    provenance = work.lake.derived_from(schemas.PROTECTED_RATES, year=work.year)
    table = pd.DataFrame({"digest": list(marks), "threshold": list(marks.values())}).assign(year=work.year)
    _keep(work, schemas.RELEASES, table, provenance)
    now = sensitivity[(sensitivity["rule"] == "at_least") & (sensitivity["status"] == "published")]
    shown = pd.concat([_kept(work, schemas.SHOWN_SENSITIVITY), now])[schemas.SHOWN_SENSITIVITY.column_names]
    _keep(work, schemas.SHOWN_SENSITIVITY, shown.drop_duplicates(), provenance)


def _digest_of_both(protected: pd.DataFrame, sensitivity: pd.DataFrame) -> str:
    rows = sensitivity.sort_values(list(schemas.PROTECTED_SENSITIVITY.order)).to_csv(index=False)
    return hashlib.sha256(f"{digest_of(protected)}\n{rows}".encode()).hexdigest()


def _kept(work: Step, table: Table) -> pd.DataFrame:
    if not work.lake.was_written(table, work.year):
        return table.schema.empty_table().to_pandas()
    # A column that an earlier version of the program did not keep is empty.
    return work.read(table).to_pandas().reindex(columns=table.column_names)


def _keep(work: Step, table: Table, rows: pd.DataFrame, provenance: Provenance) -> None:
    content = pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False)
    work.lake.write(work.backend, table, work.year, ibis.memtable(content), provenance)
