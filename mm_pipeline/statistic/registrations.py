"""Registrations: who was registered where and when according to the billed lines, and which of them break the rules.

Rules: ``docs/capitation.md``. A set of months is a bit mask, bit 0 for January, so that sets are compared at once.
"""

import functools
import operator

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis import _

from mm_pipeline.statistic.cells import whole

MONTHS = range(1, 13)


@ibis.udf.agg.builtin
def bit_or(mask: dt.int32) -> dt.int32:
    """Union of bit masks. Ibis' own ``bit_or()`` has no translation for Spark."""


@ibis.udf.scalar.builtin
def bit_count(mask: dt.int32) -> dt.int8:
    """Number of bits set."""


def registrations(raw_forfaits: ir.Table) -> ir.Table:
    """Registrations, one row a patient and house with a billed line. Columns of :data:`mm_pipeline.schemas.REGISTRATIONS`.

    A (patient, house, month) *counts*, once, when its net billed quantity, regularisations included, is at least 1.
    """
    lines = raw_forfaits.mutate(month=_.service_date.month())
    # A column for each month, since rows by patient, house and month would be ten times as many groups.
    net = {month: f"net_{month}" for month in MONTHS}
    sums = lines.group_by("patient_key", "house_id").agg(
        **{name: ibis.ifelse(_.month == month, _.quantity, 0).sum() for month, name in net.items()},
        regularised=ibis.greatest(-_.quantity, 0).sum(),
    )

    def bits(least: int) -> ir.Value:
        bit_of = (ibis.ifelse(sums[name] >= least, 1 << (month - 1), 0) for month, name in net.items())
        return functools.reduce(operator.or_, bit_of).cast("int32")

    counted = [ibis.ifelse(sums[name] >= 1, month, None) for month, name in net.items()]
    return sums.select(
        "patient_key",
        "house_id",
        months=bits(1),
        months_twice=bits(2),
        first_month=ibis.least(*counted).cast("int32"),
        last_month=ibis.greatest(*counted).cast("int32"),
        quantity=whole(functools.reduce(operator.add, (sums[name] for name in net.values()))),
        regularised=whole(sums.regularised),
    )


def patients_by_month() -> dict[str, ibis.Deferred]:
    """Aggregates over registrations: number of patients who count in each month, keyed by its number."""
    return {str(month): ((_.months & (1 << (month - 1))) != 0).cast("int64").sum() for month in MONTHS}


def of_several_houses(registrations: ir.Table) -> ir.Table:
    """Registrations of patients who count at several houses: ``patient_key``, ``house_id``, ``months``, ``last_month``."""
    counted = registrations.filter(_.months > 0)
    several = counted.group_by("patient_key").agg(houses=_.count()).filter(_.houses > 1)
    return counted.semi_join(several, "patient_key").select("patient_key", "house_id", "months", "last_month")


def overlaps(registrations: ir.Table) -> ir.Table:
    """Pairs of houses of one patient: ``patient_key``, ``house_id`` < ``other_house``, ``both``, ``transfer``.

    ``both``: the months that count at both houses (0: none). ``transfer``: those of them in which one registration ends and
    the other begins; nothing is known before January and after December, so there it may.
    """
    counted = of_several_houses(registrations).select("patient_key", "house_id", "months")
    other = counted.select("patient_key", other_house=_.house_id, other_months=_.months)
    pairs = counted.inner_join(other, "patient_key").filter(_.house_id < _.other_house)
    a, b = pairs.months, pairs.other_months
    # A registration ends in a month after which the next does not count, and begins in one before which the last does not.
    transfer = (without(a, a >> 1) & without(b, b << 1)) | (without(b, b >> 1) & without(a, a << 1))
    return pairs.select("patient_key", "house_id", "other_house", both=a & b, transfer=transfer)


def gaps(registrations: ir.Table) -> ir.Table:
    """Registrations with a gap: ``patient_key``, ``house_id``, ``gap``.

    ``gap``: the months between the first and the last counted one in which no house of the patient counts.
    """
    counted = registrations.filter(_.months > 0)
    patient = counted.group_by("patient_key").agg(anywhere=bit_or(_.months))
    # Few registrations have a hole: only these are joined.
    broken = counted.filter(bit_count(_.months) <= _.last_month - _.first_month).inner_join(patient, "patient_key")
    one = ibis.literal(1, "int32")
    from_first_to_last = ((one << broken.last_month) - (one << (broken.first_month - 1))).cast("int32")
    gap = without(from_first_to_last, broken.anywhere)
    return broken.select("patient_key", "house_id", gap=gap).filter(_.gap != 0)


def without(months: ir.Value, others: ir.Value) -> ir.Value:
    """The months that are not among ``others``.

    Not written as ``months & ~others``, since Ibis renders ``~(a >> 1)`` as ``~a >> 1``, another number.
    """
    return (months - (months & others)).cast("int32")
