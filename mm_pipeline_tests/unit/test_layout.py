"""The tree: imports go downwards only, every test is in a tier, and ``unit`` mirrors the package."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from mm_pipeline_tests.conftest import TESTS, TIERS
from mm_pipeline_tests.support.paths import PACKAGE

MODULES = sorted(TESTS.rglob("*.py"))

FLOORS = [
    {"cli", "webserver", "event_log"},
    {"definitions"},
    {"defs"},
    {"operations"},
    {"ingest", "release", "demo"},
    {"storage"},
    {"settings"},
    {"reference", "disclosure", "statistic", "schemas"},
    {"files", "dimensions", "errors", "clock"},
]
"""From the top; what is on one floor imports nothing from above."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_test_lies_in_a_tier():
    tests = [path.relative_to(TESTS) for path in MODULES if path.name.startswith("test_")]
    assert {path.parts[0] for path in tests} == set(TIERS)


def test_no_test_imports_from_another_test():
    found = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in MODULES
        for name in imported(path)
        if name.startswith("mm_pipeline_tests.") and any(part.startswith("test_") for part in name.split(".")[:-1])
    ]
    assert found == []


def test_unit_mirrors_the_package():
    folders = {path.parent.relative_to(TESTS / "unit") for path in MODULES if path.is_relative_to(TESTS / "unit")}
    assert [str(folder) for folder in sorted(folders) if not (PACKAGE / folder).is_dir()] == []


def test_nothing_imports_upward():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("mm_pipeline.")}
        if room != "__init__":
            found += [
                f"{path.relative_to(PACKAGE)}: {other}" for other in sorted(rooms) if floor.get(other, 99) < floor[room]
            ]
    assert found == []


def test_few_modules_lie_loose():
    assert len(list(PACKAGE.glob("*.py"))) <= 10


def test_nothing_imports_in_a_circle():
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    imports = {
        name: {of if of in names else of.rpartition(".")[0] for of in imported(path)} & names.keys() - {name}
        for name, path in names.items()
    }
    TopologicalSorter(imports).prepare()


def test_private_parts_of_dagster_are_used_in_one_place():
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for name in imported(path)
        if name.startswith("dagster") and any(part.startswith("_") for part in name.split("."))
    }
    assert found == {"operations/dagster_workarounds.py"}
