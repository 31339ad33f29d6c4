"""The lock of the years that a run works on: taken before its first step, given back after its last."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from pydantic import Field

from mm_pipeline.defs.contained import contained
from mm_pipeline.defs.observations import observe, observe_outlines
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.locks import SERIES, Locks
from mm_pipeline.operations.recovery import clean_up_under
from mm_pipeline.operations.runs import CHECKS_JOB, SERIES_ASSETS, STATUS_JOB, YEAR_TAG, YEARLY_JOB
from mm_pipeline.settings import Settings

_RANGE_TAGS = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class YearLock(dg.ConfigurableResource["YearLock"]):
    """One run of a year at a time, over all processes that share the data folder. Schedules and sensors take none."""

    data_dir: str = Field(description="The data folder (MM_DATA_DIR), whose lake holds the locks.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["YearLock"]:
        """Hold the locks of the run; under them remove what a killed run left, and tell Dagster what was delivered."""
        run = context.run
        if run is None:
            yield self
            return
        settings = Settings(data_dir=Path(self.data_dir))
        say = context.log.info if context.log else print
        try:
            assert_has_a_year(run)
        except OperatorError as error:  # one of Dagster's own is shown as it is, and not wrapped
            raise dg.DagsterInvariantViolationError(str(error)) from None
        names = locks_of(run)
        with (
            contained(settings, "locks"),
            Locks.of_caller(settings.lake_dir).held_by_run(run.run_id, names, say=say),
        ):
            clean_up_under(settings, names)
            for name in names:
                if instance := context.instance:
                    with suppress(OperatorError, OSError):  # the step that reads the file says what is wrong with it
                        if name == SERIES:
                            observe_outlines(instance, settings)
                        else:
                            observe(instance, settings, int(name))
            yield self


def assert_has_a_year(run: dg.DagsterRun) -> None:
    """Raise OperatorError where a run of yearly assets or checks was started without a year of the statistic."""
    first, last = _RANGE_TAGS
    tagged = [run.tags[tag] for tag in (YEAR_TAG, first, last) if tag in run.tags]
    keys = [*(run.asset_selection or ()), *(key.asset_key for key in run.asset_check_selection or ())]
    is_yearly = run.job_name in (YEARLY_JOB, CHECKS_JOB) or any(
        key.to_user_string() not in SERIES_ASSETS for key in keys
    )
    known = YEARS.get_partition_keys()
    if is_yearly and (not tagged or not set(tagged) <= set(known)):
        found = f"the year {' to '.join(tagged)}" if tagged else "no year"
        raise OperatorError(
            f"This run was started with {found}; expected one from {known[0]} to {known[-1]}. Nothing was written. Choose a "
            "partition in the launchpad, or start it with Materialize, which asks for one; checks alone with the job checks."
        )


def locks_of(run: dg.DagsterRun) -> list[str]:
    """The locks a run needs: its year or years, and that of the series if it may make something from all years."""
    tags, (first, last) = run.tags, _RANGE_TAGS
    if run.job_name == STATUS_JOB:
        return []
    if YEAR_TAG in tags:
        years = [tags[YEAR_TAG]]
    elif first in tags and last in tags:
        years = [str(year) for year in range(int(tags[first]), int(tags[last]) + 1)]
    else:
        return [SERIES]
    selected = {key.to_user_string() for key in run.asset_selection or ()}
    only_years = run.job_name in (YEARLY_JOB, CHECKS_JOB) or (selected and selected.isdisjoint(SERIES_ASSETS))
    return years if only_years else [*years, SERIES]
