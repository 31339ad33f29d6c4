"""Checks of the contributions: is anybody, or any household, asked more than allowed (``docs/capitation.md``)?"""

from functools import partial

from ibis import _

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step, is_small
from mm_pipeline.checks.framework import Check, Outcome, not_applicable, tolerated
from mm_pipeline.ingest.ingest import Account
from mm_pipeline.statistic.contributions import CEILINGS, contributed


def at_most_the_ceiling(work: Step, *, check: str, key: str, who: str) -> Outcome:
    if not Account.of(work.lake, catalogue.RAW_CONTRIBUTIONS, work.year).file:
        return not_applicable(f"no contributions were delivered for {work.year}.")
    sums = contributed(work.read(catalogue.RAW_CONTRIBUTIONS), key)
    counts = sums.agg(all=_.count(), above=_.count(where=_.above)).to_pyarrow().to_pylist()[0]
    rows = work.lake.written(catalogue.RAW_CONTRIBUTIONS, work.year).rows
    if counts["all"] == 0:
        return not_applicable("no row of contributions was kept; see quarantined_share.")
    return tolerated(
        work,
        check,
        counts["above"],
        counts["all"],
        who=who,
        shows_total=not is_small(rows - counts["all"]),  # rows are shown, and who has several would follow
        do=f"are asked at most €{CEILINGS[key]} in the year, over all houses",
        fault=f"are asked more than €{CEILINGS[key]} in the year, over all houses",
        advice="Contributions are no part of the statistic; tell the sender and the INAMI, which supervises houses.",
    )


CHECKS = [
    Check(
        "contribution_per_patient",
        f"No patient contributes more than €{CEILINGS['patient_key']} in the year, over all houses.",
        partial(
            at_most_the_ceiling, check="contribution_per_patient", key="patient_key", who="patients who contribute"
        ),
    ),
    Check(
        "contribution_per_household",
        f"No household contributes more than €{CEILINGS['household_key']} in the year, over all houses.",
        partial(
            at_most_the_ceiling,
            check="contribution_per_household",
            key="household_key",
            who="households that contribute",
        ),
    ),
]
"""Of ``raw_contributions``, beside those that every delivery has."""
