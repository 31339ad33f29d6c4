"""The code lists: every code of the tables in four languages, and areas with the years for which they hold."""

import csv

import pandas as pd
import pyarrow as pa
import pytest

from mm_pipeline.reference.areas import areas
from mm_pipeline.release import standardised
from mm_pipeline.release.codelists import LABELS, LANGUAGES, area_codes, over_years, read_area_codes, write_codelists
from mm_pipeline.settings import from_environment
from mm_pipeline.statistic import rates
from mm_pipeline_tests.support.protected import AREAS


def test_every_code_of_the_statistic_has_labels_in_four_languages():
    assert list(LABELS["level"]) == list(rates.LEVELS)
    assert {name: set(codes) for name, codes in LABELS["category"].items()} == {
        name: set(codes) for name, codes in rates.CATEGORIES.items()
    }
    assert set(LABELS["dimension"]) == set(rates.CATEGORIES)
    assert set(LABELS["category"]["age_class"]) == set(standardised.STANDARD_POPULATION)
    for name, codes in LABELS.items():
        for inner in codes.values() if name == "category" else [codes]:
            for labels in inner.values():
                assert tuple(labels) == LANGUAGES
                assert all(label.strip() == label and label for label in labels.values())


def year_of(changes: dict[str, str], year: int) -> pd.DataFrame:
    """The small areas with other French names."""
    frame = AREAS.to_pandas()
    frame["name_fr"] = [
        changes.get(code, name) for code, name in zip(frame["area_code"], frame["name_fr"], strict=True)
    ]
    return area_codes(pa.Table.from_pandas(frame, preserve_index=False), year)


def test_an_area_has_a_row_for_each_time_in_which_nothing_changes():
    years = [year_of({}, 2018), year_of({}, 2019), year_of({"11002": "Anvers-Borsbeek"}, 2020), year_of({}, 2021)]
    table = over_years(years)
    times = table[table["area_code"] == "11002"][["first_year", "last_year", "label_fr"]].to_numpy().tolist()
    assert times == [[2018, 2019, "Anvers"], [2020, 2020, "Anvers-Borsbeek"], [2021, 2021, "Anvers"]]
    brussels = table[table["area_code"] == "04000"]
    assert brussels["level"].tolist() == ["region", "province"]
    assert table["level"].tolist() == sorted(table["level"], key=list(LABELS["level"]).index)


def test_a_year_that_is_not_there_begins_a_new_time():
    table = over_years([year_of({}, 2018), year_of({}, 2020)])
    assert table[table["area_code"] == "BE"][["first_year", "last_year"]].to_numpy().tolist() == [
        [2018, 2018],
        [2020, 2020],
    ]


def test_lists_of_lists_are_the_list_of_all():
    years = [year_of({}, year) for year in range(2018, 2022)]
    pd.testing.assert_frame_equal(over_years([over_years(years[:2]), over_years(years[2:])]), over_years(years))


def test_english_names_are_the_local_ones_below_the_provinces():
    table = area_codes(areas(from_environment({}).reference_dir, 2024), 2024).set_index(["level", "area_code"])
    english = table["label_en"]
    assert english["country", "BE"] == "Belgium"
    assert english["region", "04000"] == "Brussels-Capital Region"
    assert english["province", "20001"] == "Province of Flemish Brabant"
    assert english["municipality", "11002"] == "Antwerpen"
    assert english["municipality", "62063"] == "Liège"
    provinces = table.loc["province"]
    assert (provinces["label_en"] != provinces["label_fr"]).sum() == 11


def test_files(tmp_path):
    table = over_years([year_of({}, 2018), year_of({}, 2019)])
    write_codelists(tmp_path / "codelists", table)
    names = {path.name for path in (tmp_path / "codelists").iterdir()}
    assert names == {f"{name}.csv" for name in (*LABELS, "area")}
    with (tmp_path / "codelists" / "category.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "dimension": "sex",
        "code": "F",
        **{f"label_{k}": v for k, v in LABELS["category"]["sex"]["F"].items()},
    }
    read = read_area_codes(tmp_path / "codelists" / "area.csv")
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert read["parent_code"].iat[0] == ""


@pytest.mark.parametrize("year", [2003, 2019])
def test_codes_keep_their_zeros(tmp_path, year):
    write_codelists(tmp_path / "codelists", area_codes(areas(from_environment({}).reference_dir, year), year))
    assert "02000" in set(read_area_codes(tmp_path / "codelists" / "area.csv")["area_code"])
