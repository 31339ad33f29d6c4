"""The history: counts equal a naive comparison, a rerun adds nothing, and what cannot be read is said."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.errors import ReleaseError
from mm_pipeline.files.checksum import sha256
from mm_pipeline.release import history
from mm_pipeline.release.files import write_checksums
from mm_pipeline.release.history import History, Release, changelog_files, next_release, read_history, span
from mm_pipeline.release.revisions import KEY, Changes
from mm_pipeline.schemas import RELEASED_RATES
from mm_pipeline_tests.support.protected import released, row

DAY, LATER = datetime.date(2026, 9, 15), datetime.date(2026, 11, 2)


def sensitivity_of(*years: int, patients: int = 30) -> pa.Table:
    rows = [{"year": year, "threshold": n, "patients": patients - 10 * n} for year in years for n in (1, 2)]
    return pa.Table.from_pylist(rows)


SENSITIVITY = sensitivity_of(2024)


def rates(**patients_of: int | None) -> pa.Table:
    """Released rates of three areas in 2024: Belgium, Brussels and Antwerp (a municipality)."""
    patients = {"BE": 900, "Brussels": 500, "Antwerp": 100} | patients_of
    return released(
        row("country", "BE", patients=patients["BE"], people=9000),
        row("region", "04000", patients=patients["Brussels"]),
        row("municipality", "11002", patients=patients["Antwerp"]),
    )


def publish(folder: Path, table: pa.Table, so_far: History) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / "rates.parquet")
    pq.write_table(SENSITIVITY, folder / "sensitivity.parquet")
    pq.write_table(so_far.revisions, folder / "revisions.parquet")
    for name, text in changelog_files(so_far).items():
        (folder / name).write_text(text, encoding="utf-8")


def release_after(folder: Path | None, table: pa.Table | Path, today: datetime.date = LATER, **other: Any) -> History:
    sensitivity = other.pop("sensitivity", SENSITIVITY)
    return next_release(folder, table, sensitivity, **({"years": [2024], "synthetic": True} | other), today=today)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A folder that holds release 1."""
    folder = tmp_path / "series"
    publish(folder, rates(), release_after(None, rates(), DAY))
    return folder


class TestNumberAndDate:
    def test_the_first_release_says_so(self, tmp_path):
        for folder in (None, tmp_path / "not there", tmp_path):
            found = release_after(folder, rates(), DAY)
            assert found.release == Release(1, DAY, (2024,), True)
            assert found.notes == (history.FIRST,)
            assert found.entries[0].changes == {2024: Changes(3, 0, 3, 0, 0, 0)}

    def test_a_rerun_keeps_number_date_and_bytes(self, first):
        before = (first / "changelog.json").read_bytes()
        again = release_after(first, rates())
        assert again.release == Release(1, DAY, (2024,), True)
        assert changelog_files(again)["changelog.json"].encode() == before

    def test_the_order_of_rows_is_no_change(self, first):
        assert release_after(first, rates().take([2, 0, 1])).release.number == 1

    def test_another_sensitivity_table_makes_the_next_release(self, first):
        found = release_after(first, rates(), sensitivity=SENSITIVITY.slice(1))
        assert found.release.number == 2
        assert found.notes == (history.SENSITIVITY_CHANGED,)
        assert found.entries[0].changes[2024].none

    def test_a_year_that_came_or_went_is_no_change_of_the_sensitivity_table(self, first, tmp_path):
        both = pa.concat_tables([rates(), released(row("country", "BE", year=2025))])
        found = release_after(first, both, years=[2024, 2025], sensitivity=sensitivity_of(2024, 2025))
        assert (found.release.number, found.notes) == (2, ())
        folder = tmp_path / "two years"
        publish(folder, both, found)
        pq.write_table(sensitivity_of(2024, 2025), folder / "sensitivity.parquet")
        again = release_after(folder, rates(), sensitivity=sensitivity_of(2024))
        assert (again.release.number, again.notes) == (3, ())

    def test_a_new_year_and_another_old_one(self, first):
        """The note is of the old year."""
        both = pa.concat_tables([rates(), released(row("country", "BE", year=2025))])
        other = pa.concat_tables([sensitivity_of(2024, patients=40), sensitivity_of(2025)])
        found = release_after(first, both, years=[2024, 2025], sensitivity=other)
        assert found.notes == (history.SENSITIVITY_CHANGED,)

    def test_a_changed_cell_makes_the_next_release(self, first):
        found = release_after(first, rates(Antwerp=101))
        assert found.release == Release(2, LATER, (2024,), True)
        assert found.entries[0].changes == {2024: Changes(3, 1, 0, 0, 0, 0, 10.0)}
        assert [entry.release.number for entry in found.entries] == [2, 1]

    @pytest.mark.parametrize("column", [name for name in RELEASED_RATES.column_names if name not in KEY])
    def test_every_published_column_counts(self, first, column):
        table = rates()
        position = table.schema.get_field_index(column)
        other = pa.nulls(3, table.schema.field(column).type)
        if column == "status":  # never null
            other = pa.array(["suppressed"] * 3)
        changed = release_after(first, table.set_column(position, column, other)).entries[0].changes[2024]
        assert changed.changed == 3

    def test_a_new_year(self, first):
        both = pa.concat_tables([rates(), released(row("country", "BE", year=2025))])
        found = release_after(first, both, years=[2025, 2024])
        assert found.release.years == (2024, 2025)
        assert found.entries[0].changes == {
            2024: Changes(3, 0, 0, 0, 0, 0, 0.0),
            2025: Changes(1, 0, 1, 0, 0, 0),
        }

    @pytest.mark.parametrize("name", ["year=1999", "[*]"])
    def test_a_file_is_read_like_a_table(self, first, tmp_path, name):
        folder = tmp_path / name  # no partition, no pattern
        folder.mkdir()
        pq.write_table(rates(Brussels=499), folder / "rates.parquet")
        found = release_after(first, folder / "rates.parquet")
        assert found.entries[0].changes == {2024: Changes(3, 1, 0, 0, 0, 0, 10.0)}


