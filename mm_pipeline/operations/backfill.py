"""Backfill: the yearly job for many years, one after the other in this process or side by side in several.

Each year is a Dagster run of its own on the persistent instance, so the UI shows it like a run that was started there.
"""

import gc
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import dagster as dg
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.locks import SERIES, Locks, command_line
from mm_pipeline.operations.dagster_home import CODE_LOCATION, open_instance
from mm_pipeline.operations.dagster_workarounds import runs_of, was_interrupted
from mm_pipeline.operations.recovery import end_abandoned_runs
from mm_pipeline.operations.runs import SERIES_JOB, YEARLY_JOB
from mm_pipeline.operations.side_by_side import BuildYear, OnEvent, OnStep, OnWait, SideBySide
from mm_pipeline.operations.sign_off import NOT_HELD
from mm_pipeline.operations.signals import was_asked_to_end
from mm_pipeline.operations.staleness import Ledger
from mm_pipeline.operations.status import FAILED, HELD, WARNING, recorded_checks, state_of
from mm_pipeline.release.inputs import released_years
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake

BUILT, HELD_YEAR, UP_TO_DATE, FAILED_YEAR = "built", "held", "up to date", "failed"


@dataclass
class YearResult:
    """The result of one year.

    ``problems``, ``warnings``, ``doubts``: what checks say that failed, that warn and that hold the year. ``figures``:
    beneficiaries, patients and rate of the country, where published.
    """

    year: int
    outcome: str
    seconds: float = 0.0
    checks: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    figures: tuple[int, int, float] | None = None
    synthetic: bool = False


