"""Sensitivity to the minimum of forfaits: patients with at least 1, 2 ... 12, from country to arrondissement."""

import ibis
import ibis.expr.types as ir
from ibis import _

from mm_pipeline.dimensions import COUNTRY, LEVELS_WITH_AGE_CLASSES
from mm_pipeline.statistic.attribution import attributed_patients, with_residence
from mm_pipeline.statistic.cells import whole
from mm_pipeline.statistic.rates import ladder

MINIMA = range(1, 13)
"""Minimum numbers of forfaits; a year has twelve months, so nobody has more."""
LEVELS = LEVELS_WITH_AGE_CLASSES
"""The levels of the release (country and regions), and those that a revision may have to leave as they were."""


def threshold_counts(
    forfaits_per_patient: ir.Table,
    raw_dmg: ir.Table,
    raw_beneficiaries: ir.Table,
    geography: ir.Table,
    beneficiary_counts: ir.Table,
    year: int,
) -> ir.Table:
    """Patients of each area under each minimum number of forfaits, all else as in the statistic.

    Columns ``year``, ``level`` (of LEVELS), ``area_code``, ``parent_code``, ``threshold`` (the minimum, 1 to 12, int32),
    ``beneficiaries``, ``patients`` (both int64); a row for every area and minimum. Confidential: holds small numbers.
    At the minimum of the statistic they are the totals of ``sector_rates``.
    """
    # A DMG elsewhere excludes whatever the minimum is, so the patients at 12 are among those at 1.
    attributed = attributed_patients(forfaits_per_patient, raw_dmg, minimum_forfaits=1)
    attributed = with_residence(attributed, raw_beneficiaries)
    # Counted by municipality before any join: persons are many, municipalities few.
    patients = attributed.filter(_.is_beneficiary).group_by("municipality_code", "forfaits").agg(people=_.count())
    people = beneficiary_counts.group_by("municipality_code").agg(people=whole(_.beneficiaries.sum()))
    area = ["level", "area_code"]

    rows = ibis.memtable([{"level": level, "threshold": minimum} for level in LEVELS for minimum in MINIMA])
    rows = rows.mutate(threshold=_.threshold.cast("int32"))
    reached = _placed(patients, geography).inner_join(rows, "level").filter(_.forfaits >= _.threshold)
    reached = reached.group_by(*area, "threshold").agg(patients=whole(_.people.sum()))
    living = _placed(people, geography).group_by(area).agg(beneficiaries=whole(_.people.sum()))
    areas = geography.select(*area, "parent_code").inner_join(rows, "level")
    counts = areas.left_join(living, area).drop("level_right", "area_code_right")
    return counts.left_join(reached, [*area, "threshold"]).select(
        ibis.literal(year, "int32").name("year"),
        *area,
        "parent_code",
        "threshold",
        beneficiaries=_.beneficiaries.fill_null(0),
        patients=_.patients.fill_null(0),
    )


def _placed(by_municipality: ir.Table, geography: ir.Table) -> ir.Table:
    """The rows once for each area that they lie in; without a known municipality, for the country alone."""
    placed = by_municipality.left_join(ladder(geography), "municipality_code").drop("municipality_code_right")
    placed = placed.mutate(level=_.level.fill_null("country"), area_code=_.area_code.fill_null(COUNTRY))
    return placed.filter(_.level.isin(LEVELS))