ONE = changelog_files(release_after(None, rates()))["changelog.json"]


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "not json",
            "[]",
            '{"releases": []}',
            '{"releases": [{}]}',
            '{"releases": {"number": 1}}',
            '{"releases": [{"number": 7, "date": "2026-09-15", "years": [], "synthetic": true, "notes": [], '
            '"changes": {}}]}',
            ONE.replace('"number": 1', '"number": 1e999'),
            ONE.replace('"cells": 3', '"cells": null'),
            ONE.replace('"cells": 3', '"cells": ' + "[" * 500 + "]" * 500),
        ],
    )
    def test_a_changelog_that_cannot_be_read_begins_anew_and_says_so(self, first, text):
        if text is None:
            (first / "changelog.json").unlink()
        else:
            (first / "changelog.json").write_text(text)
        with pytest.raises(ReleaseError, match=r"series/changelog.json is missing or holds no history"):
            read_history(first)
        found = release_after(first, rates(Antwerp=None))
        assert found.release == Release(1, LATER, (2024,), True)
        assert found.notes == (history.BEGINS_ANEW,)
        assert found.entries[0].changes == {2024: Changes(3, 1, 0, 0, 1, 0, 0.0)}, "compared all the same"
        assert history.BEGINS_ANEW in changelog_files(found)["CHANGELOG.md"]

    def test_what_began_anew_goes_on_from_there(self, first):
        (first / "changelog.json").unlink()
        publish(first, rates(), release_after(first, rates(), DAY))
        assert release_after(first, rates(Antwerp=3)).release.number == 2

    @pytest.mark.parametrize("damage", ["missing", "cut", "another table"])
    def test_figures_that_cannot_be_read_are_not_compared_and_it_says_so(self, first, damage):
        path = first / "rates.parquet"
        if damage == "missing":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:100])
        else:
            pq.write_table(pa.table({"x": [1]}), path)
        found = release_after(first, rates())
        assert found.release == Release(2, LATER, (2024,), True)
        assert found.notes == (history.NOT_COMPARED,)
        assert found.entries[0].changes == {}
        assert history.NOT_COMPARED in changelog_files(found)["CHANGELOG.md"]

    def test_new_figures_that_are_none_are_refused(self, first):
        with pytest.raises(ValueError, match="columns area_code"):
            release_after(first, pa.table({"year": [2024]}))

    def test_another_set_of_columns_is_said(self, first):
        pq.write_table(rates().drop_columns(["reliability"]), first / "rates.parquet")
        found = release_after(first, rates().drop_columns(["area_name_de"]))
        assert found.release.number == 2
        (note,) = found.notes
        assert note.startswith("Columns added: reliability; removed: area_name_de.")
        assert found.entries[0].changes == {2024: Changes(3, 0, 0, 0, 0, 0, 0.0)}

    def test_a_history_of_an_earlier_version_of_the_program_goes_on(self, first):
        """It has neither reasons nor largest changes, and no table of revisions beside it."""
        content = json.loads((first / "changelog.json").read_text())
        for entry in content["releases"]:
            del entry["reasons"], entry["manifest"]
            for counts in entry["changes"].values():
                del counts["largest_change"]
        (first / "changelog.json").write_text(json.dumps(content))
        (first / "revisions.parquet").unlink()
        same = release_after(first, rates())
        assert (same.release, same.notes) == (Release(1, DAY, (2024,), True), (history.FIRST, history.REVISIONS_BEGIN))
        publish(first, rates(), same)
        assert release_after(first, rates()) == same, "said once"
        found = release_after(first, rates(Antwerp=110))
        assert found.release.number == 2
        assert found.notes == ()
        assert found.revisions["release"].to_pylist() == [2]


