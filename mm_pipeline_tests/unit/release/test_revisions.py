"""The revisions: counts and largest changes are those of a naive comparison, each release adds its rows, and says why."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.release import history
from mm_pipeline.release.history import History, changelog_files, next_release
from mm_pipeline.release.metadata.provenance import Made, causes, provenance
from mm_pipeline.release.revisions import Changes, by_year, compare
from mm_pipeline.schemas import RELEASED_RATES
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.protected import released, row

DAY = datetime.date(2026, 9, 15)
SENSITIVITY = pa.table({"threshold": pa.array([6], pa.int32())})

_CELLS = st.dictionaries(
    st.tuples(
        st.sampled_from([2023, 2024]),
        st.sampled_from(["region", "province"]),
        st.sampled_from(["02000", "04000"]),
        st.sampled_from([("sex", "F"), ("sex", "M"), ("total", "total")]),
    ),
    st.tuples(
        st.sampled_from([None, 0.0, 7.5, 20.25]),
        st.sampled_from(["published", "suppressed"]),
        st.sampled_from([None, "Gent"]),
    ),
    max_size=10,
)


def table_of(cells: dict) -> pa.Table:
    rows = [
        dict.fromkeys(RELEASED_RATES.column_names)
        | {"year": year, "level": level, "area_code": area, "dimension": dimension, "category": category}
        | {"rate_per_10000": rate, "status": status, "area_name_nl": name}
        for (year, level, area, (dimension, category)), (rate, status, name) in cells.items()
    ]
    return pa.Table.from_pylist(rows, schema=RELEASED_RATES.schema)


def naive(before: dict, after: dict) -> Changes:
    pairs = [(before[key], after[key]) for key in before if key in after]
    moved = [
        abs(new[0] - old[0]) for old, new in pairs if old[1] == new[1] == "published" and None not in (old[0], new[0])
    ]
    return Changes(
        cells=len(after),
        changed=sum(old != new for old, new in pairs),
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        newly_hidden=sum((old[1], new[1]) == ("published", "suppressed") for old, new in pairs),
        newly_shown=sum((old[1], new[1]) == ("suppressed", "published") for old, new in pairs),
        largest_change=max(moved, default=None),
    )


@examples(100)
@given(_CELLS, _CELLS)
def test_counts_are_those_of_a_naive_comparison(old, new):
    groups = {(year, level, dimension) for year, level, _area, (dimension, _category) in old | new}
    expected = {
        group: naive(
            *(
                {key: cell for key, cell in cells.items() if (key[0], key[1], key[3][0]) == group}
                for cells in (old, new)
            )
        )
        for group in groups
    }
    found = compare(table_of(old), table_of(new))
    assert found == expected
    years = {year: [{k: c for k, c in cells.items() if k[0] == year} for cells in (old, new)] for year, *_ in groups}
    assert by_year(found) == {year: naive(*cells) for year, cells in years.items()}


def rates(year: int = 2024, **patients: int | None) -> pa.Table:
    return released(
        row("country", "BE", patients=patients.get("BE", 900), people=9000, year=year),
        row("country", "BE", "sex", "F", patients=patients.get("women", 400), year=year),
        row("region", "04000", patients=patients.get("Brussels", 500), year=year),
    )


def release_after(folder: Path | None, *tables: pa.Table, **other) -> History:
    years = [table["year"][0].as_py() for table in tables]
    return next_release(folder, pa.concat_tables(tables), SENSITIVITY, years=years, synthetic=False, today=DAY, **other)


def publish(folder: Path, so_far: History, *tables: pa.Table) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.concat_tables(tables), folder / "rates.parquet")
    pq.write_table(SENSITIVITY, folder / "sensitivity.parquet")
    pq.write_table(so_far.revisions, folder / "revisions.parquet")
    for name, text in changelog_files(so_far).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return publish(tmp_path / "series", release_after(None, rates()), rates())


def rows(found: History, release: int) -> list[tuple]:
    names = ("year", "level", "dimension", "cells", "changed", "added", "newly_hidden", "largest_change", "reasons")
    return [tuple(row[name] for name in names) for row in found.revisions.to_pylist() if row["release"] == release]


class TestTable:
    def test_the_first_release_is_new_altogether(self):
        reason = "first release of the year"
        found = release_after(None, rates())
        assert rows(found, 1) == [
            (2024, "country", "total", 1, 0, 1, 0, None, reason),
            (2024, "country", "sex", 1, 0, 1, 0, None, reason),
            (2024, "region", "total", 1, 0, 1, 0, None, reason),
        ]
        assert set(found.revisions["release_date"].to_pylist()) == {DAY}

    def test_each_release_adds_the_groups_that_it_changed(self, first):
        second = release_after(first, rates(BE=909), causes={2024: ("delivery",)})
        assert rows(second, 2) == [(2024, "country", "total", 1, 1, 0, 0, 10.0, "delivery")]
        publish(first, second, rates(BE=909))
        third = release_after(first, rates(BE=909, Brussels=None), causes={2024: ("settings", "code")})
        assert rows(third, 3) == [(2024, "region", "total", 1, 1, 0, 1, None, "settings; code")]
        assert third.revisions.slice(0, 4).equals(second.revisions), "those of the earlier releases stay"

    def test_the_same_figures_leave_it_as_it_is(self, first):
        before = pq.read_table(first / "revisions.parquet")
        found = release_after(first, rates(), causes={2024: ("code",)})
        assert found.release.number == 1
        assert found.revisions.equals(before)

    def test_a_new_year_and_one_that_is_left_out(self, first):
        found = release_after(first, rates(2025), causes={2025: ("code",)})
        assert {(row[0], row[-1]) for row in rows(found, 2)} == {
            (2024, "year left out"),
            (2025, "first release of the year"),
        }

    def test_a_cause_that_nobody_knows(self, first):
        for causes_of in ({}, {2024: ()}):
            found = release_after(first, rates(BE=909), causes=causes_of)
            assert rows(found, 2)[0][-1] == "not known"

    @pytest.mark.parametrize("damage", ["missing", "cut", "another table", "of later releases"])
    def test_a_table_that_cannot_be_read_begins_anew_and_it_says_so(self, first, damage):
        path = first / "revisions.parquet"
        if damage == "missing":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:100])
        elif damage == "another table":
            pq.write_table(pa.table({"release": [1]}), path)
        else:
            table = pq.read_table(path)
            pq.write_table(table.set_column(0, table.schema.field(0), pa.array([2] * 3, pa.int32())), path)
        found = release_after(first, rates(BE=909), causes={2024: ("delivery",)})
        assert found.release.number == 2, "numbers go on"
        assert found.notes == (history.REVISIONS_BEGIN,)
        assert found.revisions["release"].to_pylist() == [2]
        assert history.REVISIONS_BEGIN in changelog_files(found)["CHANGELOG.md"]

    def test_numbers_that_begin_anew_leave_the_old_rows_behind(self, first):
        publish(first, release_after(first, rates(BE=909)), rates(BE=909))
        (first / "changelog.json").unlink()
        found = release_after(first, rates(BE=908))
        assert (found.release.number, found.notes) == (1, (history.BEGINS_ANEW,))
        assert found.revisions["release"].to_pylist() == [1]


SHA, OTHER = "0" * 64, "1" * 64
MADE = Made(
    deliveries={"forfaits.csv": {"sha256": SHA}},
    references={"refnis.csv": {"sha256": SHA}},
    code={"statistic": "abc"},
    thresholds={"threshold": 6, "disclosure_threshold": 5},
    settings="s1",
)


class TestCauses:
    @pytest.fixture
    def earlier(self, first, tmp_path) -> Path:
        path = tmp_path / "provenance.json"
        path.write_text(provenance(release_after(first, rates()).release, {2023: MADE, 2024: MADE}, code={}))
        return path

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, ()),
            ({"deliveries": {"forfaits.csv": {"sha256": OTHER}}}, ("delivery",)),
            ({"deliveries": {}}, ("delivery",)),
            ({"references": {**MADE.references, "sectors.geojson": {"sha256": SHA}}}, ("geography",)),
            ({"thresholds": {"threshold": 6, "disclosure_threshold": 10}}, ("settings",)),
            ({"settings": "s2"}, ("settings",)),
            ({"code": {"statistic": "def"}}, ("code",)),
            (
                {"code": {}, "deliveries": {}, "settings": "s2", "references": {}},
                ("delivery", "geography", "settings", "code"),
            ),
        ],
        ids=str,
    )
    def test_are_what_differs_of_each_year(self, earlier, changes, expected):
        now = {2023: MADE, 2024: Made(**(vars(MADE) | changes)), 2025: MADE}
        assert causes(earlier, now) == {2023: (), 2024: expected}

    def test_of_a_version_that_kept_no_hash_of_the_settings(self, earlier):
        earlier.write_text(earlier.read_text().replace('"settings": "s1"', '"settings": ""'))
        assert causes(earlier, {2024: MADE}) == {2024: ()}

    @pytest.mark.parametrize(
        "text",
        [
            *(None, "", "[]", "{}", '{"years": [], "thresholds": {}}', '{"years": {"x": {}}}'),
            '{"years": {"2024": {"deliveries": 7, "references": {}, "code": {}}}, "thresholds": {}}',
        ],
    )
    def test_that_cannot_be_read_are_not_known(self, earlier, text):
        if text is None:
            earlier.unlink()
        else:
            earlier.write_text(text)
        assert causes(earlier, {2024: MADE}) == {}
