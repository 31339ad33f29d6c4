"""A revised year through Dagster: what changed and why is in the release, and the release before is kept as it was."""

import json
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.files import atomic
from mm_pipeline.files.checksum import sha256
from mm_pipeline.release.files import broken_checksums
from mm_pipeline_tests.support.installation import Installation, deliver
from mm_pipeline_tests.support.releases import check, content, rewrite

YEAR = 2006


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


@pytest.fixture(scope="module")
def revised(built: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """2006 was delivered anew; the series is not made yet."""
    installation = built.copied_to(tmp_path_factory.mktemp("revised"))
    deliver(installation.settings, [YEAR], seed=2)
    with installation.backfill() as (backfill, _instance):
        backfill._refresh_series = lambda on_step: None
        (result,) = backfill.years([YEAR])
    assert not result.problems
    return installation


@pytest.fixture
def installation(revised: Installation, tmp_path: Path) -> Installation:
    return revised.copied_to(tmp_path / "installation")


@pytest.fixture
def series(installation: Installation) -> Path:
    return installation.settings.published_dir / "series"


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


def test_a_revised_delivery_is_in_the_table_with_its_reason(installation, series):
    first = content(series)
    result = installation.materialise("published_series")
    rows = [row for row in pq.read_table(series / "revisions.parquet").to_pylist() if row["release"] == 2]
    assert {(row["year"], row["reasons"]) for row in rows} == {(YEAR, "delivery")}
    assert {row["level"] for row in rows} >= {"country", "region", "province", "municipality", "sector"}
    # Derivable from two public files.
    kept = installation.settings.published_dir / "releases" / "1"
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


def test_made_again_nothing_changes(installation, series):
    installation.materialise("published_series")
    before = content(installation.settings.published_dir)
    installation.materialise("published_series")
    assert content(installation.settings.published_dir) == before


@pytest.mark.slow
def test_another_version_of_the_program_is_the_reason(installation, series, monkeypatch):
    installation.materialise("published_series")
    second = content(series)
    rewrite(monkeypatch, "Royaume")
    installation.materialise("published_year", year=2004)
    installation.materialise("published_series")
    table = pq.read_table(series / "revisions.parquet")
    rows = [row for row in table.to_pylist() if row["release"] == 3]
    assert {(row["year"], row["level"], row["changed"], row["reasons"]) for row in rows} == {
        (2004, "country", cells, "code") for cells in {row["cells"] for row in rows}
    }
    assert {row["largest_change"] for row in rows} == {0.0}
    assert set(table["release"].to_pylist()) == {1, 2, 3}, "those of the earlier releases stay"
    releases = installation.settings.published_dir / "releases"
    assert {folder.name for folder in releases.iterdir()} == {"1", "2"}
    assert content(releases / "2") == second
    assert [broken_checksums(folder) for folder in releases.iterdir()] == [[], []]


def test_stopped_between_keeping_the_old_release_and_the_new_one(installation, series, tmp_path):
    undisturbed = installation.copied_to(tmp_path / "undisturbed")
    undisturbed.materialise("published_series")
    before = content(series)

    def stopped(one: Path, other: Path) -> bool:
        raise OSError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_exchange", stopped)
        installation.materialise("published_series", fails=True)
    assert content(series) == before, "still the old release"
    assert content(series.parent / "releases" / "1") == before
    installation.materialise("published_series")
    assert content(series.parent) == content(undisturbed.settings.published_dir)


@pytest.mark.slow
def test_a_changed_earlier_release_is_told(installation, series):
    installation.materialise("published_series")
    kept = series.parent / "releases" / "1"
    (kept / "rates.csv").write_text("changed")
    evaluation = check(installation.materialise("published_series"), "earlier_releases_kept")
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert "data/published/releases: 1: rates.csv not as in SHA256SUMS." in evaluation.description
    shutil.rmtree(kept)
    evaluation = check(installation.materialise("published_series"), "earlier_releases_kept")
    assert "1: no folder has the SHA256SUMS of this release" in evaluation.description
