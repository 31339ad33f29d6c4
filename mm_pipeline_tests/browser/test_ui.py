"""Through the real web server: a backfill as the UI launches it, what the UI then shows, and a look with a browser."""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from mm_pipeline.definitions import build_definitions
from mm_pipeline.operations.dagster_home import CODE_LOCATION
from mm_pipeline_tests.support.installation import YEARS, Installation
from mm_pipeline_tests.support.server import PATIENCE, Server, served

CHECKS = """
query Checks($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    partitionStats { numMaterialized numFailed numMaterializing numPartitions }
    assetChecksOrError {
      ... on AssetChecks {
        checks {
          name
          partitionStatuses {
            ... on AssetCheckTimePartitionStatuses { ranges { startKey endKey status } }
          }
        }
      }
    }
  }
}"""

EXECUTIONS = """
query Executions($key: AssetKeyInput!, $name: String!, $year: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, partition: $year, limit: 1) {
    runId partition status evaluation { success severity description partition }
  }
}"""

RUNS = """
query Runs($filter: RunsFilter!) {
  pipelineRunsOrError(filter: $filter) {
    ... on Runs {
      results { id status tags { key value } assetSelection { path } repositoryOrigin { repositoryLocationName } }
    }
  }
}"""


@dataclass(frozen=True)
class Backfilled:
    """The server after a backfill of all yearly assets that was launched as the UI does it."""

    server: Server
    runs: list[dict[str, Any]]
    bytes_before: dict
    runs_before: set[str]
    yearly: list[str]


def tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def runs(server: Server, **filter_: Any) -> list[dict[str, Any]]:
    return server.query(RUNS, filter=filter_)["pipelineRunsOrError"]["results"]


def keys(names: list[str]) -> list[dict[str, list[str]]]:
    return [{"path": [name]} for name in names]


