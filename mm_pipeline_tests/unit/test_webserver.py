"""``mm-pipeline ui``: what it starts, and what must be asked for (served: ``browser/test_ui_access.py``)."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mm_pipeline.cli import main
from mm_pipeline.webserver import LOOPBACK, why_refused


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
    monkeypatch.setenv("MM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setattr("mm_pipeline.cli.os.execv", lambda _program, words: started.append(words))
    done = CliRunner().invoke(main, ["ui", *options])
    assert done.exit_code == 0, done.output
    assert [words[3:] for words in started] == [command]
    assert ("WARNING: no sign-in" in done.output) == ("--host" in options)


@pytest.mark.parametrize("host", ["localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.1"])
def test_names_of_this_machine(host: str) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
    assert why_refused(scope, LOOPBACK) is None
