"""What the page is made with lies in the project as its makers published it, with its licence."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest

import mm_pipeline.release.atlas
from mm_pipeline_tests.support.paths import REPOSITORY

VENDOR = Path(mm_pipeline.release.atlas.__file__).parent / "vendor"
VENDORED = json.loads((VENDOR / "vendored.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", VENDORED, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_unchanged_and_its_licence_is_there(entry):
    assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    licences = (VENDOR / "LICENSES.txt").read_text(encoding="utf-8")
    assert f"{entry['package']} {entry['version']} ({entry['licence']}): {entry['file']}" in licences


def test_nothing_else_is_vendored():
    files = {path.name for path in VENDOR.iterdir()}
    assert files == {entry["file"] for entry in VENDORED} | {"LICENSES.txt", "vendored.json"}


def test_the_licences_of_what_is_inside_the_bundles_are_there():
    licences = (VENDOR / "LICENSES.txt").read_text(encoding="utf-8")
    for package in ("d3-geo", "d3-scale-chromatic", "delaunator", "robust-predicates", "interval-tree-1d", "isoformat"):
        assert f"\n{package} " in licences


def test_the_script_that_fetches_them_names_the_same_versions():
    path = REPOSITORY / "scripts" / "vendor_atlas.py"
    spec = importlib.util.spec_from_file_location("vendor_atlas", path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # dataclasses look their module up
    spec.loader.exec_module(script)
    named = {(p.name, p.version, p.licence, file) for p in script.PACKAGES for _, file in p.files}
    assert named == {(e["package"], e["version"], e["licence"], e["file"]) for e in VENDORED}
