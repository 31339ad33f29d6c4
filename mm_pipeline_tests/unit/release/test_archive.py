"""The earlier releases: kept whole before another takes their place, once, and never replaced by another content."""

import datetime
import shutil

import pytest

from mm_pipeline.release import archive
from mm_pipeline.release.archive import archive_release, archived_releases, broken_releases
from mm_pipeline.release.files import broken_checksums, write_checksums
from mm_pipeline.release.history import Entry, History, Release, changelog_files

DAY = datetime.date(2026, 9, 15)


def release(number: int, day: datetime.date = DAY) -> Release:
    return Release(number, day, (2024,), synthetic=False)


def history(*numbers: int, manifests: dict[int, str] | None = None) -> History:
    return History(
        tuple(
            Entry(release(number), {}, manifest=(manifests or {}).get(number, "")) for number in sorted(numbers)[::-1]
        )
    )


@pytest.fixture
def series(tmp_path):
    """Release 1."""
    folder = tmp_path / "series"
    (folder / "codelists").mkdir(parents=True)
    (folder / "rates.csv").write_text("rates")
    (folder / "codelists" / "area.csv").write_text("areas")
    for name, text in changelog_files(history(1)).items():
        (folder / name).write_text(text)
    write_checksums(folder)
    return folder


@pytest.fixture
def releases(tmp_path):
    return tmp_path / "releases"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_kept_whole(series, releases):
    before = content(series)
    assert archive_release(series, history(2, 1), releases) == "releases/1"
    shutil.rmtree(series)
    assert content(releases / "1") == before
    assert broken_checksums(releases / "1") == []
    assert broken_releases(releases, history(2, 1)) == []
    assert archived_releases(releases) == [releases / "1"]


@pytest.mark.parametrize("links", [True, False])
def test_links_where_the_file_system_can(series, releases, links, monkeypatch):
    if not links:

        def refused(*_paths):
            raise PermissionError

        monkeypatch.setattr(archive.os, "link", refused)
    archive_release(series, history(2, 1), releases)
    assert (series / "rates.csv").samefile(releases / "1" / "rates.csv") == links
    assert broken_checksums(releases / "1") == []


def test_the_same_release_again_is_not_kept(series, releases):
    assert archive_release(series, history(1), releases).startswith("nothing")
    assert not releases.exists()


def test_nothing_is_kept_before_the_first_release(tmp_path, releases):
    assert archive_release(tmp_path / "none", history(1), releases).startswith("nothing")
    assert not releases.exists()


def test_done_again_it_changes_nothing(series, releases):
    """As when the machine stopped before the new series took its place."""
    archive_release(series, history(2, 1), releases)
    before = {path: path.stat().st_ino for path in releases.rglob("*")}
    archive_release(series, history(2, 1), releases)
    assert {path: path.stat().st_ino for path in releases.rglob("*")} == before


def test_another_content_of_the_same_number_does_not_replace_it(series, releases):
    """As when release numbers began anew."""
    archive_release(series, history(2, 1), releases)
    before = content(releases / "1")
    shutil.copytree(series, series.with_name("other"))  # not the files that are linked
    series = series.with_name("other")
    (series / "rates.csv").write_text("other rates")
    write_checksums(series)
    place = archive_release(series, history(2, 1), releases)
    assert place.startswith("releases/1-")
    assert archive_release(series, history(2, 1), releases) == place
    assert content(releases / "1") == before
    assert content(releases.parent / place) == content(series)
    assert len(archived_releases(releases)) == 2


def test_what_was_not_released_is_not_kept(series, releases):
    (series / "rates.csv").write_text("changed")
    (series / "notes.txt").write_text("mine")
    archive_release(series, history(2, 1), releases)
    assert {path.as_posix() for path in content(releases / "1")} == {
        "CHANGELOG.md",
        "SHA256SUMS",
        "changelog.json",
        "codelists/area.csv",
    }
    assert broken_releases(releases, history(2, 1)) == ["1: rates.csv not as in SHA256SUMS"]


@pytest.mark.parametrize("damage", ["changelog.json", "SHA256SUMS"])
def test_a_damaged_release_stops_nothing(series, releases, damage):
    (series / damage).unlink()
    assert archive_release(series, history(1), releases).startswith("nothing")
    if damage == "changelog.json":
        (series / "provenance.json").write_text('{"release": {"number": 7}}')
        assert archive_release(series, history(1), releases) == "releases/7"


class TestBroken:
    @pytest.fixture
    def so_far(self, series, releases) -> History:
        archive_release(series, history(2, 1), releases)
        return history(2, 1, manifests={1: archive.manifest_of(releases / "1")})

    def test_nothing(self, so_far, releases):
        assert broken_releases(releases, so_far) == []

    @pytest.mark.parametrize("spoil", ["change", "add", "remove"])
    def test_by_its_checksums(self, so_far, releases, spoil):
        name = {"change": "rates.csv", "add": "notes.txt", "remove": "codelists/area.csv"}[spoil]
        if spoil == "remove":
            (releases / "1" / name).unlink()
        else:
            (releases / "1" / name).write_text("mine")
        assert broken_releases(releases, so_far) == [f"1: {name} not as in SHA256SUMS"]

    def test_by_the_changelog_where_the_checksums_were_made_again(self, so_far, releases):
        (releases / "1" / "rates.csv").write_text("mine")
        write_checksums(releases / "1")
        assert broken_releases(releases, so_far) == ["1: no folder has the SHA256SUMS of this release"]

    def test_when_it_is_gone(self, so_far, releases):
        shutil.rmtree(releases)
        assert broken_releases(releases, so_far) == ["1: no folder has the SHA256SUMS of this release"]
