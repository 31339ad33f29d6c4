"""What is added to the protected tables: interval, mark of care, vintage, names; and nothing to a hidden cell."""

import pyarrow as pa
import pytest

from mm_pipeline.release.tables import released_rates, released_sensitivity
from mm_pipeline.schemas import PROTECTED_SENSITIVITY, RELEASED_RATES, RELEASED_SENSITIVITY
from mm_pipeline_tests.support.protected import AREAS, protected, released, row

DERIVED = ["rate_per_10000", "rate_percent", "rate_per_10000_lower", "rate_per_10000_upper", "reliability"]


def test_reading_order_and_mark():
    table = released(
        row("sector", "11002A00-", patients=None),
        row("municipality", "11002", "sex", "M"),
        row("municipality", "11002"),
        row("country", "BE", "age_group", "0-17"),
        row("country", "BE"),
    )
    assert table.schema == RELEASED_RATES.schema
    assert table["level"].to_pylist() == ["country", "country", "municipality", "municipality", "sector"]
    assert table["dimension"].to_pylist() == ["total", "age_group", "total", "sex", "total"]
    assert set(table["synthetic"].to_pylist()) == {True}
    assert set(released(row("country", "BE"), synthetic=False)["synthetic"].to_pylist()) == {False}


def test_what_is_protected_stays_as_it_is():
    rows = [row("country", "BE"), row("province", "10000", patients=None), row("municipality", "11002", people=0)]
    table = released(*rows)
    assert table.select(protected().column_names).to_pylist() == protected(*rows).to_pylist()


def test_a_hidden_cell_has_nothing_that_is_derived_from_it():
    for hidden in (
        row("municipality", "11002", patients=None),
        row("municipality", "11002", patients=None, people=None),
    ):
        (cell,) = released(hidden).to_pylist()
        assert [cell[name] for name in DERIVED] == [None] * len(DERIVED)


def test_an_empty_area_has_no_rate_and_no_interval():
    (cell,) = released(row("municipality", "11002", patients=0, people=0)).to_pylist()
    assert cell["status"] == "published"
    assert [cell[name] for name in DERIVED] == [None] * len(DERIVED)


@pytest.mark.parametrize(
    ("patients", "people", "reliability"),
    [(19, 1000, "care"), (20, 1000, "reliable"), (30, 49, "care"), (30, 50, "reliable"), (0, 1000, "care")],
)
def test_few_patients_or_beneficiaries_are_to_be_interpreted_with_care(patients, people, reliability):
    (cell,) = released(row("municipality", "11002", patients=patients, people=people)).to_pylist()
    assert cell["reliability"] == reliability


def test_names_are_those_of_the_level_and_code():
    cells = released(row("region", "04000"), row("province", "04000"), row("sector", "11002A00-")).to_pylist()
    assert [cell["area_name_nl"] for cell in cells] == ["Brussel", "Brussel", None]
    assert len(cells) == 3


def test_an_area_without_a_name_has_none():
    nameless = dict(zip(AREAS.column_names, ("sector", "11002A00-", "11002", "", "", ""), strict=True))
    areas = pa.concat_tables([AREAS, pa.Table.from_pylist([nameless])])
    cells = protected(row("sector", "11002A00-"))
    (cell,) = released_rates(cells, areas, sector_vintage=2021, synthetic=True).to_pylist()
    assert cell["area_name_fr"] is None


def test_vintage_is_the_year_but_for_sectors_that_of_their_table():
    cells = released(row("municipality", "11002"), row("sector", "11002A00-"))
    assert cells["geography_vintage"].to_pylist() == [2024, 2021]
    without = released_rates(protected(row("sector", "11002A00-")), AREAS, sector_vintage=None, synthetic=True)
    assert without["geography_vintage"].to_pylist() == [None]


def test_sensitivity_has_rates_where_it_is_published():
    def cell(threshold: int, patients: int | None, rule: str = "at_least") -> dict:
        return {
            "year": 2024,
            "level": "country",
            "area_code": "BE",
            "parent_code": "",
            "rule": rule,
            "threshold": threshold,
            "beneficiaries": 1000,
            "patients": patients,
            "status": "suppressed" if patients is None else "published",
        }

    rows = [cell(6, 30, "exactly"), cell(12, None), cell(6, 40), cell(1, 60)]
    table = released_sensitivity(
        pa.Table.from_pylist(rows, schema=PROTECTED_SENSITIVITY.schema), AREAS, synthetic=False
    )
    assert table.schema == RELEASED_SENSITIVITY.schema
    assert table["threshold"].to_pylist() == [1, 6, 12, 6]
    assert table["rate_per_10000"].to_pylist() == [600.0, 400.0, None, 300.0]
    assert [value is None for value in table["rate_per_10000_upper"].to_pylist()] == [False, False, True, False]
    assert set(table["area_name_fr"].to_pylist()) == {"Belgique"}
