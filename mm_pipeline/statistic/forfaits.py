"""How many maison médicale forfaits a patient has in the year (FF_MH), and at which house."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis import _


@ibis.udf.agg.builtin
def bit_or(mask: dt.int32) -> dt.int32:
    """Union of masks. (Ibis' own ``bit_or()`` has no translation for Spark.)"""


@ibis.udf.scalar.builtin
def bit_count(mask: dt.int32) -> dt.int8:
    """Number of bits set."""


def months_per_house(raw_forfaits: ir.Table) -> ir.Table:
    """Counted months: columns ``patient_key``, ``house_id``, ``months`` (a 12-bit mask, bit 0 is January), ``last``.

    A (patient, house, month) counts once when its net billed quantity, regularisations included, is at least 1.
    ``last`` is the last counted month. A patient and house without any counted month has ``months`` and ``last`` 0.
    """
    net = raw_forfaits.group_by("patient_key", "house_id", month=_.service_date.month()).agg(quantity=_.quantity.sum())
    month = ibis.ifelse(net.quantity >= 1, net.month, 0)
    bit = ibis.ifelse(net.quantity >= 1, ibis.literal(1, "int32") << (net.month - 1), 0).cast("int32")
    counted = net.mutate(month=month, bit=bit)
    return counted.group_by("patient_key", "house_id").agg(months=bit_or(_.bit), last=_.month.max())


def forfaits_per_patient(raw_forfaits: ir.Table) -> ir.Table:
    """One row a patient: ``patient_key``, ``forfaits`` (0 to 12), ``house_id``, ``houses``.

    Months add up over houses, and two houses in one month are one month, since the statistic is about affiliation to
    *a* maison médicale. ``house_id`` is the house with most counted months; tie: the one whose last counted month is
    later; tie: the smallest id. ``houses`` are all houses with a counted month. Both are empty without a counted month.
    """
    houses = months_per_house(raw_forfaits)
    patients = houses.group_by("patient_key").agg(forfaits=bit_count(bit_or(_.months)).cast("int32"))
    counted = houses.filter(_.months > 0)
    best_first = [bit_count(_.months).desc(), _.last.desc(), _.house_id]
    ranked = counted.mutate(rank=ibis.row_number().over(group_by="patient_key", order_by=best_first))
    at = ranked.group_by("patient_key").agg(
        house_id=_.house_id.max(where=_.rank == 0), houses=_.house_id.collect(order_by=_.house_id)
    )
    return patients.left_join(at, "patient_key").select("patient_key", "forfaits", "house_id", "houses")
