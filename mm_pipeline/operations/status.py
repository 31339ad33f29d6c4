"""Status of each year, for ``mm-pipeline status`` and the checks of the series in the UI.

Not here: whether it is up to date and why not (:mod:`mm_pipeline.operations.staleness`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from mm_pipeline.clock import all_years
from mm_pipeline.operations.dagster_workarounds import recorded_results
from mm_pipeline.operations.staleness import Ledger, YearState
from mm_pipeline.release.inputs import released_years

PASSED, WARNING, HELD, FAILED, NOT_APPLICABLE = "passed", "warning", "held", "failed", "not applicable"
"""Outcomes of a check. One that is held lets the year be built, and not released before a person does so."""
STATES = (PASSED, WARNING, HELD, FAILED, NOT_APPLICABLE)
SHORT = {"ok": (PASSED,), "warn": (WARNING, HELD), "fail": (FAILED,), "n/a": (NOT_APPLICABLE,)}
"""Heading of a table -> the outcomes that are counted under it: that a year is held, its state says."""

NO_DELIVERY, UP_TO_DATE = "no delivery", "up to date"


@dataclass(frozen=True)
class YearStatus:
    """The status of a year.

    ``is_built``: whether its rates were made, from any delivery; ``is_published``: whether a release of it is in
    ``data/published``; ``checks``: number of checks by outcome (of ``STATES``) in their last evaluation.
    """

    state: YearState
    is_built: bool
    is_protected: bool
    is_published: bool
    checks: dict[str, int]

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether the year is up to date, released and without failed checks; or nothing was ever delivered or made."""
        state = self.state
        if state.delivery.is_empty and not self.is_published and not state.purged:
            return True
        return state.is_up_to_date and not state.awaits and self.is_published and not self.checks.get(FAILED)

    @property
    def row(self) -> dict[str, str]:
        """The row of the status table: heading -> text. The last column says why the year is not up to date."""
        lies_there = self.state.delivery
        delivered = "complete" if lies_there.is_complete else ", ".join(lies_there.present) or "nothing"
        made = {"built": self.is_built, "protected": self.is_protected, "published": self.is_published}
        return {
            "year": str(self.state.year),
            "delivered": delivered,
            **{name: "yes" if done else "no" for name, done in made.items()},
            **in_short(self.checks),
            "state": self._state_in_words,
        }

    @property
    def _state_in_words(self) -> str:
        if self.state.delivery.is_empty and not self.is_built:
            return NO_DELIVERY
        if self.state.awaits:
            return self.state.awaits.in_short
        if self.state.is_up_to_date:
            gone = f" (persons purged on {self.state.purged.isoformat()})" if self.state.purged else ""
            return f"{UP_TO_DATE}{gone}" if self.is_published else f"{UP_TO_DATE}, not published{gone}"
        first, *more = self.state.changes or self.state.reasons
        return f"stale: {first}" + (f" (and {len(more)} more)" if more else "")


def status(ledger: Ledger, years: range | list[int] | None = None) -> list[YearStatus]:
    """The status of every year of the statistic, or of these."""
    released = set(released_years(ledger.settings))
    return [
        YearStatus(
            state=ledger.state(year),
            is_built=ledger.is_made("sector_rates", year),
            is_protected=ledger.is_made("protected_rates", year),
            is_published=year in released,
            checks=recorded_checks(ledger, year),
        )
        for year in (all_years() if years is None else years)
    ]


def recorded_checks(ledger: Ledger, year: int) -> dict[str, int]:
    """The number of checks of the year by outcome in their last evaluation, from Dagster's event log."""
    keys = [key for key in ledger.graph.asset_check_keys if ledger.graph.get(key).partitions_def is not None]
    return dict(Counter(map(state_of, recorded_results(ledger.instance, keys, year).values())))


def in_short(checks: Mapping[str, int]) -> dict[str, str]:
    """Numbers of checks by outcome, for a row of a table: heading (of ``SHORT``) -> number."""
    return {short: str(sum(checks.get(state, 0) for state in states)) for short, states in SHORT.items()}


def state_of(evaluation: dg.AssetCheckEvaluation) -> str:
    """The outcome of a check, one of ``STATES``: as the check recorded it, or as Dagster did."""
    if outcome := evaluation.metadata.get("outcome"):
        return str(outcome.value)
    if evaluation.passed:
        return PASSED
    return FAILED if evaluation.severity == dg.AssetCheckSeverity.ERROR else WARNING
