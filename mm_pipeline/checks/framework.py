"""How a check is written and what it says.

A check is a function from :class:`~mm_pipeline.assets.common.Step` to an :class:`Outcome`. All checks of an asset run
in one Dagster step, on one engine session. Every outcome says in words what was looked at; a failure says what failed,
where, how much, and what to do next. A check that cannot look says "Not applicable" and why; Dagster has no third
state, so it counts as not failed, and the command line and the metadata (``outcome``) tell it from a pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mm_pipeline.assets.common import SMALLEST_SHOWN, SettingsParam, Step, is_small, people, step
from mm_pipeline.catalogue import Table
from mm_pipeline.partitions import YEARS

PASSED, WARNING, FAILED, NOT_APPLICABLE = "passed", "warning", "failed", "not applicable"


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


def failed(text: str, **metadata: Any) -> Outcome:
    """The check failed; if it is blocking, nothing downstream is built."""
    return Outcome(FAILED, text, metadata)


def not_applicable(why: str, **metadata: Any) -> Outcome:
    """The check did not look, and why."""
    return Outcome(NOT_APPLICABLE, f"Not applicable: {why}", metadata)


@dataclass(frozen=True)
class Check:
    """``look`` may give an Outcome of any state; ``blocking`` only matters for a failure.

    ``after``: further tables it reads beside those upstream of the asset.
    """

    name: str
    description: str
    look: Callable[[Step], Outcome]
    blocking: bool = False
    after: tuple[str, ...] = ()


def checks_of(
    table: Table | str, checks: Sequence[Check], *, name: str = "", then: Callable[[Step, bool], None] | None = None
) -> dg.AssetChecksDefinition:
    """The Dagster definition of all checks of one yearly asset, or of some that wait for more than the others (``name``).

    ``then`` is called when all have looked, and told whether no blocking one failed.
    """
    asset = table if isinstance(table, str) else table.name

    @dg.multi_asset_check(
        name=name or f"{asset}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=asset,
                description=check.description,
                additional_deps=check.after,
                blocking=check.blocking,
                partitions_def=YEARS,
            )
            for check in checks
        ],
    )
    def run(context: dg.AssetCheckExecutionContext, settings: SettingsParam) -> Iterator[dg.AssetCheckResult]:
        with step(context, settings) as work:
            passed = True
            for check in checks:
                outcome = check.look(work)
                passed &= not (check.blocking and outcome.state == FAILED)
                yield result(asset, check.name, outcome)
            if then:
                then(work, passed)

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


ALL_BUT_A_FEW = "all but a few"


def tolerated(
    work: Step,
    check: str,
    found: int,
    of: int,
    *,
    who: str,
    do: str,
    fault: str,
    advice: str,
    nothing: str,
    is_part: bool = True,
    shows_total: bool = True,
    **metadata: Any,
) -> Outcome:
    """Outcome of a check that counts the cases that break a rule, by its tolerance (``MM_TOLERANCES``).

    ``who`` are the cases in words, what they ``do`` if all is well, the ``fault`` of those found, and what to do next.
    ``nothing``: why the check is not applicable when there is none to look at. ``is_part``: whether those found are among
    those looked at; if not, the rest of them means nothing. ``shows_total``: whether the number looked at may be shown. A
    small number is held against the tolerance as if it were the smallest that may be shown: whether the check warns
    would tell which it is otherwise.
    """
    if of == 0:
        return not_applicable(nothing)
    limit = work.settings.tolerances[check]
    share = share_of_people(found, of) if is_part and found else _share(found, of)
    metadata = {
        "found": share if share == ALL_BUT_A_FEW else people(found),
        **({"looked_at": people(of)} if shows_total else {}),
        "share": share,
        "tolerated": percent(limit),
        **metadata,
    }
    if found == 0:
        return passed(f"All {f'{people(of)} ' if shows_total else ''}{who} {do}.", **metadata)
    some = some_of(found, of, who) if is_part or is_small(found) else f"{found} {who} ({share})"
    text = f"{some} {fault}"
    if max(found, SMALLEST_SHOWN) / of <= limit:
        return passed(f"{text}; up to {percent(limit)} is tolerated (MM_TOLERANCES).", **metadata)
    return warning(f"{text}; more than the {percent(limit)} that is tolerated (MM_TOLERANCES). {advice}", **metadata)


def percent(share: float) -> str:
    return "under 0.01 %" if 0 < share < 0.00005 else f"{100 * share:.2f} %"


def _share(count: int, total: int) -> str:
    return "few" if is_small(count) else percent(count / total)


def share_of_people(count: int, total: int) -> str:
    """``percent``, but in words where it would tell a small number of people, or of the others, to who knows ``total``."""
    if is_small(total) and count in (0, total):
        return "all" if count else "none"
    if is_small(count):
        return "few"
    if is_small(total - count):
        return ALL_BUT_A_FEW
    return percent(count / total)


def some_of(count: int, total: int, who: str) -> str:
    """The beginning of a sentence on ``count`` of ``total`` people, as it may be shown; ``who`` they are, in words."""
    if is_small(total) and count in (0, total):
        return f"All {who}" if count else f"No {who}"
    if is_small(count):
        return f"{people(count)} {who}"
    if is_small(total - count):
        return f"All {who} but a few"
    return f"{count} {who} ({percent(count / total)})"
