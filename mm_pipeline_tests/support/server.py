"""Commands in processes of their own: ``mm-pipeline ui`` and others; and GraphQL as the UI speaks it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mm_pipeline
from mm_pipeline_tests.support.installation import Installation, made_together

T = TypeVar("T")


LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status numPartitions error { message }
      runs { id status tags { key value } }
    }
  }
}"""


@dataclass(frozen=True)
class Server:
    url: str
    installation: Installation
    log: Path

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": text, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch_backfill(self, assets: Iterable[str], years: Iterable[int]) -> str:
        """As the UI does it; returns its id."""
        params = {
            "assetSelection": [{"path": [name]} for name in made_together(assets)],
            "partitionNames": [str(year) for year in years],
            "fromFailure": False,
            "tags": [],
        }
        launched = self.query(LAUNCH, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return launched["backfillId"]

    def backfill(self, backfill_id: str) -> dict[str, Any]:
        state = self.query(BACKFILL, id=backfill_id)["partitionBackfillOrError"]
        assert state["error"] is None, state
        return state

    def ended_backfill(self, backfill_id: str) -> dict[str, Any] | None:
        state = self.backfill(backfill_id)
        return None if state["status"] in ("REQUESTED", "FAILING", "CANCELING") else state

    def wait_for(self, what: str, look: Callable[[], T | None], seconds: float) -> T:
        return wait_for(what, look, seconds, self.log)


def wait_for(what: str, look: Callable[[], T | None], seconds: float, log: Path) -> T:
    """The first answer of ``look`` that is not None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds} s\n{log.read_text()[-5000:]}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def environment_of(installation: Installation) -> dict[str, str]:
    settings = installation.settings
    return os.environ | {
        "MM_DATA_DIR": str(settings.data_dir),
        "MM_ID_KEY": settings.id_key,
        "MM_REVISION_MAY_HIDE": settings.revision_may_hide,
        "MM_MEMORY_LIMIT": settings.memory_limit,
        "MM_THREADS": str(settings.threads),
        "DAGSTER_HOME": str(installation.root / "dagster"),
        "PYTHONPATH": str(Path(mm_pipeline.__file__).parent.parent),
    }


def module(*command: str | Path) -> list[str]:
    """``python -m`` of these tests' interpreter."""
    return [sys.executable, "-m", *map(str, command)]


@contextmanager
def running(
    command: list[str], log: Path, *, environment: dict[str, str], cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The command and all its children; all ended at the end, whatever happens."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True, cwd=cwd
        )
    try:
        yield process
    finally:
        _end(process)


def wait_until_up(process: subprocess.Popen[bytes], server: Server) -> None:
    def is_up() -> bool | None:
        assert process.poll() is None, server.log.read_text()
        try:
            with urllib.request.urlopen(f"{server.url}/server_info", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return None

    server.wait_for("the web server", is_up, PATIENCE)


@contextmanager
def served(installation: Installation, log: Path) -> Iterator[Server]:
    """Webserver, daemon and code server over this installation."""
    port = free_port()
    command = module("mm_pipeline.cli", "ui", "--port", str(port))
    with running(command, log, environment=environment_of(installation), cwd=installation.root) as process:
        server = Server(f"http://127.0.0.1:{port}", installation, log)
        wait_until_up(process, server)
        yield server


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole session: Dagster's own children end with it, runs in progress too."""
    for signal_, patience in ((signal.SIGINT, 15), (signal.SIGKILL, 15)):
        try:
            os.killpg(process.pid, signal_)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait(15)


PATIENCE = 600
"""Seconds; a whole run takes five on a machine that does nothing else."""


@dataclass
class CommandLine:
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, what: str, look: Callable[[], object]) -> None:
        wait_for(what, lambda: look() or None, PATIENCE, self.log)

    def has_succeeded(self) -> bool:
        code = self.process.wait(PATIENCE)
        assert code == 0, self.said
        return True


@contextmanager
def command_line(installation: Installation, log: Path, *arguments: str) -> Iterator[CommandLine]:
    command = [*installation.command, *arguments]
    environment = environment_of(installation) | {"COLUMNS": "200"}
    with running(command, log, environment=environment, cwd=installation.root) as process:
        yield CommandLine(process, log)
