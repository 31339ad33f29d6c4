"""``mm-pipeline status`` and the same in the UI: every state that a year can be in, and since when the newest is overdue."""

from datetime import date, datetime

import dagster as dg
import pytest
import time_machine
from click.testing import CliRunner

from mm_pipeline.cli import main
from mm_pipeline.clock import BRUSSELS
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.checks.series import STATUS_CHECKS, newest_due
from mm_pipeline.defs.schedules import daily_status
from mm_pipeline.operations.runs import STATUS_JOB
from mm_pipeline.operations.status import FAILED, NOT_APPLICABLE, PASSED, WARNING, status
from mm_pipeline_tests.support.installation import YEARS, Installation, announce, change_a_byte, deliver

ON_TIME, UP_TO_DATE = "newest_year_on_time", "years_up_to_date"


def rows(installation: Installation, **changes: object) -> dict[str, dict[str, str]]:
    with installation.backfill(**changes) as (backfill, _instance):
        return {year.row["year"]: year.row for year in status(backfill.ledger(), YEARS)}


def looked(installation: Installation, when: datetime | None = None) -> dict[str, tuple[str, str, str]]:
    """The job ``status``: check -> outcome, text, table."""
    with time_machine.travel(when or datetime(2008, 7, 1, tzinfo=BRUSSELS)), installation.instance() as instance:
        job = build_definitions(settings=installation.settings).resolve_job_def(STATUS_JOB)
        run = job.execute_in_process(instance=instance)
        assert run.success
        return {
            one.check_name: (
                one.metadata["outcome"].value,
                one.description,
                one.metadata["status"].value if "status" in one.metadata else "",
            )
            for one in run.get_asset_check_evaluations()
        }


class TestRows:
    def test_of_years_that_are_as_they_should_be(self, built):
        for year, row in rows(built).items():
            assert [row[name] for name in ("delivered", "built", "protected", "published")] == [
                "complete",
                *["yes"] * 3,
            ]
            assert row["fail"] == "0"
            assert sum(int(row[name]) for name in ("ok", "warn", "fail", "n/a")) == 63, year
            assert row["state"] == "up to date"

    def test_of_a_year_of_which_there_is_nothing(self, built):
        with built.backfill() as (backfill, _instance):
            (year,) = status(backfill.ledger(), [2003])
        assert year.row["state"] == "no delivery"
        assert [year.row[name] for name in ("delivered", "built", "ok")] == ["nothing", "no", "0"]
        assert year.is_as_it_should_be

    def test_of_a_delivery_that_changed_says_which_file(self, copy):
        change_a_byte(copy.raw(2005))
        state = rows(copy)["2005"]["state"]
        assert state.startswith("stale: forfaits.csv.gz has changed (SHA-256 was ")
        assert state.endswith(" (and 1 more)"), "its manifest"

    def test_of_another_setting_says_which(self, built):
        assert {row["state"] for row in rows(built, minimum_forfaits=5).values()} == {
            "stale: MM_THRESHOLD was 6, now 5"
        }

    def test_of_a_delivery_that_is_taken_away(self, copy):
        (copy.raw(2005) / "dmg.parquet").unlink()
        row = rows(copy)["2005"]
        assert (row["delivered"], row["published"]) == ("forfaits, beneficiaries", "yes")
        assert row["state"] == "stale: waiting for dmg"

    def test_of_a_year_that_failed(self, copy):
        forfaits = copy.raw(2006) / "forfaits.csv.gz"
        forfaits.write_bytes(forfaits.read_bytes()[:5000])
        announce(copy.raw(2006))
        with copy.backfill() as (backfill, _instance):
            backfill.years([2006])
        row = rows(copy)["2006"]
        assert row["fail"] == "1"
        assert row["published"] == "yes", "the release of before"
        assert row["state"].startswith("stale: forfaits.csv.gz has changed")

    def test_of_reference_data_that_changed(self, copy):
        shipped = copy.settings.reference_dir / "TU_COM_REFNIS.txt"
        shipped.parent.mkdir(exist_ok=True)
        shipped.write_text("another hierarchy")
        assert rows(copy)["2004"]["state"].startswith("stale: TU_COM_REFNIS.txt is new (SHA-256 ")


