"""Provenance: code, dependencies, thresholds and fingerprints, and nothing else."""

import getpass
import json
import platform
from importlib import metadata
from pathlib import Path

import pytest

from mm_pipeline import __version__
from mm_pipeline.release.metadata import provenance as module
from mm_pipeline.release.metadata.provenance import Made, dependencies, provenance

SHA = "0123456789abcdef" * 4


@pytest.fixture
def text(release) -> str:
    made = {
        2024: made_of(
            deliveries={"forfaits.csv": {"sha256": SHA}},
            references={"refnis.csv": {"sha256": SHA}, "sectors 2021.geojson.zip": {"sha256": SHA}},
            code={"statistic": "abc123"},
        ),
        2023: made_of(deliveries={"dmg.csv": {"sha256": SHA}}),
    }
    return provenance(release, made, code={"release": "def456"})


def made_of(**parts) -> Made:
    given = {"deliveries": {}, "references": {}, "code": {}, "thresholds": {"threshold": 6, "disclosure_threshold": 5}}
    return Made(**(given | parts))


def test_content(text):
    content = json.loads(text)
    assert content["release"] == {"number": 3, "date": "2026-09-05", "years": [2023, 2024], "synthetic": False}
    assert content["code"] == {"mm-pipeline": __version__, "release": "def456"}
    assert content["thresholds"] == {"disclosure_threshold": 5, "threshold": 6}
    assert content["python"] == platform.python_version()
    assert content["dependencies"]["duckdb"] == metadata.version("duckdb")
    assert list(content["years"]) == ["2023", "2024"]
    assert content["years"]["2024"]["code"] == {"statistic": "abc123"}
    assert content["years"]["2024"]["references"]["refnis.csv"] == {"sha256": SHA}
    assert content["years"]["2023"]["deliveries"] == {"dmg.csv": {"sha256": SHA}}
    assert set(content) == {"release", "code", "thresholds", "python", "dependencies", "years"}


def test_nothing_of_the_machine(text):
    for name in (platform.node(), str(Path.home()), str(Path.cwd()), f'"{getpass.getuser()}"'):
        assert name not in text


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("forfaits", {"sha256": SHA, "rows": "5"}),
        ("forfaits", {"rows": "5"}),
        ("forfaits", {"sha256": SHA[:-1]}),
        ("forfaits", {"sha256": SHA.upper()}),
        ("/home/data/forfaits", {"sha256": SHA}),
        ("data\\forfaits", {"sha256": SHA}),
        ("", {"sha256": SHA}),
    ],
)
@pytest.mark.parametrize("of", ["deliveries", "references"])
def test_anything_but_a_fingerprint_is_refused(release, of, name, entry):
    with pytest.raises(ValueError, match="2024"):
        provenance(release, {2024: made_of(**{of: {name: entry}})}, code={})


def test_dependencies_are_those_declared_for_running(monkeypatch):
    declared = [
        "DuckDB>=2.0,<3",
        "ibis-framework[duckdb]>=12",
        'colorama ; sys_platform == "x"',
        'pytest ; extra == "dev"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: declared)
    monkeypatch.setattr(metadata, "version", lambda name: f"{name} 1")
    assert list(dependencies()) == ["DuckDB", "colorama", "ibis-framework"]


def test_dependencies_of_a_clone_that_is_not_installed(monkeypatch):
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "requires", absent)
    found = dependencies()
    assert found["pyarrow"] == metadata.version("pyarrow")
    assert "pytest" not in found
