"""A command line that is asked to end: soon, in words, with nothing left behind."""

import signal

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mm_pipeline_tests.support.server import PATIENCE, command_line


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_backfill_that_is_asked_to_end(copy, tmp_path, which):
    lock, before = copy.settings.lake_dir / ".locks" / "2004", copy.results()
    arguments = ("backfill", "--years", "2004:2006", "--force")
    with command_line(copy, tmp_path / "log", *arguments) as asked:
        asked.wait_for("a run of 2004", lambda: lock.read_text().startswith("run "))
        asked.process.send_signal(which)
        assert asked.process.wait(PATIENCE) == 1
    assert "mm-pipeline: ended by a signal. What was done stays; run the command again for the rest." in asked.said
    assert "Traceback" not in asked.said
    with copy.backfill() as (backfill, instance):
        assert instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)) == []
        assert [path.name for path in lock.parent.glob("run-*")] == []
        assert copy.results() == before, "each file as it was or made anew, and no other"
        results = backfill.years([2004, 2005, 2006])
        assert [result.problems for result in results] == [[], [], []]
        assert all(backfill.ledger().state(year).is_up_to_date for year in (2004, 2005, 2006))
    assert copy.results() == before
