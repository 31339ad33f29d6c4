"""Forfaits per patient: how many maison médicale forfaits in the year (FF_MH), at which house, and what explains it."""

import ibis
import ibis.expr.types as ir
from ibis import _

from mm_pipeline.statistic.cells import whole
from mm_pipeline.statistic.registrations import bit_count, bit_or, of_several_houses, overlaps


def forfaits_per_patient(registrations: ir.Table) -> ir.Table:
    """Forfaits of the year, one row a patient. Columns of :data:`mm_pipeline.schemas.FORFAITS_PER_PATIENT`.

    Months add up over houses, and two houses in one month are one month, since the statistic is about affiliation to
    *a* maison médicale. ``house_id`` is the house with most counted months; tie: the one whose last counted month is
    later; tie: the smallest id. ``houses`` are all houses with a counted month. Both are empty without a counted month.
    """
    patients = registrations.group_by("patient_key").agg(
        months=bit_or(_.months),
        months_twice=bit_or(_.months_twice),
        first_month=_.first_month.min(),
        last_month=_.last_month.max(),
        quantity=whole(_.quantity.sum()),
        regularised=whole(_.regularised.sum()),
        any_house=_.house_id.max(where=_.months > 0),
    )
    # Few patients have several houses: only theirs are ranked and compared.
    several = of_several_houses(registrations)
    best_first = [bit_count(_.months).desc(), _.last_month.desc(), _.house_id]
    ranked = several.mutate(rank=ibis.row_number().over(group_by="patient_key", order_by=best_first))
    at = ranked.group_by("patient_key").agg(
        best_house=_.house_id.max(where=_.rank == 0), all_houses=_.house_id.collect(order_by=_.house_id)
    )
    shared = overlaps(registrations).group_by("patient_key").agg(shared=bit_or(_.both))
    known = patients.left_join(at, "patient_key").drop("patient_key_right").left_join(shared, "patient_key")
    forfaits = bit_count(known.months).cast("int32")
    alone = ibis.ifelse(known.any_house.notnull(), ibis.array([known.any_house]), None)
    return known.select(
        "patient_key",
        "first_month",
        "last_month",
        "quantity",
        "regularised",
        house_id=ibis.coalesce(known.best_house, known.any_house),
        houses=ibis.coalesce(known.all_houses, alone),
        forfaits=forfaits,
        gaps=(known.last_month - known.first_month + 1 - forfaits).fill_null(0).cast("int32"),
        months_billed_twice=bit_count(known.months_twice | known.shared.fill_null(0)).cast("int32"),
    )
