"""The folders of the release, put together from small tables."""

import datetime
import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm_pipeline.errors import ReleaseError
from mm_pipeline.release import series as module
from mm_pipeline.release.codelists import area_codes, read_area_codes
from mm_pipeline.release.files import broken_checksums
from mm_pipeline.release.metadata.provenance import Made
from mm_pipeline.release.series import WORKBOOKS, thresholds_of, write_series
from mm_pipeline.release.tables import released_sensitivity
from mm_pipeline.release.year import AREAS, write_year
from mm_pipeline.schemas import PROTECTED_SENSITIVITY
from mm_pipeline_tests.support.protected import AREAS as SMALL_AREAS
from mm_pipeline_tests.support.protected import released, row

DAY, LATER = datetime.date(2026, 9, 15), datetime.date(2026, 11, 2)
SHA256 = "0" * 64
MADE = Made(
    deliveries={"forfaits.csv": {"sha256": SHA256}},
    references={},
    code={"statistic": "abc"},
    thresholds={"threshold": 6, "disclosure_threshold": 5},
)


def year_folder(place, year: int, patients: int = 50, made: Made = MADE):
    folder = place / str(year)
    folder.mkdir(parents=True)
    sensitivity = {
        "year": year,
        "level": "country",
        "area_code": "BE",
        "parent_code": "",
        "rule": "at_least",
        "threshold": 6,
        "beneficiaries": 1000,
        "patients": patients,
        "status": "published",
    }
    write_year(
        folder,
        year,
        rates=released(
            row("country", "BE", patients=patients, year=year),
            row("municipality", "11002", patients=None, year=year, parent="10000"),
        ),
        sensitivity=released_sensitivity(
            pa.Table.from_pylist([sensitivity], schema=PROTECTED_SENSITIVITY.schema), SMALL_AREAS, synthetic=True
        ),
        areas=area_codes(SMALL_AREAS, year),
        made=made,
    )
    return folder


def series(place, years, *, earlier=None, today=DAY, base_url=""):
    place.mkdir()
    earlier = earlier or place / "none"
    return write_series(place, years, earlier=earlier, today=today, code={"release": "def"}, base_url=base_url)


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def years(tmp_path):
    return {year: year_folder(tmp_path / "published", year) for year in (2019, 2020)}


def test_the_series_holds_the_years(years, tmp_path):
    history = series(tmp_path / "series", years)
    assert history.release.years == (2019, 2020)
    table = pq.ParquetFile(tmp_path / "series" / "rates.parquet").read()
    parts = [pq.ParquetFile(folder / "rates.parquet").read() for folder in years.values()]
    assert table.equals(pa.concat_tables(parts))
    areas = read_area_codes(tmp_path / "series" / AREAS)
    assert set(areas["first_year"]) == {2019}
    assert set(areas["last_year"]) == {2020}
    for folder in (*years.values(), tmp_path / "series"):
        assert broken_checksums(folder) == []
    assert {name for name in WORKBOOKS.values() if (tmp_path / "series" / name).is_file()} == set(WORKBOOKS.values())
    provenance = json.loads((tmp_path / "series" / "provenance.json").read_text())
    assert provenance["years"]["2020"] == {
        "code": {"statistic": "abc"},
        "deliveries": {"forfaits.csv": {"sha256": SHA256}},
        "references": {},
        "settings": "",
    }
    assert provenance["thresholds"] == MADE.thresholds
    assert thresholds_of(tmp_path / "series") == (MADE.thresholds["threshold"], MADE.thresholds["disclosure_threshold"])


def test_the_same_figures_are_the_same_release_on_another_day(years, tmp_path):
    series(tmp_path / "one", years)
    again = series(tmp_path / "two", years, earlier=tmp_path / "one", today=LATER)
    assert (again.release.number, again.release.date) == (1, DAY)
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_other_figures_are_the_next_release(years, tmp_path):
    series(tmp_path / "one", years)
    years[2020] = year_folder(tmp_path / "revised", 2020, patients=51)
    history = series(tmp_path / "two", years, earlier=tmp_path / "one", today=LATER)
    assert (history.release.number, history.release.date) == (2, LATER)
    changes = history.entries[0].changes
    assert changes[2019].none
    assert changes[2020].changed == 1
    for name in ("CHANGELOG.md", "fiche.fr.json", "CITATION.cff", "dcat.jsonld", "datapackage.json"):
        assert (tmp_path / "one" / name).read_bytes() != (tmp_path / "two" / name).read_bytes(), name


def test_the_address_of_the_release_is_in_the_catalogue_record(years, tmp_path):
    series(tmp_path / "series", years, base_url="https://example.org/mm/series/")
    assert "https://example.org/mm/series/" in (tmp_path / "series" / "dcat.jsonld").read_text()


@pytest.mark.parametrize("name", ["rates.parquet", "sensitivity.parquet", "codelists/area.csv", "sources.json"])
def test_a_year_of_an_earlier_version_is_not_left_out(years, tmp_path, name):
    """A series without it would be a release that lost a year."""
    (years[2019] / name).unlink()
    with pytest.raises(ReleaseError, match=rf"^data/published/2019: {name} not there .* Build 2019 again"):
        series(tmp_path / "series", years)


def test_a_year_that_somebody_changed_is_not_taken_in(years, tmp_path):
    (years[2020] / "rates.csv").write_text("changed")
    with pytest.raises(ReleaseError, match=r"^data/published/2020: rates\.csv not there or not as in SHA256SUMS"):
        series(tmp_path / "series", years)


def test_a_year_that_is_switched_meanwhile_is_noticed(years, tmp_path, monkeypatch):
    """Otherwise the series could hold the old rates and the new sensitivity of a year, with valid checksums."""
    write_codelists = module.write_codelists

    def meanwhile(*arguments):
        shutil.rmtree(years[2020])
        year_folder(tmp_path / "published", 2020, patients=60)
        write_codelists(*arguments)

    monkeypatch.setattr(module, "write_codelists", meanwhile)
    with pytest.raises(ReleaseError, match="released anew while the series was being made"):
        series(tmp_path / "series", years)


def test_years_of_different_thresholds_are_no_series(years, tmp_path):
    """The fiche could only tell one of them, and the figures could not be compared."""
    other = replace(MADE, thresholds={"threshold": 7, "disclosure_threshold": 5})
    years[2020] = year_folder(tmp_path / "other", 2020, made=other)
    with pytest.raises(ReleaseError, match=r"different thresholds \(2019 with .*; 2020 with .*\)"):
        series(tmp_path / "series", years)


def test_no_year_at_all_is_said(tmp_path):
    with pytest.raises(ReleaseError, match="No year has been released"):
        series(tmp_path / "series", {})