class TestChangelogFiles:
    def test_newest_first_with_counts_per_year(self, first):
        both = pa.concat_tables([rates(Brussels=None), released(row("country", "BE", year=2025))])
        text = changelog_files(release_after(first, both, years=[2024, 2025]))["CHANGELOG.md"]
        assert text.index("## Release 2 (2026-11-02)") < text.index("## Release 1 (2026-09-15)")
        assert "Years 2024–2025. Synthetic data (for demonstration)." in text
        assert "| 2024 | 3 | 1 | 0 | 0 | 1 | 0 |" in text
        assert "| 2025 | 1 | 0 | 1 | 0 | 0 | 0 |  | first release of the year |" in text

    def test_why_and_by_how_much(self, first):
        found = release_after(first, rates(BE=1000, Antwerp=90), causes={2024: ("delivery", "code")})
        text = changelog_files(found)["CHANGELOG.md"]
        assert "| 2024 | 3 | 2 | 0 | 0 | 0 | 0 | 111.11 | delivery, code |" in text

    def test_where_an_earlier_release_is_kept(self, first):
        write_checksums(first)
        text = changelog_files(release_after(first, rates(BE=901)))["CHANGELOG.md"]
        assert f"Kept in `releases/1/`; SHA-256 of its `SHA256SUMS`: `{sha256(first / 'SHA256SUMS')}`." in text
        assert "`releases/2/`" not in text

    def test_real_figures_are_not_called_synthetic(self):
        text = changelog_files(release_after(None, rates(), synthetic=False))["CHANGELOG.md"]
        assert "ynthetic" not in text

    def test_unchanged_years_are_named(self, first):
        old = pa.concat_tables([rates(), *(released(row("country", "BE", year=year)) for year in (2003, 2004, 2006))])
        pq.write_table(old, first / "rates.parquet")
        new = pa.concat_tables(
            [rates(BE=901), *(released(row("country", "BE", year=year)) for year in (2003, 2004, 2006))]
        )
        text = changelog_files(release_after(first, new, years=[2003, 2004, 2006, 2024]))["CHANGELOG.md"]
        assert "Unchanged: 2003–2004, 2006." in text
        assert "| 2003 |" not in text

    def test_json_is_read_back_as_written(self, first):
        second = release_after(first, rates(BE=905))
        publish(first, rates(BE=905), second)
        assert read_history(first) == release_after(first, rates(BE=905)) == second
        assert json.loads((first / "changelog.json").read_text())["releases"][0]["changes"]["2024"]["changed"] == 1


def test_years_in_words():
    assert span([2008, 2003, 2004, 2006, 2005]) == "2003–2006, 2008"
    assert span([2024]) == "2024"
    assert span([]) == ""
