"""``mm-pipeline ui``: on this machine only, for its own pages only; and the server for onlookers starts nothing."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mm_pipeline_tests.support.installation import YEARS, Installation
from mm_pipeline_tests.support.server import (
    LAUNCH,
    PATIENCE,
    Server,
    environment_of,
    free_port,
    module,
    running,
    wait_until_up,
)

VERSION = json.dumps({"query": "{ version }"})
JSON = {"Content-Type": "application/json"}


@contextmanager
def ui(installation: Installation, log: Path, *options: str, **environment: str) -> Iterator[Server]:
    port = free_port()
    # As the console script has it: without the folder in which one stands.
    command = [sys.executable, "-P", "-m", "mm_pipeline.cli", "ui", "--port", str(port), *options]
    with running(
        command, log, environment=environment_of(installation) | environment, cwd=installation.root
    ) as process:
        server = Server(f"http://127.0.0.1:{port}", installation, log)
        wait_until_up(process, server)
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("ui")
    for name in ("gql", "yaml", "click", "dagster_graphql", "starlette"):
        (root / f"{name}.py").write_text("raise RuntimeError('a file of the folder in which one stands')\n")
    with ui(Installation(root), root / "log", MM_UI_HOSTS="statistics.example.org") as server:
        yield server


@pytest.fixture(scope="module")
def onlookers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("onlookers")
    with ui(Installation(root), root / "log", "--read-only") as server:
        yield server


def asked(
    server: Server, path: str = "/graphql", *, method: str = "POST", body: str = VERSION, **headers: str
) -> tuple[int, str]:
    """Status and text of the answer."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    names = {name.replace("_", "-"): value for name, value in (JSON | headers).items()}
    connection.request(method, path, body if method == "POST" else None, names)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def own_address() -> str:
    """An address of this machine by which others would reach it, or another one of the loopback network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


class TestServed:
    def test_answers_on_loopback_only(self, server: Server) -> None:
        assert asked(server)[0] == 200
        port = int(server.url.rpartition(":")[2])
        for address in {own_address(), "127.0.0.2"} - {"127.0.0.1"}:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), timeout=10)

    def test_no_process_shows_the_secret_in_its_arguments(self, server: Server) -> None:
        secret, shown = server.installation.settings.id_key.encode(), []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                shown.append(path.read_bytes())
        assert any(b"mm_pipeline.webserver" in words for words in shown)
        assert not any(secret in words for words in shown)

    def test_answers_its_own_pages(self, server: Server) -> None:
        host = server.url.removeprefix("http://")
        assert asked(server, Origin=server.url)[0] == 200
        assert asked(server, "/", method="GET", Accept="text/html")[0] == 200
        assert asked(server, method="GET", Accept="text/html", Host=host)[0] == 200

    def test_answers_those_of_a_proxy_under_its_name(self, server: Server) -> None:
        assert asked(server, Host="statistics.example.org", Origin="https://statistics.example.org")[0] == 200

    @pytest.mark.parametrize(
        "origin", ["https://elsewhere.example", "null", "http://localhost:1", "https://statistics.example.org"]
    )
    def test_answers_no_page_of_another_site(self, server: Server, origin: str) -> None:
        for path in ("/graphql", "/report_asset_materialization/raw_dmg"):
            assert asked(server, path, Origin=origin) == (403, "This server answers to its own pages only.\n")

    def test_answers_under_no_name_that_only_points_here(self, server: Server) -> None:
        for path in ("/graphql", "/", "/server_info"):
            assert asked(server, path, method="GET", Host="elsewhere.example")[0] == 403

    @pytest.mark.parametrize("type_", ["text/plain", "application/graphql", "text/plain; application/json", ""])
    def test_takes_nothing_that_a_form_could_send(self, server: Server, type_: str) -> None:
        path = "/graphql?query=%7Bversion%7D"
        assert asked(server, path, Content_Type=type_)[0] == 403
        assert asked(server, path, method="GET", Accept="image/png")[0] == 403

    def test_takes_no_socket_of_another_site(self, server: Server) -> None:
        opens = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        opens |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "graphql-ws"}
        for origin, status in ((server.url, 101), ("https://elsewhere.example", 403)):
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
            connection.request("GET", "/graphql", headers=opens | {"Origin": origin})
            assert connection.getresponse().status == status
            connection.close()

    def test_a_launch_is_refused_for_onlookers(self, onlookers: Server) -> None:
        params = {
            "assetSelection": [{"path": ["geography"]}],
            "partitionNames": ["2019"],
            "fromFailure": False,
            "tags": [],
        }
        answer = onlookers.query(LAUNCH, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "UnauthorizedError"
        assert onlookers.query("{ runsOrError { ... on Runs { results { id } } } }")["runsOrError"]["results"] == []
        assert asked(onlookers, "/report_asset_materialization/raw_dmg", body="{}")[0] == 401

    def test_onlookers_have_no_daemon(self, onlookers: Server) -> None:
        health = onlookers.query(
            "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy lastHeartbeatTime } } } }"
        )
        statuses = health["instance"]["daemonHealth"]["allDaemonStatuses"]
        assert statuses
        assert all(each["lastHeartbeatTime"] is None for each in statuses)


def test_nothing_is_imported_from_the_folder_in_which_one_stands(server: Server) -> None:
    """The server came up, and neither it nor the daemon nor the code server met one of the files that lie there."""
    assert "a file of the folder in which one stands" not in server.log.read_text()
    assert not list(server.installation.root.glob("__pycache__"))


def test_a_second_ui_is_told_at_once_and_leaves_the_first_alone(server: Server, tmp_path: Path) -> None:
    """On the same port, and over the same data on another one."""
    port = server.url.rpartition(":")[2]
    other = Installation(tmp_path)
    for installation, at, said in (
        (
            other,
            port,
            f"nothing can be served on 127.0.0.1, port {port} (Address already in use); expected a free port",
        ),
        (
            server.installation,
            str(free_port()),
            f"another mm-pipeline ui serves {server.installation.settings.data_dir} already",
        ),
    ):
        done = subprocess.run(
            module("mm_pipeline.cli", "ui", "--port", at),
            env=environment_of(installation),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"mm-pipeline: {said}")
        assert done.stderr.count("\n") == 1
    assert server.query("{ version }")


def test_a_backfill_whose_release_awaits_its_signatures_has_not_failed(
    built_in_belgium: Installation, tmp_path: Path
) -> None:
    """As the catalog starts it; nothing is public by it."""
    year, installation = YEARS[-1], built_in_belgium.copied_to(tmp_path / "installation")
    public = installation.settings.published_dir / str(year)
    shutil.rmtree(public)
    with ui(installation, tmp_path / "log", MM_SIGN_OFF="on") as server:
        backfill_id = server.launch_backfill(["published_year"], [year])
        state = server.wait_for("the backfill", lambda: server.ended_backfill(backfill_id), PATIENCE)
    assert (state["status"], [run["status"] for run in state["runs"]]) == ("COMPLETED_SUCCESS", ["SUCCESS"])
    assert not public.exists()
    assert (installation.settings.awaiting_dir / str(year) / "rates.csv").is_file()


def test_the_same_launch_is_taken_by_the_other_server(server: Server) -> None:
    """The refusal above is not of the mutation as such."""
    assert server.launch_backfill(["geography"], [2019])
