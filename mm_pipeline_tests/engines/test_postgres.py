"""``deploy/``: PostgreSQL keeps the history; code server, web server and daemon are started as the compose file does it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from shutil import copy
from typing import Any

import dagster as dg
import pytest
import yaml

import mm_pipeline
from mm_pipeline.definitions import build_definitions
from mm_pipeline.operations.dagster_home import CODE_LOCATION
from mm_pipeline_tests.engines.postgres import Postgres, postgres, why_not
from mm_pipeline_tests.support.installation import Installation, checks_of_year, deliver
from mm_pipeline_tests.support.restricted_values import delivered, patient_keys
from mm_pipeline_tests.support.server import (
    Server,
    environment_of,
    free_port,
    module,
    running,
    wait_for,
    wait_until_up,
)

CLONE = Path(mm_pipeline.__file__).parent.parent
DEPLOY = CLONE / "deploy"
YEARS = [2003, 2004, 2005, 2006]
PATIENCE = 900

MODULES = {"dagster": "dagster", "dagster-daemon": "dagster._daemon"}


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


# --- The files by themselves: no container engine is needed


class TestFiles:
    def test_only_the_code_location_has_the_data_and_the_secret_of_the_keys(self):
        services = compose()["services"]
        assert set(services) == {"postgres", "code", "webserver", "daemon"}
        for name, service in services.items():
            mounted = [volume.rsplit(":", 1)[1] for volume in service["volumes"]]
            assert ("/data" in mounted) == (name == "code")
            assert ("pipeline.env" in service["env_file"]) == (name == "code")

    def test_nothing_listens_beyond_this_machine(self):
        ports = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
        assert ports == {"webserver": ["127.0.0.1:3000:3000"]}

    def test_everything_that_is_named_is_there(self):
        file = compose()
        assert {"history", "printed"} == set(file["volumes"])
        for service in file["services"].values():
            named = [volume.split(":")[0] for volume in service["volumes"] if not volume.startswith("$")]
            assert set(named) <= set(file["volumes"])
            assert set(service.get("depends_on", ())) <= set(file["services"])
            assert service["restart"] == "unless-stopped"
        for name in ("code", "webserver", "daemon"):
            command = file["services"][name]["command"]
            shown = subprocess.run([*started(help_of(command))], capture_output=True, text=True, check=True)
            for option in filter(re.compile("--").match, command):
                assert option in shown.stdout
        build = file["services"]["code"]["build"]
        assert (DEPLOY / build["context"]).resolve() == CLONE
        dockerfile = (CLONE / build["dockerfile"]).read_text()
        for line in re.findall(r"^COPY (.*)", dockerfile, re.MULTILINE):
            for source in line.split()[:-1]:
                assert (CLONE / source).exists(), source
                assert f"!{source}" in (CLONE / ".dockerignore").read_text().splitlines()
        assert "deploy/workspace.yaml" in dockerfile
        assert "USER dagster" in dockerfile

    def test_every_variable_is_given(self):
        given = set(compose()["x-dagster"]["environment"])
        given |= set(re.findall(r"^(\w+)=", (DEPLOY / "database.env.example").read_text(), re.MULTILINE))
        asked = re.findall(
            r"env: (\w+)", (DEPLOY / "dagster.yaml").read_text() + (DEPLOY / "workspace.yaml").read_text()
        )
        assert set(asked) == given

    def test_no_file_holds_a_secret(self):
        for path in DEPLOY.iterdir():
            for value in re.findall(r"(?:PASSWORD|MM_ID_KEY)[:=] *(.*)", path.read_text()):
                assert value == "", path.name

    def test_runs_of_the_command_line_are_of_this_code_location(self):
        (location,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
        assert location["grpc_server"]["location_name"] == CODE_LOCATION


def started(command: list[str]) -> list[str]:
    """A command of the compose file, with the interpreter of these tests."""
    program, *rest = command
    return [sys.executable, *rest] if program == "python" else module(MODULES[program], *rest)


def help_of(command: list[str]) -> list[str]:
    """The command, asked for its options."""
    return [*takewhile(lambda word: not word.startswith("--"), command), "--help"]


# --- A backfill through all of it


@dataclass(frozen=True)
class Deployed:
    postgres: Postgres
    server: Server
    environment: dict[str, str]
    """Of the container ``code``."""
    most_in_progress: int
    state: dict[str, Any]

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return self.postgres.query(text)


needs_postgres = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Four years, built by a backfill that was launched as the UI does it, over a migrated PostgreSQL."""
    installation = Installation(tmp_path_factory.mktemp("deployed"))
    deliver(installation.settings, YEARS)
    home = installation.root / "dagster"
    home.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        copy(DEPLOY / name, home)
    services, code_port, port = compose()["services"], free_port(), free_port()
    replaced = {"0.0.0.0": "127.0.0.1", "4000": str(code_port), "3000": str(port)}

    def start(name: str, environment: dict[str, str]) -> Any:
        command = started([replaced.get(word, word) for word in services[name]["command"]])
        return running(command, installation.root / f"{name}.log", environment=environment, cwd=home)

    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        code = (
            environment_of(installation)
            | database.environment
            | {"CODE_HOST": "127.0.0.1", "CODE_PORT": str(code_port)}
        )
        others = {name: value for name, value in code.items() if not name.startswith("MM_")}
        for name, value in database.environment.items():
            stack.enter_context(pytest.MonkeyPatch.context()).setenv(name, value)
        migrate = module("dagster", "instance", "migrate")
        subprocess.run(migrate, env=others, cwd=home, check=True, capture_output=True, timeout=PATIENCE)

        code_server = stack.enter_context(start("code", code))
        health = module("dagster", "api", "grpc-health-check", "--port", str(code_port))

        def is_healthy() -> bool | None:
            assert code_server.poll() is None, (installation.root / "code.log").read_text()
            return subprocess.run(health, env=others, check=False, capture_output=True).returncode == 0 or None

        wait_for("the code server", is_healthy, PATIENCE, installation.root / "code.log")
        webserver = stack.enter_context(start("webserver", others))
        stack.enter_context(start("daemon", others))
        server = Server(f"http://127.0.0.1:{port}", installation, installation.root / "daemon.log")
        wait_until_up(webserver, server)

        yearly = [name for name, _table in sorted(yearly_assets())]
        backfill_id = server.launch_backfill(yearly, YEARS)
        counts = [0]

        def ended() -> dict[str, Any] | None:
            counts.append(database.query("SELECT count(*) FROM runs WHERE status IN ('STARTING', 'STARTED')")[0][0])
            return server.ended_backfill(backfill_id)

        state = server.wait_for("the backfill", ended, PATIENCE)
        yield Deployed(database, server, code, max(counts), state)


