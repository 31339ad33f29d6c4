"""What the documentation says of the program is there: files it links to, tests it names, commands and settings it lists."""

import ast
import re
from pathlib import Path

import pytest

from mm_pipeline.cli import main
from mm_pipeline_tests.support.paths import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("deploy/*.md")])

PROMISING = ("security.md", "operating.md")
"""Whose promises name the tests that hold the program to them."""
_TEST = re.compile(r"\(test: ([\w/]+\.py)(?:::([\w:]+))?\)")


def names_in(path: Path) -> set[str]:
    """Names of the tests of a module: ``name``, ``Class`` and ``Class::name``."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}::{below.name}" for below in node.body if isinstance(below, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_tests_that_a_page_names_are_there(page):
    for file, name in _TEST.findall(page.read_text(encoding="utf-8")):
        assert (REPOSITORY / file).is_file(), f"{page.name}: {file}"
        assert not name or name in names_in(REPOSITORY / file), f"{page.name}: {file}::{name}"


@pytest.mark.parametrize("name", PROMISING)
def test_promises_name_their_tests(name):
    text = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    assert len(_TEST.findall(text)) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_is_listed():
    listed = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    for name in main.commands:
        assert f"| `mm-pipeline {name}" in listed, name


def test_every_setting_is_listed():
    source = (REPOSITORY / "mm_pipeline" / "settings.py").read_text(encoding="utf-8")
    listed = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    names = set(re.findall(r'"(MM_[A-Z_]+)"', source))
    assert len(names) >= 12
    for name in names:
        assert f"| `{name}` |" in listed, name
