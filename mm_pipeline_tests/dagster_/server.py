"""``mm-pipeline ui`` in a process of its own, and GraphQL as the UI speaks it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mm_pipeline
from mm_pipeline_tests.dagster_.world import World

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    url: str
    world: World
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

    def wait_for(self, what: str, look: Callable[[], T | None], seconds: float) -> T:
        """The first answer of ``look`` that is not None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (found := look()) is not None:
                return found
            time.sleep(1)
        raise AssertionError(f"{what}: not within {seconds} s\n{self.log.read_text()[-5000:]}")


@contextmanager
def served(world: World, log: Path) -> Iterator[Server]:
    """Webserver, daemon and code server over this world; all ended at the end, whatever happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = world.settings
    environment = os.environ | {
        "MM_DATA_DIR": str(settings.data_dir),
        "MM_ID_KEY": settings.id_key,
        "MM_MEMORY_LIMIT": settings.memory_limit,
        "MM_THREADS": str(settings.threads),
        "DAGSTER_HOME": str(world.root / "dagster"),
        "PYTHONPATH": str(Path(mm_pipeline.__file__).parent.parent),
    }
    command = [sys.executable, "-m", "mm_pipeline.cli", "ui", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True, cwd=world.root
        )
    server = Server(f"http://127.0.0.1:{port}", world, log)

    def is_up() -> bool | None:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{server.url}/server_info", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return None

    try:
        server.wait_for("the web server", is_up, 120)
        yield server
    finally:
        _end(process)


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