def checks_by_year() -> list[dg.AssetCheckKey]:
    graph = build_definitions().resolve_asset_graph()
    return [key for key in graph.asset_check_keys if graph.get(key).partitions_def is not None]


def yearly_assets() -> list[tuple[str, dg.AssetKey]]:
    graph = build_definitions().resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    made = [key for key in keys if graph.get(key).is_materializable and graph.get(key).partitions_def is not None]
    return [(key.to_user_string(), key) for key in made]


@needs_postgres
class TestBackfill:
    def test_all_years_succeed(self, deployed):
        assert deployed.state["status"] == "COMPLETED_SUCCESS", deployed.state
        assert {run["status"] for run in deployed.state["runs"]} == {"SUCCESS"}
        assert len(deployed.state["runs"]) == len(YEARS)

    def test_two_runs_went_on_at_a_time_and_never_three(self, deployed):
        assert deployed.most_in_progress == 2
        spans = deployed.rows("SELECT start_time, end_time FROM runs WHERE partition IS NOT NULL")
        together = [sum(begun <= start < ended for begun, ended in spans) for start, _end in spans]
        assert max(together) == 2

    def test_runs_are_in_the_database(self, deployed):
        found = deployed.rows("SELECT partition, status FROM runs WHERE partition IS NOT NULL ORDER BY partition")
        assert found == [(str(year), "SUCCESS") for year in YEARS]

    def test_materialisations_are_in_the_database(self, deployed):
        found = deployed.rows(
            "SELECT partition, asset_key FROM event_logs "
            "WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL"
        )
        assert sorted(found) == sorted(
            (str(year), key.to_string()) for year in YEARS for _name, key in yearly_assets()
        ), "each once"

    def test_check_results_are_in_the_database(self, deployed):
        found = deployed.rows("SELECT partition, asset_key, check_name, execution_status FROM asset_check_executions")
        assert sorted(row[:3] for row in found if row[0]) == sorted(
            (str(year), key.asset_key.to_string(), key.name) for year in YEARS for key in checks_by_year()
        )
        assert {row[3] for row in found} <= {"SUCCEEDED", "FAILED"}  # a warning is kept as FAILED

    def test_dagster_finds_the_same(self, deployed):
        keys = checks_by_year()
        with dg.DagsterInstance.from_config(str(deployed.server.installation.root / "dagster")) as instance:
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": list(map(str, YEARS))}))
            assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
            assert len(runs) == len(YEARS)
            for _name, key in yearly_assets():
                assert instance.get_materialized_partitions(key) == set(map(str, YEARS))
            for year in YEARS:
                assert set(checks_of_year(instance, keys, year)) == set(keys)

    def test_the_command_line_beside_it_finds_the_years_up_to_date(self, deployed):
        """As in the container ``code``; it also makes the series, if the sensor has not done so yet."""
        command = module("mm_pipeline.cli", "backfill", "--years", f"{YEARS[0]}:{YEARS[-1]}")
        done = subprocess.run(command, env=deployed.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(YEARS)} of {len(YEARS)} years were up to date and were skipped." in done.stdout
        assert (deployed.server.installation.settings.published_dir / "series" / "rates.parquet").is_file()

    def test_a_command_line_that_is_killed_gives_its_place_in_the_queue_back(self, deployed):
        """By the sensor, in the code server, asked for by the daemon."""
        installation = deployed.server.installation
        lock, log = installation.settings.lake_dir / ".locks" / "2005", installation.root / "killed.log"
        command = module("mm_pipeline.cli", "backfill", "--years", "2005", "--force")
        in_progress = "SELECT run_id FROM runs WHERE partition = '2005' AND status = 'STARTED'"
        with running(command, log, environment=deployed.environment, cwd=installation.root) as process:
            wait_for("a run of 2005", lambda: lock.read_text().startswith("run ") or None, PATIENCE, log)
            process.kill()
            process.wait(PATIENCE)
        ((run_id,),) = deployed.rows(in_progress)
        deployed.server.wait_for("its end", lambda: deployed.rows(in_progress) == [] or None, PATIENCE)
        assert deployed.rows(f"SELECT status FROM runs WHERE run_id = '{run_id}'") == [("FAILURE",)]

    def test_every_tick_went_well(self, deployed):
        """Those of the schedule and the sensors, whose resources no run holds."""
        ticks = deployed.rows("SELECT status, tick_body FROM job_ticks")
        assert {"FAILURE"} & {status for status, _body in ticks} == set()
        assert any("abandoned_runs" in body and status == "SKIPPED" for status, body in ticks)

    def test_no_patient_is_in_the_database(self, deployed):
        installation = deployed.server.installation
        people = (
            delivered(installation, "patient_id") | delivered(installation, "household_id") | patient_keys(installation)
        )
        people = {word for word in people if len(word) > 7}
        assert len(people) > 10_000
        words = set(re.findall(r"[\w-]+", deployed.postgres.dump()))
        assert {"protected_rates", "dagster_event_type", *map(str, YEARS)} <= words, "it is the whole dump"
        assert not words & people
