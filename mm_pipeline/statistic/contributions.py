"""Ceilings of the yearly contribution that a house may ask of its patients, per patient and per household.

Rules: ``docs/capitation.md``.
"""

from decimal import Decimal

import ibis.expr.types as ir
from ibis import _

CEILINGS = {"patient_key": Decimal("2.50"), "household_key": Decimal("12.50")}
"""Euro a year, over all houses."""


def contributed(raw_contributions: ir.Table, who: str) -> ir.Table:
    """The contributions of each patient (``who`` = ``patient_key``) or household (``household_key``) in the year.

    Columns: the one named by ``who``; ``amount_eur``; ``above``, whether that is more than the ceiling.
    """
    sums = raw_contributions.group_by(who).agg(amount_eur=_.amount_eur.sum())
    return sums.mutate(above=_.amount_eur > CEILINGS[who])
