"""Checks of the contributions: is anybody, or any household, asked more than allowed (``docs/capitation.md``)?"""

from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.checks.deliveries import if_delivered
from mm_pipeline.defs.checks.framework import Outcome, check, tolerated
from mm_pipeline.defs.metadata import counted
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.schemas import Table
from mm_pipeline.statistic.contributions import CEILINGS, contributed


@check(
    schemas.RAW_CONTRIBUTIONS,
    f"No patient contributes more than €{CEILINGS['patient_key']} in the year, over all houses.",
    tolerance=0.001,
)
def contribution_per_patient(work: YearContext) -> Outcome:
    return _at_most_the_ceiling(work, table=schemas.RAW_CONTRIBUTIONS, key="patient_key", who="patients who contribute")


@check(
    schemas.RAW_CONTRIBUTIONS,
    f"No household contributes more than €{CEILINGS['household_key']} in the year, over all houses.",
    tolerance=0.001,
)
def contribution_per_household(work: YearContext) -> Outcome:
    return _at_most_the_ceiling(
        work, table=schemas.RAW_CONTRIBUTIONS, key="household_key", who="households that contribute"
    )


@if_delivered
def _at_most_the_ceiling(work: YearContext, *, table: Table, key: str, who: str) -> Outcome:
    sums = contributed(work.read(table), key)
    counts = counted(sums.agg(all=_.count(), above=_.count(where=_.above)))
    return tolerated(
        work,
        counts["above"],
        counts["all"],
        who=who,
        do=f"are asked at most €{CEILINGS[key]} in the year, over all houses",
        fault=f"are asked more than €{CEILINGS[key]} in the year, over all houses",
        advice="Contributions are no part of the statistic; tell the sender and the INAMI, which supervises houses.",
        nothing="no row of contributions was kept; see quarantined_share.",
    )
