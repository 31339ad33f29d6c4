"""(d) What Dagster itself costs a year: the assets and checks of the product, with the same names, partitions and order, but
without work, as runs on a persistent instance."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.year import QUIET
from mm_pipeline.clock import FIRST_YEAR
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.jobs import yearly_job
from mm_pipeline.operations.dagster_home import dagster_home
from mm_pipeline.operations.runs import YEARLY_JOB
from mm_pipeline.settings import Settings


def _nothing(specs: Sequence[dg.AssetSpec], checks: Sequence[dg.AssetCheckSpec]) -> Iterator[Any]:
    for spec in specs:
        yield dg.MaterializeResult(asset_key=spec.key)
    for check in checks:
        yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)


def _empty_asset(real: dg.AssetsDefinition) -> dg.AssetsDefinition:
    specs, checks = [spec.replace_attributes(skippable=True) for spec in real.specs], list(real.check_specs)

    @dg.multi_asset(name=real.op.name, specs=specs, check_specs=checks, partitions_def=real.partitions_def)
    def empty() -> Iterator[Any]:
        yield from _nothing(specs, checks)

    return empty


def _empty_checks(real: dg.AssetChecksDefinition) -> dg.AssetChecksDefinition:
    checks = list(real.check_specs)

    @dg.multi_asset_check(name=real.op.name, specs=checks)
    def empty() -> Iterator[Any]:
        yield from _nothing([], checks)

    return empty


def without_work(settings: Settings) -> dg.Definitions:
    """The product's definitions, every asset and check of them empty."""
    real = build_definitions(settings=settings)
    return dg.Definitions(
        assets=[_empty_asset(asset) for asset in real.assets or [] if isinstance(asset, dg.AssetsDefinition)],
        asset_checks=[_empty_checks(check) for check in real.asset_checks or []],
        jobs=[yearly_job],
        executor=dg.in_process_executor,
    )


def seconds_a_year(years: int) -> list[float]:
    """Seconds of each of so many runs, after one that warms up."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), id_key="benchmark")
        job = without_work(settings).resolve_job_def(YEARLY_JOB)
        seconds = []
        with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
            for year in range(FIRST_YEAR, FIRST_YEAR + years + 1):
                started = time.perf_counter()
                run = job.execute_in_process(partition_key=str(year), instance=instance, run_config=QUIET)
                seconds.append(time.perf_counter() - started)
                assert run.success
        return seconds[1:]


def report(years: int = 8) -> str:
    """One line of text: the median, and the spread."""
    seconds = seconds_a_year(years)
    median, least, most = statistics.median(seconds), min(seconds), max(seconds)
    return f"A year without work: median {median:.2f} s, {least:.2f} to {most:.2f} s over {years} runs."