class Backfill:
    """The jobs on one instance, resolved once to run many years.

    ``build_definitions``: that of :mod:`mm_pipeline.definitions`, over these settings.
    """

    def __init__(
        self, settings: Settings, instance: dg.DagsterInstance, build_definitions: Callable[..., dg.Definitions]
    ) -> None:
        self._settings, self._instance, self._locks = settings, instance, Locks(settings.lake_dir)
        self._build_definitions = build_definitions
        definitions = build_definitions(settings=settings)
        self.series_problems: list[str] = []
        self._graph = definitions.resolve_asset_graph()
        self._yearly, self._series = map(definitions.resolve_job_def, (YEARLY_JOB, SERIES_JOB))

    def ledger(self) -> Ledger:
        return Ledger(self._instance, self._graph, self._settings)

    def years(
        self,
        years: Iterable[int],
        *,
        force: bool = False,
        on_year: Callable[[YearResult], None] = lambda result: None,
        on_wait: OnWait = lambda said: None,
        on_step: OnStep = lambda what, step: None,
    ) -> list[YearResult]:
        """Build each year that is not up to date (all of them with ``force``), then the series and the page.

        Problems with the latter are in ``series_problems``. ``on_wait`` is called with a message when another process works
        on a year; once that has ended, the year is examined anew. ``on_step`` is called with each step that begins.
        """
        end_abandoned_runs(self._instance, self._settings)
        years, results = sorted(years), []
        processes = 1 if self._settings.engine == "spark" else min(self._settings.processes, len(years))
        if processes > 1:
            built = self._side_by_side(years, processes, force, on_wait, on_step)
        else:
            built = self._one_by_one(years, force, on_wait, on_step)
        for result in built:
            results.append(result)
            on_year(result)
        with self._locks.held([SERIES], by=command_line(), say=on_wait):
            if released_years(self._settings) and not self.ledger().is_series_up_to_date():
                self._refresh_series(on_step)
        return sorted(results, key=lambda result: result.year)

    def _one_by_one(self, years: list[int], force: bool, on_wait: OnWait, on_step: OnStep) -> Iterator[YearResult]:
        ledger = self.ledger()
        for year in years:
            yield self.year(year, force=force, on_wait=on_wait, on_event=_steps_of(str(year), on_step), known=ledger)

    def _side_by_side(
        self, years: list[int], processes: int, force: bool, on_wait: OnWait, on_step: OnStep
    ) -> Iterator[YearResult]:
        ledger = self.ledger()
        with SideBySide(self._settings, processes, partial(building_years, self._build_definitions)) as side_by_side:
            for year in years:
                yield from side_by_side.until_free_for(year, on_wait, on_step)
                # Where another process works on it, or just did, the one that gets the year examines it anew.
                with self._locks.held_if_free(str(year)) as held:
                    result = self._if_up_to_date(year, ledger) if held and not force else None
                if result:
                    yield result
                else:
                    side_by_side.build(year, force)
            yield from side_by_side.rest(on_wait, on_step)

    def year(
        self, year: int, *, force: bool, on_wait: OnWait, on_event: OnEvent, known: Ledger | None = None
    ) -> YearResult:
        """Build the year in this process if it is not up to date, as ``known`` already or read anew."""
        with self._locks.held([str(year)], by=command_line(), say=on_wait) as waited:
            if not force:
                result = None if waited or known is None else self._if_up_to_date(year, known)
                # What was known may be old: another process may just have built the year.
                if result := result or self._if_up_to_date(year, self.ledger()):
                    return result
            result = self._build(year, on_event)
            self._add_figures(result)
            return result

    def _if_up_to_date(self, year: int, ledger: Ledger) -> YearResult | None:
        """The result of a year with nothing to do, as the ledger tells; None if it must be built."""
        if not ledger.state(year).is_up_to_date:
            return None
        result = YearResult(year, UP_TO_DATE, checks=recorded_checks(ledger, year))
        self._add_figures(result)
        return result

    def _build(self, year: int, on_event: OnEvent) -> YearResult:
        started = time.monotonic()
        run = self._run(self._yearly, on_event, partition_key=str(year))
        result = YearResult(year, BUILT if run.success else FAILED_YEAR, time.monotonic() - started)
        doubts = {}
        for evaluation in run.get_asset_check_evaluations():
            state, name = state_of(evaluation), evaluation.check_name
            result.checks[state] = result.checks.get(state, 0) + 1
            text = f"{evaluation.asset_key.to_user_string()}, {name}: {evaluation.description}"
            if state == HELD:
                doubts[name] = text
            elif state in (FAILED, WARNING):
                (result.problems if state == FAILED else result.warnings).append(text)
        if NOT_HELD in doubts:  # it tells of all
            doubts = {NOT_HELD: doubts[NOT_HELD]}
            result.outcome = HELD_YEAR if run.success else FAILED_YEAR
        result.doubts = list(doubts.values())
        result.problems += _failures(run)
        return result

    def _run(
        self, job: dg.JobDefinition, on_event: OnEvent, partition_key: str | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run the job in this process, marked from before Dagster knows the run until Dagster knows its end."""
        gc.unfreeze()  # else DuckDB tells at the end of the process of connections that the collector passed by
        run_id = str(uuid.uuid4())
        self._instance.add_event_listener(run_id, on_event)
        with (
            runs_of(self._instance, CODE_LOCATION, job.name),
            self._locks.marked(run_id, beyond_errors=True),
            self._locks.lent(),
        ):
            run = job.execute_in_process(
                partition_key=partition_key,
                instance=self._instance,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                run_id=run_id,
            )
        if was_interrupted(run) or was_asked_to_end():
            raise KeyboardInterrupt
        return run

    def _add_figures(self, result: YearResult) -> None:
        """Add the country total of the protected table, if the year has one."""
        lake = Lake(self._settings.lake_dir)
        if not lake.is_usable(schemas.PROTECTED_RATES, result.year):
            return
        result.synthetic = lake.provenance(schemas.PROTECTED_RATES, result.year).synthetic
        country = (pc.field("level") == "country") & (pc.field("dimension") == "total")
        path = lake.path(schemas.PROTECTED_RATES, result.year)
        row = pq.read_table(path, filters=country, partitioning=None).to_pylist()[0]
        if row["status"] == "published":
            result.figures = (row["beneficiaries"], row["patients"], row["rate_per_10000"])

    def _refresh_series(self, on_step: OnStep = lambda what, step: None) -> None:
        run = self._run(self._series, _steps_of(SERIES, on_step))
        self.series_problems = _failures(run)
        if not run.success and not self.series_problems:
            self.series_problems = ["the job series failed; see its run in the UI"]


@contextmanager
def building_years(
    build_definitions: Callable[..., dg.Definitions], settings: Settings
) -> Iterator[BuildYear[YearResult]]:
    """A backfill in a process of its own, ready to build one year after the other."""
    with open_instance(settings) as instance:
        yield Backfill(settings, instance, build_definitions).year


def _steps_of(what: str, on_step: OnStep) -> OnEvent:
    """A listener to the events of a run, which tells of each step that begins."""

    def on_event(event: dg.EventLogEntry) -> None:
        if event.dagster_event_type is dg.DagsterEventType.STEP_START:
            on_step(what, str(event.step_key))

    return on_event


def _failures(run: dg.ExecuteInProcessResult) -> list[str]:
    """The messages of failed steps; checks that failed tell their own. Without one, why the run could not begin."""
    steps = [
        (f"{event.step_key}: ", event.step_failure_data.error) for event in run.all_events if event.is_step_failure
    ]
    begins = [("", event.job_failure_data.error) for event in run.all_events if event.is_job_failure]
    problems = []
    for step, error in steps or begins:
        if error and error.cls_name != "DagsterAssetCheckFailedError":
            cause = error.cause or error
            # The text of an operator's error is the whole message.
            problems.append(step + cause.message.strip().removeprefix(f"{OperatorError.__module__}.{cause.cls_name}: "))
    return problems
