import re

import numpy as np
import pyarrow as pa
import pytest

from mm_pipeline.demo import facts
from mm_pipeline.demo.hashing import POINTS, Dice
from mm_pipeline.demo.houses import houses_of
from mm_pipeline.demo.places import Country, country_of, vintage_of
from mm_pipeline_tests.support.demo_delivery import areas_of


@pytest.fixture(scope="module")
def country() -> Country:
    return country_of(areas_of(facts.BASE_YEAR))


def municipalities_of(areas: pa.Table) -> set[str]:
    return {row["area_code"] for row in areas.to_pylist() if row["level"] == "municipality"}


def test_the_country_has_the_municipalities_and_populations_of_2018(country: Country) -> None:
    assert len(country.codes) == 589
    assert 11_200_000 < country.population.sum() < 11_400_000
    by_code = dict(zip(country.codes, country.population.tolist(), strict=True))
    assert by_code["11002"] == 523_000
    assert by_code["21004"] == 179_000 * 95 // 100
    assert min(by_code.values()) >= 950
    assert country.bounds[0] == 0
    assert country.bounds[-1] == POINTS
    assert np.all(np.diff(country.bounds) > 0)


def test_every_point_is_in_the_municipality_whose_stretch_it_is(country: Country) -> None:
    numbers = np.arange(len(country.codes))
    assert np.array_equal(country.municipality_of(country.bounds[:-1]), numbers)
    assert np.array_equal(country.municipality_of(country.bounds[1:] - 1), numbers)


def test_half_of_the_movers_stay_in_the_municipality(country: Country) -> None:
    dice, index = Dice(1), np.arange(20_000)
    home = dice.spread("home", index)
    before, after = (country.municipality_of(points) for points in (home, country.move(dice, index, home)))
    same = before == after
    neighbours = country.arrondissement[before] == country.arrondissement[after]
    assert 0.5 < same.mean() < 0.58
    assert 0.85 < neighbours.mean() < 0.88
    assert not np.array_equal(home, country.move(dice, index, home))


@pytest.mark.parametrize(("year", "count"), [(2003, 589), (2018, 589), (2019, 581), (2024, 581), (2025, 565)])
def test_a_vintage_has_exactly_the_municipalities_of_the_year(country: Country, year: int, count: int) -> None:
    areas = areas_of(year)
    codes = set(vintage_of(country, areas, 0.01).municipality_codes)
    assert len(codes) == count
    assert codes == municipalities_of(areas)


def test_invented_sectors_have_the_shape_and_the_sizes_of_real_ones(country: Country) -> None:
    vintage = vintage_of(country, areas_of(2019), 1)
    assert len(set(vintage.sector_codes)) == len(vintage.sector_codes)
    assert all(re.fullmatch(r"[0-9]{5}[A-Z][0-9]{2}[0-9-]", code) for code in vintage.sector_codes)
    assert 18_800 < len(vintage.sector_codes) < 20_000
    points = Dice(1).spread("home", np.arange(2_000_000))
    people = np.bincount(vintage.sector_of(country, points, country.municipality_of(points))) * 11_400_000 / 2_000_000
    assert 560 < people.mean() < 620
    assert 320 < np.median(people) < 380


def test_sectors_keep_the_digits_of_before_the_mergers(country: Country) -> None:
    vintage = vintage_of(country, areas_of(2019), 1)
    wrong = set()
    for number, code in enumerate(vintage.municipality_codes):
        sectors = vintage.sector_codes[vintage.first[number] : vintage.first[number + 1]]
        assert {sector[:5] for sector in sectors} == {country.codes[number]}
        if code != country.codes[number]:
            wrong.add(code)
    assert len(wrong) == 18


def test_every_municipality_has_a_sector_at_any_scale(country: Country) -> None:
    vintage = vintage_of(country, areas_of(2018), 0.0001)
    assert len(vintage.sector_codes) == 589


def test_the_sectors_of_the_table_are_used(country: Country) -> None:
    areas = areas_of(2021)
    real = ["11001A00-", "44011X99-", "44049Y11-", "44083Z22-", "12041Q00-"]
    parents = ["11001", "44083", "44083", "44083", "12041"]
    names = [name for name in areas.column_names if name not in ("level", "area_code", "parent_code")]
    sectors = pa.table(
        {"level": ["sector"] * 5, "area_code": real, "parent_code": parents} | dict.fromkeys(names, real)
    )
    vintage = vintage_of(country, pa.concat_tables([areas, sectors.select(areas.column_names)]), 1)

    def sectors_of(base: str) -> list[str]:
        number = country.codes.index(base)
        return vintage.sector_codes[vintage.first[number] : vintage.first[number + 1]]

    assert sectors_of("11001") == ["11001A00-"]
    # Of a merged municipality, the sectors with the digits of the predecessor; all of them where none has these.
    assert sectors_of("44011") == ["44011X99-"]
    assert sectors_of("12030") == sectors_of("12034") == ["12041Q00-"]
    # Invented where the table has none.
    assert len(sectors_of("11002")) > 800


@pytest.mark.parametrize(("year", "count"), [(2003, 60), (2005, 67), (2006, 71), (2014, 140), (2015, 151), (2024, 250)])
def test_as_many_houses_are_open_as_published(country: Country, year: int, count: int) -> None:
    assert np.sum(houses_of(country).opening <= year) == count


def test_houses_are_in_towns(country: Country) -> None:
    houses = houses_of(country)
    sites = houses.municipality[houses.opening <= 2020]
    assert np.bincount(sites).max() >= 8
    assert len(set(sites.tolist())) < 120
    # Nobody reaches a house that is not open, except that a year without any waits for the first.
    for number in range(len(country.codes)):
        for column in range(houses.count.shape[1]):
            start, usable = houses.offset[number, column], houses.count[number, column]
            opening = houses.opening[houses.reachable[start : start + usable]]
            assert usable <= 1 or opening.max() <= 1985 + column


def test_figures_between_years_lie_on_a_line() -> None:
    assert facts.interpolate({2003: 10, 2005: 20}, 2004) == 15
    assert facts.interpolate({2003: 10, 2005: 21}, 2004, unit=10) == 155
    assert facts.interpolate({2003: 10, 2005: 20}, 2005) == 20
    assert facts.interpolate({2003: 10, 2005: 20}, 2001) == 10
