"""The shape of the data product: who reads whom, what each asset says of itself, and walls between the packages."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode

from mm_pipeline import schemas
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.assets.protection import CHECKS
from mm_pipeline.storage.lake import MADE_BY
from mm_pipeline_tests.support.paths import PACKAGE, REPOSITORY

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")
RENEW = "python -m mm_pipeline_tests.dagster.test_graph"


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    return build_definitions().resolve_asset_graph()


def nodes(graph: AssetGraph) -> list[AssetNode]:
    """What is made here, in the order of the flow."""
    return [node for node in nodes_and_sources(graph) if node.is_materializable]


def nodes_and_sources(graph: AssetGraph) -> list[AssetNode]:
    return [graph.get(key) for level in graph.toposorted_asset_keys_by_level for key in sorted(level)]


def name(key: dg.AssetKey) -> str:
    return key.to_user_string()


# --- What reads what


def test_the_publication_reads_what_is_protected_and_names_and_outlines_of_areas(graph):
    publication = {node.key for node in nodes(graph) if node.group_name == "publication"}
    protected = {node.key for node in nodes(graph) if node.group_name == "protection"}
    areas = {dg.AssetKey("geography"), dg.AssetKey("outlines")}
    read = {parent for key in publication for parent in graph.get(key).parent_keys} - publication
    assert read == protected | areas


def test_what_clears_a_year_waits_for_the_checks_of_what_is_released(graph):
    protected = dg.AssetKey("protected_rates")
    blocking = {key.name for key in graph.get(protected).check_keys if graph.get_check_spec(key).blocking}
    assert set(CHECKS) == blocking
    assert protected in graph.get(dg.AssetKey("cleared")).parent_keys
    assert dg.AssetKey("cleared") in graph.get(dg.AssetKey("published_year")).parent_keys


def test_every_arrow_points_one_way(graph):
    order = ["deliveries", "patients", "houses", "rates", "protection", "publication"]
    for node in nodes_and_sources(graph):
        for parent in node.parent_keys:
            assert order.index(graph.get(parent).group_name) <= order.index(node.group_name), (parent, node.key)


def test_all_but_the_series_are_by_year(graph):
    unpartitioned = {name(node.key) for node in nodes_and_sources(graph) if node.partitions_def is None}
    assert unpartitioned == {"outlines", "published_series", "atlas_page"}
    for key in graph.asset_check_keys:
        assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def, key


# --- What each asset says of itself


def test_every_asset_is_described(graph):
    for node in nodes(graph):
        asset = name(node.key)
        spec = node.assets_def.specs_by_key[node.key]
        assert len(spec.description or "") > 60, asset
        assert spec.owners, asset
        assert spec.kinds, asset
        assert spec.tags["zone"] in ("restricted", "confidential", "public"), asset
        assert spec.code_version, asset
        assert spec.metadata["dagster/uri"].startswith("data/"), asset
        (reference,) = spec.metadata["dagster/code_references"].code_references
        assert Path(reference.file_path).is_file(), asset
        source = Path(reference.file_path).read_text().splitlines()
        named = f"def {MADE_BY.get(asset, asset)}("
        is_raw = asset.startswith("raw_")
        assert any(
            is_raw or named in line for line in source[reference.line_number - 1 : reference.line_number + 90]
        ), asset


def test_what_others_bring_is_described(graph):
    """Delivery and reference data: Dagster is told of them, and makes neither."""
    observed = [node for node in nodes_and_sources(graph) if not node.is_materializable]
    assert [name(node.key) for node in observed] == ["delivery", "earlier_houses", "outlines", "reference"]
    for node in observed:
        assert node.is_external
        assert len(node.description) > 60
        assert node.owners
        assert node.tags["zone"] == ("confidential" if name(node.key) == "earlier_houses" else "restricted")
        assert str(node.metadata["dagster/uri"]).startswith("data/")


def test_every_table_has_its_columns_described(graph):
    tables = dict(schemas.LAKE_TABLES) | dict.fromkeys(["published_year", "published_series"], schemas.RELEASED_RATES)
    for node in nodes(graph):
        if name(node.key) == "atlas_page":
            continue
        columns = node.metadata["dagster/column_schema"].columns
        assert [column.name for column in columns] == tables[name(node.key)].column_names
        for column in columns:
            assert column.type, column.name
            assert column.description, column.name
            # The UI reads it as Markdown and drops what looks like an HTML tag.
            assert "<" not in column.description.replace(r"\<", ""), column.description


def test_the_zones_are_those_of_the_groups(graph):
    zones = {"deliveries": "restricted", "patients": "restricted", "protection": "public", "publication": "public"}
    zones |= dict.fromkeys(["houses", "rates"], "confidential")
    memory = {"disclosed_rates", "cleared", "releases", "shown_sensitivity"}
    for node in nodes(graph):
        assert node.tags["zone"] == ("confidential" if name(node.key) in memory else zones[node.group_name])


def test_every_check_is_described(graph):
    for node in nodes(graph):
        if name(node.key) not in ("atlas_page", "beneficiary_counts", "cleared", *MADE_BY):
            assert node.check_keys, f"{name(node.key)} has no check"
    for key in graph.asset_check_keys:
        assert len(graph.get_check_spec(key).description or "") > 20, key


# --- The snapshot


def written(graph: AssetGraph) -> str:
    """The asset graph as text: one block an asset, in the order of the flow."""
    blocks = []
    for node in nodes(graph):
        lines = [
            name(node.key),
            f"  group:       {node.group_name}",
            f"  owners:      {', '.join(node.owners)}",
            f"  tags:        {', '.join(f'{k}={v}' for k, v in sorted(node.tags.items()) if 'kind' not in k)}",
            f"  kinds:       {', '.join(sorted(node.kinds))}",
            f"  reads:       {', '.join(sorted(map(name, node.parent_keys))) or '-'}",
            f"  by year:     {'yes' if node.partitions_def else 'no'}",
            f"  by itself:   {node.automation_condition.get_label() if node.automation_condition else '-'}",
        ]
        for key in sorted(node.check_keys):
            spec = graph.get_check_spec(key)
            after = sorted(name(dep.asset_key) for dep in spec.additional_deps)
            lines.append(
                f"  check:       {key.name}{' (blocking)' if spec.blocking else ''}"
                + (f", after {', '.join(after)}" if after else "")
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def test_the_asset_graph_is_as_reviewed(graph):
    assert written(graph) == SNAPSHOT.read_text(encoding="utf-8"), (
        f"The asset graph is not the one of {SNAPSHOT.name}. If the change is meant: {RENEW}\nand commit the file with it."
    )


# --- Walls between the packages

PURE = ("statistic", "disclosure", "release")


def imports_of(path: Path) -> Iterator[str]:
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{path}: relative import"
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


@pytest.mark.parametrize("room", PURE)
def test_pure_packages_know_neither_dagster_nor_each_other(room):
    forbidden = ["dagster", *(f"mm_pipeline.{other}" for other in (*PURE, "defs") if other != room)]
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        for imported in imports_of(path):
            assert not any(f"{imported}.".startswith(f"{each}.") for each in forbidden), f"{path} imports {imported}"


@pytest.mark.parametrize(
    "room", ["statistic", "disclosure", "release", "ingest", "reference", "storage", "demo", "files"]
)
def test_only_the_dagster_side_knows_dagster(room):
    for path in sorted((PACKAGE / room).rglob("*.py")):
        assert not any(imported.split(".")[0].startswith("dagster") for imported in imports_of(path)), path


def test_a_code_version_covers_all_that_its_rooms_import():
    """Otherwise a change of a rule would leave the tables made by it "up to date"."""
    for stage in ("deliveries", "patients", "houses", "rates", "protection", "release"):
        path = PACKAGE / "defs" / "assets" / f"{stage}.py"
        declared = list(_declared_rooms(path))
        assert declared, path
        for rooms in declared:
            files = {file for room in rooms for file in _files(room)}
            for file in files:
                for imported in imports_of(file):
                    parts = imported.split(".")
                    if parts[0] != "mm_pipeline" or parts[1] not in (*PURE, "ingest", "reference"):
                        continue
                    # "from mm_pipeline.statistic import cells", or "... .statistic.cells import age_class"
                    module = next(
                        p
                        for p in (PACKAGE.joinpath(*parts[1:]), PACKAGE.joinpath(*parts[1:-1]))
                        if p.with_suffix(".py").is_file() or p.is_dir()
                    )
                    needed = {module.with_suffix(".py")} if module.with_suffix(".py").is_file() else set()
                    assert needed <= files, f"{path.name}: rooms {rooms} import {imported}"


def _files(room: str) -> list[Path]:
    path = PACKAGE / room
    return sorted(path.rglob("*.py")) if path.is_dir() else sorted(path.parent.glob(f"{path.name}.py"))


DECLARING = ("lake_asset", "table_spec", "declared", "described")


def _declared_rooms(path: Path) -> Iterator[list[str]]:
    names = vars(importlib.import_module(f"mm_pipeline.defs.assets.{path.stem}"))
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in DECLARING:
            rooms = next((keyword.value for keyword in call.keywords if keyword.arg == "code"), None)
            if rooms is not None:
                yield eval(compile(ast.Expression(rooms), path.name, "eval"), names)


# --- Dagster's own commands


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["dagster", "definitions", "validate", "-w", "workspace.yaml"], ["dg", "check", "defs"]], ids=" ".join
)
def test_dagster_finds_the_definitions_valid(command, tmp_path):
    home = tmp_path / "dagster"
    home.mkdir()
    environment = os.environ | {"MM_DATA_DIR": str(tmp_path / "data"), "DAGSTER_HOME": str(home), "NO_COLOR": "1"}
    environment["PYTHONPATH"] = str(REPOSITORY)  # as after an installation
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "data").exists(), "loading the definitions writes nothing"


if __name__ == "__main__":
    SNAPSHOT.write_text(written(build_definitions().resolve_asset_graph()), encoding="utf-8")
    print(f"{SNAPSHOT} is renewed.")
