"""Residence of a beneficiary: the last one known in the year."""

import ibis
import ibis.expr.types as ir
from ibis import _

LAST_FIRST = ("valid_from", "municipality_code", "sector_code", "birth_year", "sex", "preferential")
"""Columns by which the rows of a person are ordered, the last first.

``valid_from`` decides; the others only make ties independent of the order of rows (larger text wins, missing loses).
"""


def superseded(rows: ir.Table) -> ir.Table:
    """The rows that a later row of the same person replaces. Column ``row``.

    ``rows``: ``row`` (unique number) and the columns of ``raw_beneficiaries``, only for persons with several rows. They are
    few, and ranking everybody would cost five times as much.
    """
    last_first = [ibis.desc(_[column], nulls_first=False) for column in LAST_FIRST]
    rank = ibis.row_number().over(group_by="patient_key", order_by=[*last_first, _.row])
    return rows.mutate(rank=rank).filter(_.rank > 0).select("row")
