"""What has been released of a year, kept in the lake so that a revision does not give it away.

``protected_rates`` keeps what it is made from and what it shows (``disclosed_rates``, confidential); ``published_year``
marks what goes out (``releases``, and the thresholds of the sensitivity table in ``shown_sensitivity``). What was protected
and never went out, because a check stopped it, is forgotten.
"""

import ibis
import pandas as pd
import pyarrow as pa

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step
from mm_pipeline.catalogue import Table
from mm_pipeline.disclosure.protect import protect
from mm_pipeline.disclosure.revision import digest_of, disclosed, releases_of, remembered
from mm_pipeline.disclosure.sensitivity import protect_sensitivity
from mm_pipeline.storage.lake import Provenance


def protect_year(work: Step, provenance: Provenance) -> tuple[pd.DataFrame, int]:
    """Write ``protected_rates`` and ``protected_sensitivity`` of the year.

    Returns the rates, and the number of earlier releases that they take into account.
    """
    threshold = work.settings.disclosure_threshold
    rates = work.read(catalogue.SECTOR_RATES).to_pandas()
    kept, released = _kept(work, catalogue.DISCLOSED_RATES), set(_kept(work, catalogue.RELEASES)["digest"])
    protected = protect(rates, threshold, releases_of(kept, released))
    now = disclosed(rates, protected).assign(year=work.year)
    kept = remembered(kept, now, digest=digest_of(protected), threshold=threshold, released=released)
    _keep(work, catalogue.DISCLOSED_RATES, kept, provenance)
    _keep(work, catalogue.PROTECTED_SENSITIVITY, _protected_sensitivity(work, protected), provenance)
    _keep(work, catalogue.PROTECTED_RATES, protected, provenance)
    return protected, int(kept["release"].max()) - 1


def _protected_sensitivity(work: Step, protected: pd.DataFrame) -> pd.DataFrame:
    shown = _kept(work, catalogue.SHOWN_SENSITIVITY)
    table = protect_sensitivity(
        work.read(catalogue.THRESHOLD_COUNTS).to_pandas(),
        sensitivity_totals(protected),
        work.settings.threshold,
        work.settings.disclosure_threshold,
        shown if len(shown) else None,
    )
    return table.assign(year=work.year)


def sensitivity_totals(protected: pd.DataFrame) -> pd.DataFrame:
    """What ``protected_rates`` shows of the areas of the sensitivity table."""
    return protected[protected["level"].isin(["country", "region"]) & (protected["dimension"] == "total")]


def mark_released(work: Step) -> None:
    """Mark the protected tables of the year as released. Before they go out: better once too often."""
    digest = digest_of(work.read(catalogue.PROTECTED_RATES).to_pandas())
    marks = pd.DataFrame({"digest": sorted({*_kept(work, catalogue.RELEASES)["digest"], digest})}).assign(
        year=work.year
    )
    provenance = work.lake.derived_from(catalogue.PROTECTED_RATES, year=work.year)
    _keep(work, catalogue.RELEASES, marks, provenance)
    now = work.read(catalogue.PROTECTED_SENSITIVITY).to_pandas()
    now = now[(now["rule"] == "at_least") & (now["status"] == "published")]
    shown = pd.concat([_kept(work, catalogue.SHOWN_SENSITIVITY), now])[catalogue.SHOWN_SENSITIVITY.column_names]
    _keep(work, catalogue.SHOWN_SENSITIVITY, shown.drop_duplicates(), provenance)


def _kept(work: Step, table: Table) -> pd.DataFrame:
    if not work.lake.has(table, work.year):
        return table.schema.empty_table().to_pandas()
    return work.read(table).to_pandas()


def _keep(work: Step, table: Table, rows: pd.DataFrame, provenance: Provenance) -> None:
    content = pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False)
    work.lake.write(work.backend, table, work.year, ibis.memtable(content), provenance)
