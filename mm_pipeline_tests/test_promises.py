"""The documents name the tests that hold the program to what they promise: each of them is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = [
    (document.name, *names)
    for document in sorted((ROOT / "docs").glob("*.md"))
    for names in re.findall(r"\(test: ([\w/.]+)::([\w:]+)\)", document.read_text(encoding="utf-8"))
]


def names_in(path: Path) -> set[str]:
    """``test_name`` and ``TestClass::test_name`` of a file."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    for node in tree.body:
        within = [(f"{node.name}::", each) for each in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        found |= {prefix + each.name for prefix, each in within if isinstance(each, ast.FunctionDef)}
    return found


@pytest.mark.parametrize(("document", "path", "name"), NAMED)
def test_a_named_test_is_there(document: str, path: str, name: str) -> None:
    assert name in names_in(ROOT / path), f"docs/{document} names it"


def test_documents_name_tests() -> None:
    assert {document for document, *_ in NAMED} >= {"security.md"}
