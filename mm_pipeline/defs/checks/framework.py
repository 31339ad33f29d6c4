"""How a check is written and what it says.

A :func:`check` is a function from a :class:`~mm_pipeline.defs.year_context.YearContext` to an :class:`Outcome`. All of an
asset run in one Dagster step, on one engine session. Every outcome says in words what was looked at; a failure says what
failed, where, how much, and what to do next. A check that cannot look says "Not applicable" and why; Dagster has no third
state, so it counts as not failed, and the command line and the metadata (``outcome``) tell it from a pass.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import dagster as dg

from mm_pipeline.defs.assets.common import SettingsParam
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.year_context import YearContext, year_context
from mm_pipeline.disclosure.small_numbers import ROUNDED_TO, is_small, people, rounded, told
from mm_pipeline.operations.status import FAILED, HELD, NOT_APPLICABLE, PASSED, WARNING
from mm_pipeline.schemas import Table


@dataclass(frozen=True)
class Outcome:
    state: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


def passed(text: str, **metadata: Any) -> Outcome:
    return Outcome(PASSED, text, metadata)


def warning(text: str, **metadata: Any) -> Outcome:
    """Something to look at; what is downstream is built all the same."""
    return Outcome(WARNING, text, metadata)


def doubtful(work: YearContext, text: str, how_much: float, **metadata: Any) -> Outcome:
    """A :func:`warning`; where ``how_much`` is beyond the hold limit of the check, one that holds the year back.

    All is built then, and nothing released before a person has looked (:mod:`mm_pipeline.operations.sign_off`).
    """
    if how_much <= work.hold_limit:
        return warning(text, **metadata)
    text = f"{text} This is beyond the limit of {work.hold_limit:g} (MM_HOLD_LIMITS), so the year is held."
    return Outcome(HELD, text, metadata)


def failed(text: str, **metadata: Any) -> Outcome:
    """The check failed; if it is blocking, nothing downstream is built."""
    return Outcome(FAILED, text, metadata)


def not_applicable(why: str, **metadata: Any) -> Outcome:
    """The check did not look, and why."""
    return Outcome(NOT_APPLICABLE, f"Not applicable: {why}", metadata)


@dataclass(frozen=True, eq=False)
class Check:
    """What :func:`check` makes of a function. Whoever calls it lets it look, with its tolerance.

    ``tables``: what it looks at; of several it looks at each by itself, given as ``table``. ``look`` may give an Outcome
    of any state; ``blocking`` only matters for a failure.
    """

    look: Callable[..., Outcome]
    tables: tuple[Table | str, ...]
    description: str
    blocking: bool = False
    after: tuple[Table, ...] = ()
    """Further tables it reads beside those upstream of the asset."""
    tolerance: float | None = None
    """Of a check that counts cases which break a rule: the share of cases up to which it passes (``MM_TOLERANCES``)."""
    hold_limit: float | None = None
    """Beyond which the check holds the year back (:func:`doubtful`, ``MM_HOLD_LIMITS``); in what unit its page says."""
    step: str = "{asset}_checks"
    """The Dagster step in which it runs, with others of the same; one that waits for more has a step apart."""
    metadata: Callable[[YearContext], dict[str, Any]] = lambda work: {}
    """What each of its results tells beside its own; made once a step, before the checks look."""

    @property
    def name(self) -> str:
        return self.look.__name__

    @property
    def assets(self) -> tuple[str, ...]:
        """The names of the assets that it is a check of: those of its tables."""
        return tuple(table if isinstance(table, str) else table.name for table in self.tables)

    def __call__(self, work: YearContext, **arguments: Any) -> Outcome:
        if self.tolerance is not None:
            work = replace(work, tolerance=work.settings.tolerances.get(self.name, self.tolerance))
        if self.hold_limit is not None:
            work = replace(work, hold_limit=work.settings.hold_limits.get(self.name, self.hold_limit))
        return self.look(work, **arguments)


def check(
    tables: Table | str | tuple[Table, ...], description: str = "", **more: Any
) -> Callable[[Callable[..., Outcome]], Check]:
    """Decorator of a check; see :class:`Check`. Its function gives it a name, and the first line of the docstring if it has
    no ``description``."""

    def decorate(look: Callable[..., Outcome]) -> Check:
        told = description or (inspect.getdoc(look) or "").partition("\n")[0]
        return Check(look, tables if isinstance(tables, tuple) else (tables,), told, **more)

    return decorate


def checks_in(*modules: ModuleType) -> list[Check]:
    """In the order in which they are written there."""
    return [each for module in modules for each in vars(module).values() if isinstance(each, Check)]


def steps_of(checks: Iterable[Check]) -> list[dg.AssetChecksDefinition]:
    """The Dagster definitions of checks of yearly assets."""
    steps: dict[tuple[str, str], dict[Check, dict[str, Any]]] = {}
    for check in checks:
        for table, asset in zip(check.tables, check.assets, strict=True):
            step = steps.setdefault((asset, check.step.format(asset=asset, check=check.name)), {})
            step[check] = {"table": table} if len(check.tables) > 1 else {}
    return [_step(asset, name, found) for (asset, name), found in steps.items()]


def _step(asset: str, name: str, checks: Mapping[Check, dict[str, Any]]) -> dg.AssetChecksDefinition:
    """``checks``, and with which arguments they look."""

    @dg.multi_asset_check(
        name=name,
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=asset,
                description=check.description,
                additional_deps=[table.name for table in check.after],
                blocking=check.blocking,
                partitions_def=YEARS,
            )
            for check in checks
        ],
    )
    def run(
        context: dg.AssetCheckExecutionContext, settings: SettingsParam, engine: DuckDBEngine
    ) -> Iterator[dg.AssetCheckResult]:
        with year_context(context, settings, engine) as work:
            also = {metadata: metadata(work) for metadata in {check.metadata for check in checks}}
            for check, arguments in checks.items():
                outcome = check(work, **arguments)
                yield result(asset, check.name, replace(outcome, metadata={**outcome.metadata, **also[check.metadata]}))

    return run


def result(asset: str, name: str, outcome: Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=outcome.state in (PASSED, NOT_APPLICABLE),
        severity=dg.AssetCheckSeverity.ERROR if outcome.state == FAILED else dg.AssetCheckSeverity.WARN,
        description=outcome.text,
        metadata={"outcome": outcome.state, **outcome.metadata},
    )


def tolerated(
    work: YearContext,
    found: int,
    of: int,
    *,
    who: str,
    do: str,
    fault: str,
    advice: str,
    nothing: str,
    of_people: bool = True,
    **metadata: Any,
) -> Outcome:
    """Outcome of a check that counts the cases that break a rule, by its tolerance.

    ``who`` are the cases in words, what they ``do`` if all is well, the ``fault`` of those found, and what to do next.
    ``nothing``: why the check is not applicable when there is none to look at. ``of_people``: whether those looked at are
    people or rows of theirs, of which only a round number may be shown; else they are houses. A small number is held
    against the tolerance as if it were the smallest that may be shown: whether the check warns would tell which it is
    otherwise.
    """
    if of == 0:
        return not_applicable(nothing)
    limit, threshold = work.tolerance, work.settings.disclosure_threshold
    metadata = {
        "found": people(found, threshold),
        "looked_at": told(of) if of_people else people(of, threshold),
        "share": _share(found, rounded(of) if of_people else of, threshold) or "not shown",
        "tolerated": percent(limit),
        **metadata,
    }
    if found == 0:
        return passed(f"All {who} {do}.", **metadata)
    text = f"{some_of(found, rounded(of) if of_people else of, who, threshold)} {fault}"
    if max(found, threshold) / of <= limit:
        return passed(f"{text}; up to {percent(limit)} is tolerated (MM_TOLERANCES).", **metadata)
    return warning(f"{text}; more than the {percent(limit)} that is tolerated (MM_TOLERANCES). {advice}", **metadata)


def percent(share: float) -> str:
    return "under 0.01 %" if 0 < share < 0.00005 else f"{100 * share:.2f} %"


def _share(count: int, total: int, threshold: int) -> str:
    """Of a ``total`` that may be shown; empty where none may."""
    return "few" if is_small(count, threshold) else percent(min(1.0, count / total)) if total else ""


SOME = "some"


def share_of_people(count: int, total: int) -> str:
    """A share of people by round numbers: to who knows ``total`` it tells ``count`` no better than :func:`told` does.

    Of fewer than a thousand there is none.
    """
    part, whole = rounded(count), rounded(total)
    if whole < 10 * ROUNDED_TO:
        return SOME
    return percent(min(1.0, part / whole)) if part else f"under {percent(ROUNDED_TO / 2 / whole)}"


def some_of(count: int, total: int, who: str, threshold: int) -> str:
    """The beginning of a sentence on ``count`` cases, ``who`` in words, of a ``total`` that may be shown."""
    share = "" if is_small(count, threshold) else _share(count, total, threshold)
    return f"{people(count, threshold)} {who}" + (f" ({share})" if share else "")
