"""The beneficiaries: how many, who, where, and how their rows are written."""

import re
from pathlib import Path

import pytest

from mm_pipeline.demo import synthesize
from mm_pipeline_tests.support.demo_delivery import SCALE, Delivery, areas_of


@pytest.mark.parametrize(("year", "people"), [(2003, 10_350_000), (2014, 11_200_000), (2024, 11_700_000)])
def test_population_grows_as_that_of_the_country(deliveries: dict[int, Delivery], year: int, people: int) -> None:
    assert deliveries[year].value("SELECT count(*) FROM residents") == pytest.approx(people * SCALE, rel=0.01)


def test_ages_sexes_and_tariffs(deliveries: dict[int, Delivery]) -> None:
    for year, delivery in deliveries.items():
        ((children, adults, old, oldest, women, preferential),) = delivery.rows(
            f"""
            SELECT avg((age < 18)::INT), avg((age BETWEEN 18 AND 64)::INT), avg((age >= 65)::INT),
                   avg((age >= 85)::INT), avg(female::INT), avg(preferential::INT)
            FROM (SELECT *, {year} - birth_year AS age FROM residents)
            """
        )
        assert children == pytest.approx(0.20, abs=0.015)
        assert adults == pytest.approx(0.61, abs=0.025)
        assert old == pytest.approx(0.19, abs=0.03)
        assert oldest == pytest.approx(0.03, abs=0.012)
        assert women == pytest.approx(0.508, abs=0.005)
        assert 0.178 < preferential < 0.205


def test_patients_are_young_and_often_have_the_preferential_tariff(deliveries: dict[int, Delivery]) -> None:
    for year, delivery in deliveries.items():
        ((age, preferential),) = delivery.rows(
            f"SELECT avg({year} - birth_year), avg(preferential::INT) "
            "FROM residents SEMI JOIN attributed USING (person)"
        )
        assert 30 < age < 33
        assert 0.355 < preferential < 0.40


@pytest.mark.parametrize(("year", "count"), [(2019, 581), (2025, 565)])
def test_everywhere_lives_somebody(tmp_path: Path, year: int, count: int) -> None:
    synthesize(tmp_path, [year], scale=0.01, seed=1, areas=areas_of)
    delivery = Delivery(tmp_path / str(year))
    assert delivery.value("SELECT count(*) FROM municipalities") == count
    assert (
        delivery.value("SELECT count(DISTINCT code) FROM municipalities JOIN residents ON code = municipality_code")
        == count
    )


def test_people_remain_who_they_are(deliveries: dict[int, Delivery]) -> None:
    columns = "person, birth_year, female, municipality_code, sector_code"
    before, after = (
        {row[0]: row[1:] for row in deliveries[year].rows(f"SELECT {columns} FROM residents")} for year in (2018, 2019)
    )
    both = before.keys() & after.keys()
    assert len(both) > 0.98 * len(before)
    assert all(before[person][:2] == after[person][:2] for person in both)
    # Sectors do not change with the municipality they are in: 2019 has mergers, and 3 % of the people move.
    assert sum(before[person][3] == after[person][3] for person in both) > 0.96 * len(both)
    assert sum(before[person][2] == after[person][2] for person in both) < 0.96 * len(both)


def test_sectors_of_merged_municipalities_keep_the_older_digits(deliveries: dict[int, Delivery]) -> None:
    misleading = "FROM beneficiaries WHERE sector_code NOT LIKE '%ZZZZ' AND sector_code[:5] <> municipality_code"
    assert deliveries[2018].value(f"SELECT count(*) {misleading}") == 0
    assert deliveries[2019].value(f"SELECT count(DISTINCT municipality_code) {misleading}") == 18
    assert deliveries[2019].value(f"SELECT count(*) {misleading}") / len(deliveries[2019].lines("beneficiaries")) > 0.03


def test_movers_have_two_rows_in_either_order(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2020]
    rows = delivery.rows(
        "SELECT count(*), list(valid_from ORDER BY rowid), count(DISTINCT (municipality_code, sector_code)), "
        "count(DISTINCT (birth_year, sex, preferential)) FROM beneficiaries GROUP BY patient_id"
    )
    assert {row[0] for row in rows} == {1, 2}
    movers = [row for row in rows if row[0] == 2]
    assert 0.025 < len(movers) / len(rows) < 0.035
    assert all(row[3] == 1 for row in rows)
    # Half stay in their municipality, which often has one sector at this scale.
    assert sum(row[2] == 2 for row in movers) > 0.5 * len(movers)
    days = [row[1] for row in movers]
    assert all(sorted(day is None for day in pair) == [False, True] for pair in days)
    assert 0.4 < sum(pair[0] is None for pair in days) / len(days) < 0.6
    assert all(re.fullmatch(r"2020-[01][0-9]-[0-2][0-9]", day) for pair in days for day in pair if day)
    # Where nobody moves, the field is empty: since 1 January.
    assert all(row[1] == [None] for row in rows if row[0] == 1)


def test_some_places_are_unknown(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2020]
    shares = dict(
        delivery.rows(
            """
            SELECT CASE WHEN municipality_code IS NULL OR municipality_code IN ('0', '995', '999') THEN 'nowhere'
                        WHEN sector_code IS NULL THEN 'empty' WHEN sector_code LIKE '%ZZZZ' THEN 'written' END AS kind,
                   count(*) / (SELECT count(*) FROM beneficiaries)
            FROM beneficiaries GROUP BY kind
            """
        )
    )
    assert 0.001 < shares["nowhere"] < 0.003
    assert 0.0015 < shares["empty"] < 0.0035
    assert 0.0015 < shares["written"] < 0.0035
    assert {row[0] for row in delivery.rows("SELECT DISTINCT municipality_code FROM beneficiaries")} >= {
        "0",
        "995",
        "999",
        None,
    }
    assert delivery.value(
        "SELECT bool_and(sector_code = municipality_code || 'ZZZZ') FROM beneficiaries WHERE sector_code LIKE '%ZZZZ'"
    )


def test_sex_is_coded_in_two_ways(deliveries: dict[int, Delivery]) -> None:
    codes = {
        year: {row[0] for row in delivery.rows("SELECT DISTINCT sex FROM beneficiaries")}
        for year, delivery in deliveries.items()
    }
    assert codes[2019] == {"1", "2"}
    assert codes[2020] == {"M", "F"}


def test_pseudonyms_are_opaque_and_look_synthetic(deliveries: dict[int, Delivery]) -> None:
    delivery = deliveries[2020]
    assert delivery.value("SELECT bool_and(regexp_full_match(person, 'syn[0-9a-f]{16}')) FROM residents")
    assert delivery.value("SELECT bool_and(regexp_full_match(practice_id, '[HP][0-9]+')) FROM dmg")
