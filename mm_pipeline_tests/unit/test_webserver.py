"""``mm-pipeline ui``: what it starts, and what must be asked for (served: ``browser/test_ui_access.py``)."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mm_pipeline.cli import main
from mm_pipeline.errors import OperatorError
from mm_pipeline.webserver import LOOPBACK, hold_place, why_refused
from mm_pipeline_tests.support.pipeline import settings_for
from mm_pipeline_tests.support.server import free_port


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "example.org"])
@pytest.mark.parametrize("more", [[], ["--read-only"]])
def test_another_address_must_be_asked_for(host: str, more: list[str]) -> None:
    done = CliRunner().invoke(main, ["ui", "--host", host, *more])
    assert done.exit_code == 2
    assert "there is no sign-in" in done.output.replace("\n", " ")
    assert "--without-sign-in" in done.output


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ([], ["dev", "-m", "mm_pipeline.definitions", "-h", "127.0.0.1", "-p", "3000"]),
        (["--read-only"], ["--read-only", "-m", "mm_pipeline.definitions", "-h", "127.0.0.1", "-p", "3001"]),
        (
            ["--host", "10.1.2.3", "--without-sign-in"],
            ["dev", "-m", "mm_pipeline.definitions", "-h", "10.1.2.3", "-p", "3000"],
        ),
    ],
)
def test_what_is_served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], command: list[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("mm_pipeline.webserver.hold_place", lambda *_, **__: None)
    monkeypatch.setenv("MM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setattr("mm_pipeline.cli.os.execv", lambda _program, words: started.append(words))
    done = CliRunner().invoke(main, ["ui", *options])
    assert done.exit_code == 0, done.output
    assert [words[1:4] for words in started] == [["-P", "-m", "mm_pipeline.webserver"]]
    assert [words[4:] for words in started] == [command]
    assert ("WARNING: no sign-in" in done.output) == ("--host" in options)


@pytest.mark.parametrize("host", ["localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.1"])
def test_names_of_this_machine(host: str) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
    assert why_refused(scope, LOOPBACK) is None


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OperatorError, match=rf"on 127.0.0.1, port {port} \(Address already in use\).*--port"):
            hold_place(settings_for(tmp_path), "127.0.0.1", port, alone=False)
    hold_place(settings_for(tmp_path), "127.0.0.1", port, alone=False)  # it is free again


def test_an_address_of_another_machine_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"nothing can be served on 192.0.2.1, port 3000"):
        hold_place(settings_for(tmp_path), "192.0.2.1", 3000, alone=False)


def test_one_ui_with_a_daemon_serves_a_data_folder(tmp_path: Path) -> None:
    """From another process, since this one would hold it until its end; it outlives what the process becomes."""
    program = (
        "import os, sys; from mm_pipeline.settings import from_environment; from mm_pipeline.webserver import hold_place; "
        "hold_place(from_environment(), '127.0.0.1', int(sys.argv[1]), alone=True); print('held', flush=True); "
        "os.execv('/bin/sleep', ['sleep', '60'])"
    )
    settings, port = settings_for(tmp_path), free_port()
    command = [sys.executable, "-c", program, str(port)]
    environment = os.environ | {"MM_DATA_DIR": str(settings.data_dir)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == "held\n"
            with pytest.raises(OperatorError, match=r"another mm-pipeline ui serves .* already; expected one"):
                hold_place(settings, "127.0.0.1", port, alone=True)
            hold_place(settings, "127.0.0.1", port, alone=False)  # for onlookers
        finally:
            first.kill()
    again = subprocess.run(
        [sys.executable, "-c", program.partition("os.execv")[0], str(port)], env=environment, check=False
    )
    assert again.returncode == 0