class TestCommand:
    @pytest.fixture
    def run(self, copy, monkeypatch):
        monkeypatch.setenv("MM_DATA_DIR", str(copy.settings.data_dir))
        monkeypatch.setenv("MM_ID_KEY", copy.settings.id_key)
        monkeypatch.setenv("DAGSTER_HOME", str(copy.root / "dagster"))
        monkeypatch.setenv("COLUMNS", "200")

        def call(*arguments: str) -> str:
            result = CliRunner().invoke(main, ["status", *arguments], catch_exceptions=False)
            assert result.exit_code == 0
            return result.output

        return call

    def test_tells_every_year(self, run):
        with time_machine.travel(datetime(2008, 7, 1, tzinfo=BRUSSELS)):
            said = run()
        lines = {line.split()[0]: line for line in said.splitlines() if line.strip()[:4].isdigit()}
        assert list(lines) == ["2003", "2004", "2005", "2006"]
        assert lines["2003"].rstrip().endswith("no delivery")
        assert lines["2005"].rstrip().endswith("up to date")
        assert "All years in one, and the atlas: up to date." in said

    def test_tells_every_reason_of_a_year_that_is_asked_for(self, run, copy):
        change_a_byte(copy.raw(2005))
        said = run("--years", "2005")
        assert "2005  raw_dmg: manifest.json has changed" in said
        assert "2005  raw_forfaits: forfaits.csv.gz has changed" in said
        assert "2004" not in said


class TestInTheUi:
    def test_all_is_well(self, built):
        outcome, text, table = looked(built)[UP_TO_DATE]
        assert (outcome, text) == (PASSED, "All 3 years that were delivered are built, released and up to date.")
        assert table.count("up to date") == 3

    def test_says_what_is_not(self, copy):
        change_a_byte(copy.raw(2005))
        outcome, text, table = looked(copy)[UP_TO_DATE]
        assert outcome == WARNING
        assert text.startswith("1 of 3 years are not as they should be. 2005: stale: forfaits.csv.gz has changed")
        assert table.count("up to date") == 2

    def test_of_nothing_is_not_applicable(self, tmp_path):
        outcome, text, _table = looked(Installation(tmp_path))[UP_TO_DATE]
        assert (outcome, text) == (
            NOT_APPLICABLE,
            "Not applicable: nothing has been delivered yet (data/raw is empty).",
        )

    def test_goes_on_while_a_series_is_made(self, built):
        """It only looks, and holds no lock."""
        from mm_pipeline.defs.resources.year_lock import locks_of

        assert locks_of(dg.DagsterRun(job_name=STATUS_JOB, run_id="0")) == []

    def test_is_looked_at_every_morning(self):
        assert daily_status.default_status == dg.DefaultScheduleStatus.RUNNING
        assert (daily_status.cron_schedule, daily_status.execution_timezone) == ("30 7 * * *", "Europe/Brussels")
        graph = build_definitions().resolve_asset_graph()
        keys = build_definitions().resolve_job_def(daily_status.job_name).asset_layer.executable_asset_keys
        assert not keys, "it makes nothing"
        assert {key.name for key in graph.asset_check_keys if graph.get(key).partitions_def is None} >= set(
            STATUS_CHECKS
        )


class TestOverdue:
    @pytest.mark.parametrize(
        ("today", "year"),
        [
            (date(2026, 1, 1), 2023),
            (date(2026, 9, 30), 2023),
            (date(2026, 10, 1), 2024),
            (date(2026, 12, 31), 2024),
            (date(2027, 1, 1), 2024),
            (date(2027, 10, 1), 2025),
        ],
        ids=str,
    )
    def test_newest_due(self, today, year):
        assert newest_due(today) == year

    def test_not_before_the_first_of_october(self, built):
        """In 2009, 2007 is t-2; it was never delivered."""
        said = looked(built, datetime(2009, 9, 30, 23, tzinfo=BRUSSELS))[ON_TIME]
        assert said[:2] == (PASSED, "2006 was released. 2007 is overdue from 2009-10-01 on.")

    def test_from_the_first_of_october(self, built):
        said = looked(built, datetime(2009, 10, 1, 0, 30, tzinfo=BRUSSELS))[ON_TIME]
        assert said[:2] == (
            FAILED,
            "2007 is overdue since 2009-10-01 (0 days): forfaits, beneficiaries, dmg not in data/raw/2007. Ask the sender. "
            "Until it is released the public finds the year before as the newest.",
        )

    def test_after_new_year_it_still_is(self, built):
        outcome, text, _table = looked(built, datetime(2010, 1, 2, tzinfo=BRUSSELS))[ON_TIME]
        assert outcome == FAILED
        assert text.startswith("2007 is overdue since 2009-10-01 (93 days)")

    def test_delivered_and_not_built(self, copy):
        deliver(copy.settings, [2007])
        outcome, text, _table = looked(copy, datetime(2009, 11, 1, tzinfo=BRUSSELS))[ON_TIME]
        assert outcome == FAILED
        assert "it is delivered and not released. Its checks say why" in text
