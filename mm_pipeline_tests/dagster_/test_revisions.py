"""A revised year through Dagster: what changed and why is in the release, and the release before is kept as it was."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mm_pipeline import atomic
from mm_pipeline.assets import publication
from mm_pipeline.definitions import build_definitions
from mm_pipeline.release.files import broken_checksums, sha256
from mm_pipeline_tests.dagster_.world import World, deliver

YEAR = 2006


def content(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def materialise(world: World, asset: str, year: int | None = None, *, fails: bool = False) -> dg.ExecuteInProcessResult:
    job = build_definitions(settings=world.settings).resolve_implicit_global_asset_job_def()
    with world.instance() as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key=str(year) if year else None,
            asset_selection=[dg.AssetKey(asset)],
            raise_on_error=not fails,
        )
    assert result.success != fails
    return result


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    return found


@pytest.fixture(scope="module")
def revised(built: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """2006 was delivered anew; the series is not made yet."""
    world = built.copied_to(tmp_path_factory.mktemp("revised"))
    deliver(world.settings, [YEAR], seed=2)
    with world.backfill() as (backfill, _instance):
        backfill._refresh_series = lambda: None
        (result,) = backfill.years([YEAR])
    assert not result.problems
    return world


@pytest.fixture
def world(revised: World, tmp_path: Path) -> World:
    return revised.copied_to(tmp_path / "world")


@pytest.fixture
def series(world: World) -> Path:
    return world.settings.published_dir / "series"


def rewrite(patch: pytest.MonkeyPatch, name: str) -> None:
    """Another version of the program, which gives Belgium another name."""
    released_rates: Callable[..., pa.Table] = publication.released_rates

    def renamed(*arguments, **named):
        table = released_rates(*arguments, **named)
        position = table.column_names.index("area_name_fr")
        names = pc.if_else(pc.equal(table["level"], "country"), name, table["area_name_fr"])
        return table.set_column(position, table.schema.field(position), names)

    patch.setattr(publication, "released_rates", renamed)
    patch.setattr(publication, "code_version", lambda *rooms: name)


def naive(old: pa.Table, new: pa.Table) -> dict[tuple, Counter]:
    """What differs between two public files, in plain Python."""
    names = ("year", "level", "area_code", "dimension", "category")
    before, after = ({tuple(row[name] for name in names): row for row in table.to_pylist()} for table in (old, new))
    groups: dict[tuple, Counter] = {}
    for key in before.keys() | after.keys():
        group = groups.setdefault((key[0], key[1], key[3]), Counter())
        one, other = before.get(key), after.get(key)
        group["cells"] += other is not None
        group["added"] += one is None
        group["removed"] += other is None
        if one and other:
            group["changed"] += one != other
            group["newly_hidden"] += (one["status"], other["status"]) == ("published", "suppressed")
            group["newly_shown"] += (one["status"], other["status"]) == ("suppressed", "published")
            if one["status"] == other["status"] == "published" and one["rate_per_10000"] is not None:
                change = abs((other["rate_per_10000"] or one["rate_per_10000"]) - one["rate_per_10000"])
                group["largest_change"] = max(group["largest_change"], change)
    return groups


def test_a_revised_delivery_is_in_the_table_with_its_reason(world, series):
    first = content(series)
    result = materialise(world, "published_series")
    rows = [row for row in pq.read_table(series / "revisions.parquet").to_pylist() if row["release"] == 2]
    assert {(row["year"], row["reasons"]) for row in rows} == {(YEAR, "delivery")}
    assert {row["level"] for row in rows} >= {"country", "region", "province", "municipality", "sector"}
    # Derivable from two public files.
    kept = world.settings.published_dir / "releases" / "1"
    expected = naive(pq.read_table(kept / "rates.parquet"), pq.read_table(series / "rates.parquet"))
    changed = {group for group, of in expected.items() if of["changed"] or of["added"] or of["removed"]}
    assert {(row["year"], row["level"], row["dimension"]) for row in rows} == changed
    for row in rows:
        of = expected[row["year"], row["level"], row["dimension"]]
        for name in ("cells", "changed", "added", "removed", "newly_hidden", "newly_shown"):
            assert row[name] == of[name], (row, name)
        assert (row["largest_change"] or 0) == pytest.approx(of["largest_change"], abs=1e-6)
    assert sum(row["newly_hidden"] + row["newly_shown"] for row in rows) > 0

    entries = json.loads((series / "changelog.json").read_text())["releases"]
    assert [entry["number"] for entry in entries] == [2, 1]
    assert entries[0]["reasons"] == {str(YEAR): ["delivery"]}
    assert entries[1]["manifest"] == sha256(kept / "SHA256SUMS")
    assert "| delivery |" in (series / "CHANGELOG.md").read_text()
    assert content(kept) == first, "the release before, whole"

    shown = metadata(result, "published_series")
    assert shown["kept"] == "releases/1"
    assert f"| {YEAR} | country | total | 1 | 1 | 0 | 0 | 0 | 0 |" in shown["revisions"]
    assert "| delivery |" in shown["changed_cells"]
    evaluation = check(result, "earlier_releases_kept")
    assert (evaluation.passed, evaluation.description) == (True, "Earlier releases, as they were: 1.")


def test_made_again_nothing_changes(world, series):
    materialise(world, "published_series")
    before = content(world.settings.published_dir)
    materialise(world, "published_series")
    assert content(world.settings.published_dir) == before


def test_another_version_of_the_program_is_the_reason(world, series, monkeypatch):
    materialise(world, "published_series")
    second = content(series)
    rewrite(monkeypatch, "Royaume")
    materialise(world, "published_year", 2004)
    materialise(world, "published_series")
    table = pq.read_table(series / "revisions.parquet")
    rows = [row for row in table.to_pylist() if row["release"] == 3]
    assert {(row["year"], row["level"], row["changed"], row["reasons"]) for row in rows} == {
        (2004, "country", cells, "code") for cells in {row["cells"] for row in rows}
    }
    assert {row["largest_change"] for row in rows} == {0.0}
    assert set(table["release"].to_pylist()) == {1, 2, 3}, "those of the earlier releases stay"
    releases = world.settings.published_dir / "releases"
    assert {folder.name for folder in releases.iterdir()} == {"1", "2"}
    assert content(releases / "2") == second
    assert [broken_checksums(folder) for folder in releases.iterdir()] == [[], []]


def test_stopped_between_keeping_the_old_release_and_the_new_one(world, series, tmp_path):
    undisturbed = world.copied_to(tmp_path / "undisturbed")
    materialise(undisturbed, "published_series")
    before = content(series)

    def stopped(one: Path, other: Path) -> bool:
        raise OSError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_exchange", stopped)
        materialise(world, "published_series", fails=True)
    assert content(series) == before, "still the old release"
    assert content(series.parent / "releases" / "1") == before
    materialise(world, "published_series")
    assert content(series.parent) == content(undisturbed.settings.published_dir)


def test_a_changed_earlier_release_is_told(world, series):
    materialise(world, "published_series")
    kept = series.parent / "releases" / "1"
    (kept / "rates.csv").write_text("changed")
    evaluation = check(materialise(world, "published_series"), "earlier_releases_kept")
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert "data/published/releases: 1: rates.csv not as in SHA256SUMS." in evaluation.description
    shutil.rmtree(kept)
    evaluation = check(materialise(world, "published_series"), "earlier_releases_kept")
    assert "1: no folder has the SHA256SUMS of this release" in evaluation.description
