"""Where a beneficiary lives: the last residence known in the year."""

import ibis
import ibis.expr.types as ir
from ibis import _

LAST_FIRST = ("valid_from", "municipality_code", "sector_code", "birth_year", "sex", "preferential")
"""The last row of a person has the largest ``valid_from``; the other columns only make ties independent of row order
(larger text wins, a missing value loses)."""


def superseded(rows: ir.Table) -> ir.Table:
    """Rows that a later row of the same person replaces, as one column ``row``.

    ``rows``: ``row`` (unique number) and the columns of ``raw_beneficiaries``, of the persons who have several rows: few,
    and ranking everybody would cost five times as much.
    """
    last_first = [ibis.desc(_[column], nulls_first=False) for column in LAST_FIRST]
    rank = ibis.row_number().over(group_by="patient_key", order_by=[*last_first, _.row])
    return rows.mutate(rank=rank).filter(_.rank > 0).select("row")
