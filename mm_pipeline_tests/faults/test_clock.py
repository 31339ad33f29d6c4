"""A clock that jumps: nothing is decided by time of day, and what is dated has the date of the day it was made."""

import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from mm_pipeline.clock import BRUSSELS, now
from mm_pipeline.operations import purge
from mm_pipeline.operations.backfill import BUILT, UP_TO_DATE
from mm_pipeline.release.history import read_history
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.faults.before_and_after import BeforeAndAfter, digests
from mm_pipeline_tests.faults.build_processes import YEAR
from mm_pipeline_tests.support.installation import Installation


@pytest.fixture
def installation(revision: BeforeAndAfter, tmp_path: Path) -> Iterator[Installation]:
    """A year that is built, and whose delivery has changed since."""
    installation = revision.before.copied_to(tmp_path / "clock")
    yield installation
    shutil.rmtree(installation.root)


def outcome(installation: Installation) -> str:
    with installation.backfill() as (backfill, _instance):
        (result,) = backfill.years([YEAR])
        assert (result.problems, backfill.series_problems) == ([], [])
        assert backfill.ledger().state(YEAR).is_up_to_date
        assert backfill.ledger().is_series_up_to_date()
    return result.outcome


def lake(files: dict[Path, str]) -> dict[Path, str]:
    """Without the memory of releases, which has their dates."""
    return {path: of for path, of in files.items() if path.parts[1] == "lake" and path.parts[2] != "releases"}


def releases(installation: Installation) -> list[tuple[int, date]]:
    entries = read_history(installation.settings.published_dir / "series").entries
    return [(entry.release.number, entry.release.date) for entry in reversed(entries)]


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=365)], ids=["an hour", "a year"])
def test_it_was_put_back_between_two_runs(installation, revision, back):
    ((_one, before),), day = releases(installation), (now() - back).date()
    with time_machine.travel(now() - back):
        assert outcome(installation) == BUILT
        after = installation.results()
        assert outcome(installation) == UP_TO_DATE
    assert outcome(installation) == UP_TO_DATE
    assert installation.results() == after
    assert lake(digests(installation)) == lake(revision.new)
    assert releases(installation) == [(1, before), (2, day)]


def test_a_new_year_begins_during_a_run(installation, revision, monkeypatch):
    year, write = now().year, Lake.write
    with time_machine.travel(datetime(year, 12, 31, 23, 50, tzinfo=BRUSSELS)) as clock:

        def write_at_midnight(self, engine, table, *of_table):
            if table.name == "sector_rates":
                clock.move_to(datetime(year + 1, 1, 1, 0, 0, 30, tzinfo=BRUSSELS))
            return write(self, engine, table, *of_table)

        monkeypatch.setattr(Lake, "write", write_at_midnight)
        assert outcome(installation) == BUILT
        assert now().year == year + 1
        assert outcome(installation) == UP_TO_DATE
    assert lake(digests(installation)) == lake(revision.new)
    assert releases(installation)[1:] == [(2, date(year + 1, 1, 1))]


def test_persons_are_purged_whatever_the_clock_says(installation):
    past = now() - timedelta(days=365)
    with installation.instance() as instance, time_machine.travel(past):
        done = purge.purge(installation.settings, instance, YEAR + 1, deliveries=False, say=print)
    assert done is not None
    assert datetime.fromisoformat(done[1].at).date() == past.date()
    assert purge.purged(installation.settings, YEAR) == past.date()
    with time_machine.travel(past - timedelta(days=365)):
        assert purge.purged(installation.settings, YEAR) == past.date()
        assert outcome(installation) == BUILT, "its delivery has changed since"
        assert purge.purged(installation.settings, YEAR) is None
