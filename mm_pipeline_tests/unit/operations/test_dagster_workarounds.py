"""The private parts of Dagster that are used do what they are used for."""

import time

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline.operations import dagster_workarounds as workarounds
from mm_pipeline.operations.runs import UNFINISHED

YEARS = dg.StaticPartitionsDefinition(["2004", "2005"])
KEY = dg.AssetCheckKey(dg.AssetKey("table"), "looked_at")


@dg.asset(partitions_def=YEARS, code_version="1")
def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(f"of {context.partition_key}"))


@dg.asset_check(asset=table, partitions_def=YEARS)
def looked_at(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=context.partition_key == "2004", metadata={"year": context.partition_key})


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(instance, year):
    job = dg.Definitions(assets=[table], asset_checks=[looked_at]).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(partition_key=year, instance=instance)


def test_the_newest_result_of_a_check_of_a_year(instance):
    for year in ("2004", "2005", "2004"):
        materialize(instance, year)
    ((result, _),) = workarounds.newest_results(instance, [KEY], 2004).values()
    assert result.passed
    assert result.metadata["year"].value == "2004"
    assert not workarounds.newest_results(instance, [KEY], 2005)[KEY][0].passed


def test_a_check_that_never_looked_has_none(instance):
    for results in (workarounds.newest_results, workarounds.recorded_results):
        assert results(instance, [KEY], 2004) == {}


def test_what_is_planned_has_not_looked(instance):
    job = dg.Definitions(assets=[table], asset_checks=[looked_at]).resolve_implicit_global_asset_job_def()
    materialize(instance, "2004")
    waiting = instance.create_run_for_job(job, tags={"dagster/partition": "2004"})
    assert waiting.status is dg.DagsterRunStatus.NOT_STARTED
    assert workarounds.newest_results(instance, [KEY], 2004)[KEY][0].passed
    assert workarounds.recorded_results(instance, [KEY], 2004)[KEY].passed


def test_the_newest_materialisation_of_each_year(instance):
    assert workarounds.newest_materializations(instance, table.key) == []
    for year in ("2004", "2005", "2004"):
        last = materialize(instance, year)
    found = {each.partition_key: each for each in workarounds.newest_materializations(instance, table.key)}
    assert found.keys() == {"2004", "2005"}
    assert found["2004"].run_id == last.run_id
    tags = found["2005"].asset_materialization.tags
    assert (tags[workarounds.CODE_VERSION_TAG], tags[workarounds.DATA_VERSION_TAG]) == ("1", "of 2005")


def test_when_a_run_was_heard_of_last(instance):
    assert workarounds.last_heard_of(instance, "no such run") is None
    before = time.time()
    run = materialize(instance, "2004")
    assert before <= workarounds.last_heard_of(instance, run.run_id) <= time.time()


@pytest.mark.parametrize(("error", "interrupted"), [(KeyboardInterrupt, True), (ValueError, False)])
def test_whether_a_signal_ended_a_run(instance, error, interrupted):
    @dg.op
    def fails():
        raise error

    run = dg.GraphDefinition("fails", node_defs=[fails]).execute_in_process(instance=instance, raise_on_error=False)
    assert workarounds.was_interrupted(run) == interrupted


def test_the_statuses_of_runs_that_go_on():
    assert set(UNFINISHED) == set(NOT_FINISHED_STATUSES)


def test_runs_are_of_a_job_of_a_code_location(instance):
    """As those are that the UI launches: it shows no others on its timeline."""
    with workarounds.runs_of(instance, "here", "year"):
        materialize(instance, "2004")
    materialize(instance, "2005")
    after, before = instance.get_runs()
    assert (before.remote_job_origin.location_name, before.remote_job_origin.job_name) == ("here", "year")
    assert instance.get_runs(dg.RunsFilter(tags={".dagster/repository": "__repository__@here"})) == [before]
    assert after.remote_job_origin is None
