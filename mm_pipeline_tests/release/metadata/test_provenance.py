"""Provenance: code, dependencies, thresholds and fingerprints, and nothing else."""

import getpass
import json
import platform
from importlib import metadata
from pathlib import Path

import pytest

from mm_pipeline import __version__
from mm_pipeline.release.metadata import provenance as module
from mm_pipeline.release.metadata.provenance import dependencies, provenance

SHA = "0123456789abcdef" * 4


@pytest.fixture
def text(release) -> str:
    return provenance(
        release,
        code_versions={"rates": "abc123", "publication": "def456"},
        thresholds={"MM_THRESHOLD": 6, "MM_DISCLOSURE_THRESHOLD": 5},
        deliveries={2024: {"forfaits": {"sha256": SHA}}, 2023: {"dmg": {"sha256": SHA}}},
        references={2024: {"refnis.csv": {"sha256": SHA}, "sectors 2021.geojson.zip": {"sha256": SHA}}},
    )


def test_content(text):
    content = json.loads(text)
    assert content["release"] == {"number": 3, "date": "2026-09-05", "years": [2023, 2024], "synthetic": False}
    assert content["code"] == {"mm-pipeline": __version__, "publication": "def456", "rates": "abc123"}
    assert content["thresholds"] == {"MM_DISCLOSURE_THRESHOLD": 5, "MM_THRESHOLD": 6}
    assert content["python"] == platform.python_version()
    assert content["dependencies"]["duckdb"] == metadata.version("duckdb")
    assert list(content["deliveries"]) == ["2023", "2024"]
    assert content["references"]["2024"]["refnis.csv"] == {"sha256": SHA}
    assert set(content) == {
        *("release", "code", "thresholds", "python", "dependencies", "deliveries", "references"),
    }


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
    given = {"deliveries": {}, "references": {}} | {of: {2024: {name: entry}}}
    with pytest.raises(ValueError, match="2024"):
        provenance(release, code_versions={}, thresholds={}, **given)


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
