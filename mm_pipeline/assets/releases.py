"""What has been released of a year, kept in the lake so that a revision does not give it away.

``protected_rates`` keeps what it is made from and what it shows (``disclosed_rates``, confidential); ``published_year``
marks what goes out (``releases``). What was protected and never went out, because a check stopped it, is forgotten.
"""

import ibis
import pandas as pd
import pyarrow as pa

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step
from mm_pipeline.catalogue import Table
from mm_pipeline.disclosure.protect import protect
from mm_pipeline.disclosure.revision import digest_of, disclosed, releases_of, remembered
from mm_pipeline.storage.lake import Provenance


def protect_year(work: Step, provenance: Provenance) -> tuple[pd.DataFrame, int]:
    """``protected_rates`` of the year, and the number of earlier releases that it takes into account."""
    threshold = work.settings.disclosure_threshold
    rates = work.read(catalogue.SECTOR_RATES).to_pandas()
    kept, released = _kept(work, catalogue.DISCLOSED_RATES), set(_kept(work, catalogue.RELEASES)["digest"])
    protected = protect(rates, threshold, releases_of(kept, released))
    now = disclosed(rates, protected).assign(year=work.year)
    kept = remembered(kept, now, digest=digest_of(protected), threshold=threshold, released=released)
    _keep(work, catalogue.DISCLOSED_RATES, kept, provenance)
    return protected, int(kept["release"].max()) - 1


def mark_released(work: Step) -> None:
    """Mark the protected table of the year as released. Before its files are written: better once too often."""
    digest = digest_of(work.read(catalogue.PROTECTED_RATES).to_pandas())
    marks = pd.DataFrame({"digest": sorted({*_kept(work, catalogue.RELEASES)["digest"], digest})}).assign(
        year=work.year
    )
    _keep(work, catalogue.RELEASES, marks, work.lake.derived_from(catalogue.PROTECTED_RATES, year=work.year))


def _kept(work: Step, table: Table) -> pd.DataFrame:
    if not work.lake.has(table, work.year):
        return table.schema.empty_table().to_pandas()
    return work.read(table).to_pandas()


def _keep(work: Step, table: Table, rows: pd.DataFrame, provenance: Provenance) -> None:
    content = pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False)
    work.lake.write(work.backend, table, work.year, ibis.memtable(content), provenance)