@pytest.fixture(scope="module")
def backfilled(built_in_belgium: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    """The years were built from the command line before; the UI builds them all again, two at a time."""
    folder = tmp_path_factory.mktemp("served")
    installation = built_in_belgium.copied_to(folder / "installation")
    with installation.backfill() as (backfill, _instance):
        yearly = backfill.ledger().yearly_assets
    before = installation.results()
    with served(installation, folder / "log") as server:
        earlier = {run["id"] for run in runs(server)}
        backfill_id = server.launch_backfill(yearly, YEARS)
        state = server.wait_for("the backfill", lambda: server.ended_backfill(backfill_id), PATIENCE)
        assert state["status"] == "COMPLETED_SUCCESS", state
        assert state["numPartitions"] == len(YEARS)
        yield Backfilled(server, state["runs"], before, earlier, yearly)


def test_one_run_a_year_and_all_succeed(backfilled):
    assert sorted(tags(run)["dagster/partition"] for run in backfilled.runs) == [str(year) for year in YEARS]
    assert {run["status"] for run in backfilled.runs} == {"SUCCESS"}


def test_the_ui_shows_every_partition_and_check_per_year(backfilled):
    nodes = backfilled.server.query(CHECKS, keys=keys(backfilled.yearly))["assetNodes"]
    found = 0
    for node in nodes:
        stats = node["partitionStats"]
        assert (stats["numMaterialized"], stats["numFailed"], stats["numMaterializing"]) == (len(YEARS), 0, 0)
        for check in node["assetChecksOrError"].get("checks", []):
            shown = {
                year
                for each in check["partitionStatuses"]["ranges"]
                # Dagster shows a warning as FAILED here; the result itself says that it is one.
                if each["status"] in ("SUCCEEDED", "FAILED")
                for year in range(int(each["startKey"]), int(each["endKey"]) + 1)
            }
            assert shown == set(YEARS), check
            found += 1
    assert found == len(checks_by_year())


def checks_by_year() -> list[dg.AssetCheckKey]:
    graph = build_definitions().resolve_asset_graph()
    return [key for key in graph.asset_check_keys if graph.get(key).partitions_def is not None]


def test_every_check_result_is_of_the_run_of_its_year(backfilled):
    run_of = {tags(run)["dagster/partition"]: run["id"] for run in backfilled.runs}
    for key in checks_by_year():
        for year in map(str, YEARS):
            (execution,) = backfilled.server.query(
                EXECUTIONS, key={"path": list(key.asset_key.path)}, name=key.name, year=year
            )["assetCheckExecutions"]
            assert (execution["runId"], execution["partition"]) == (run_of[year], year), key
            evaluation = execution["evaluation"]
            assert evaluation["partition"] == year
            assert evaluation["success"] or evaluation["severity"] == "WARN", evaluation["description"]


def test_the_series_and_the_page_follow_by_themselves(backfilled):
    server = backfilled.server
    known = backfilled.runs_before | {run["id"] for run in backfilled.runs}

    def refreshed() -> list | None:
        new = [run for run in runs(server) if run["id"] not in known]
        return new if new and all(run["status"] == "SUCCESS" for run in new) else None

    for run in server.wait_for("the refresh of the series", refreshed, PATIENCE):
        assert sorted(key["path"][0] for key in run["assetSelection"]) == ["atlas_page", "published_series"]
        assert tags(run)["dagster/sensor_name"] == "refresh_series"
    with server.installation.backfill() as (backfill, _instance):
        assert backfill.ledger().is_series_up_to_date()


def test_the_same_bytes_as_from_the_command_line(backfilled):
    assert backfilled.server.installation.results(*YEARS) == {
        path: content
        for path, content in backfilled.bytes_before.items()
        if {f"year={year}" for year in YEARS} & set(path.parts) or {str(year) for year in YEARS} & set(path.parts)
    }
    with backfilled.server.installation.backfill() as (backfill, _instance):
        assert all(backfill.ledger().state(year).is_up_to_date for year in YEARS)


def test_runs_of_the_command_line_are_listed_with_their_job(backfilled):
    """As the UI's page of a job asks for them."""
    repository = {"key": ".dagster/repository", "value": f"__repository__@{CODE_LOCATION}"}
    listed = runs(backfilled.server, pipelineName="year", tags=[repository])
    of_command = [run for run in listed if run["id"] in backfilled.runs_before]
    assert {tags(run)["dagster/partition"] for run in of_command} == set(map(str, YEARS))
    # By this the timeline, which is the first page, has them under their job.
    assert {run["repositoryOrigin"]["repositoryLocationName"] for run in of_command} == {CODE_LOCATION}


def test_schedule_and_sensor_run(backfilled):
    answer = backfilled.server.query(
        """
        query Automation($repository: RepositorySelector!) {
          repositoryOrError(repositorySelector: $repository) {
            ... on Repository {
              schedules { name scheduleState { status } }
              sensors { name sensorState { status } }
            }
          }
        }""",
        repository={"repositoryName": "__repository__", "repositoryLocationName": CODE_LOCATION},
    )["repositoryOrError"]
    assert answer["schedules"] == [
        {"name": name, "scheduleState": {"status": "RUNNING"}} for name in ("daily_status", "q3_schedule")
    ]
    assert answer["sensors"] == [
        {"name": name, "sensorState": {"status": "RUNNING"}}
        for name in ("abandoned_runs", "new_deliveries", "refresh_series", "signed_releases")
    ]


# --- With a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

with_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="needs chromium (apt-get install chromium) and playwright",
)


@dataclass
class Browser:
    page: Any
    server: Server
    complaints: list[str]

    def open(self, path: str) -> Any:
        self.page.goto(self.server.url + path)
        return self.page


@pytest.fixture
def browser(backfilled: Backfilled) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(60_000)
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
            yield Browser(page, backfilled.server, complaints)
        finally:
            chromium.close()


@with_browser
def test_the_graph_shows_all_assets(browser):
    names = ("deliveries", "patients", "houses", "rates", "protection", "publication")
    groups = ",".join(f"global@global:{group}" for group in names)
    page = browser.open(f"/asset-groups?expanded={groups}")
    for key in build_definitions().resolve_asset_graph().get_all_asset_keys():
        name = key.to_user_string()
        shown = re.compile(f"^({name}|{name[:4]}.*….*{name[-4:]})$")  # long names without their middle
        page.get_by_text(shown).first.wait_for(state="attached")
    assert not browser.complaints


@with_browser
def test_an_asset_shows_its_plot_metadata_and_columns(browser):
    page = browser.open("/assets/protected_rates?view=partitions&partition=2006")
    page.get_by_text("published_cells").wait_for()
    plot = page.locator("img[src^='data:image/svg+xml']")
    plot.wait_for()
    assert plot.count() == 1, "in place, not behind a link"
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 300, "and it is a picture"
    assert page.get_by_text("per 10 000 beneficiaries").is_visible()
    assert page.get_by_text("[Show Markdown]").count() == 0

    page = browser.open("/assets/protected_rates?view=overview")
    page.get_by_text("NIS code, sector code (<NIS5>ZZZZ: unknown sector), or BE").wait_for()
    page.get_by_text("Unknown-sector rows are never in it").wait_for()
    assert not browser.complaints
