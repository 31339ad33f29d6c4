"""Checks of the contributions: is anybody, or any household, asked more than allowed (``docs/capitation.md``)?"""

from functools import partial

from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.checks.deliveries import checks_of_every_delivery, if_delivered
from mm_pipeline.defs.checks.framework import Check, Outcome, checks_of, tolerated
from mm_pipeline.defs.metadata import counted
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.schemas import Table
from mm_pipeline.statistic.contributions import CEILINGS, contributed


@if_delivered
def at_most_the_ceiling(work: YearContext, *, table: Table, check: str, key: str, who: str) -> Outcome:
    sums = contributed(work.read(table), key)
    counts = counted(sums.agg(all=_.count(), above=_.count(where=_.above)))
    return tolerated(
        work,
        check,
        counts["above"],
        counts["all"],
        who=who,
        do=f"are asked at most €{CEILINGS[key]} in the year, over all houses",
        fault=f"are asked more than €{CEILINGS[key]} in the year, over all houses",
        advice="Contributions are no part of the statistic; tell the sender and the INAMI, which supervises houses.",
        nothing="no row of contributions was kept; see quarantined_share.",
    )


def _ceiling(check: str, key: str, who: str) -> Check:
    return Check(
        check,
        f"No {key.removesuffix('_key')} contributes more than €{CEILINGS[key]} in the year, over all houses.",
        partial(at_most_the_ceiling, table=schemas.RAW_CONTRIBUTIONS, check=check, key=key, who=who),
    )


OF_CONTRIBUTIONS = [
    _ceiling("contribution_per_patient", "patient_key", "patients who contribute"),
    _ceiling("contribution_per_household", "household_key", "households that contribute"),
]

CHECKS = [
    checks_of(schemas.RAW_CONTRIBUTIONS, [*checks_of_every_delivery(schemas.RAW_CONTRIBUTIONS), *OF_CONTRIBUTIONS])
]
