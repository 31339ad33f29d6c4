"""The system of a table: which lines there are, which residuals, and where each cell belongs."""

import pandas as pd
import pytest

from mm_pipeline.disclosure.system import system_of
from mm_pipeline_tests.support.systems import at, lines, names, table

COUNTRY = table(
    ("country BE - total", 100, 20),
    ("country BE - M", 60, 12),
    ("country BE - F", 40, 8),
    ("region 02000 BE total", 70, 14),
    ("region 02000 BE M", 40, 8),
    ("region 02000 BE F", 30, 6),
    ("region 04000 BE total", 25, 5),
    ("region 04000 BE M", 15, 3),
    ("region 04000 BE F", 10, 2),
    ("province 04000 04000 total", 25, 5),
    ("province 04000 04000 M", 15, 3),
    ("province 04000 04000 F", 10, 2),
)
SECTORS = table(
    ("arrondissement 11000 10000 total", 60, 12),
    ("municipality 11001 11000 total", 40, 9),
    ("municipality 11002 11000 total", 20, 3),
    ("sector 11001A00- 11001 total", 25, 5),
    ("sector 11001A01- 11001 total", 12, 4),
)


def test_the_country_adds_up_over_its_regions_and_the_unassigned_in_every_category():
    assert lines(system_of(COUNTRY)) == {
        *(
            (
                f"country BE {category}",
                frozenset(
                    {f"region 02000 {category}", f"region 04000 {category}", f"unassigned unassigned {category}"}
                ),
            )
            for category in ("total", "M", "F")
        ),
        # Brussels is a region and a province of one code; Flanders has no province here, so no line.
        *((f"region 04000 {category}", frozenset({f"province 04000 {category}"})) for category in ("total", "M", "F")),
        *(
            (f"{area} total", frozenset({f"{area} M", f"{area} F"}))
            for area in ("country BE", "region 02000", "region 04000", "province 04000", "unassigned unassigned")
        ),
    }


def test_the_unassigned_are_what_the_regions_leave():
    system = system_of(COUNTRY)
    residual = {name: position for position, name in enumerate(names(system)) if name.startswith("unassigned")}
    counts = {name: (system.beneficiaries[place], system.patients[place]) for name, place in residual.items()}
    assert counts == {
        "unassigned unassigned total": (5, 1),
        "unassigned unassigned M": (5, 1),
        "unassigned unassigned F": (0, 0),
    }
    assert sorted(system.is_residual.nonzero()[0]) == sorted(residual.values())


@pytest.mark.parametrize("level", ["country", "region"])
def test_without_the_country_or_without_regions_nobody_is_unassigned(level):
    assert not system_of(COUNTRY[COUNTRY["level"] != level]).is_residual.any()


def test_an_age_group_is_its_classes_and_the_total_is_the_groups():
    system = system_of(
        table(
            ("arrondissement 11000 10000 total", 10, 0),
            ("arrondissement 11000 10000 0-17", 1, 0),
            ("arrondissement 11000 10000 18-64", 6, 0),
            ("arrondissement 11000 10000 65+", 3, 0),
            ("arrondissement 11000 10000 class 18-24", 2, 0),
            ("arrondissement 11000 10000 class 25-44", 3, 0),
            ("arrondissement 11000 10000 class 45-64", 1, 0),
            ("arrondissement 11000 10000 class 65-74", 3, 0),
        )
    )
    area = "arrondissement 11000"
    assert lines(system) == {
        (f"{area} total", frozenset({f"{area} 0-17", f"{area} 18-64", f"{area} 65+"})),
        (f"{area} 18-64", frozenset({f"{area} 18-24", f"{area} 25-44", f"{area} 45-64"})),
        (f"{area} 65+", frozenset({f"{area} 65-74"})),
    }
    assert set(system.total) == {at(system, f"{area} total")}, "the total of a class is that of its area"


def test_each_breakdown_is_a_line_of_its_own():
    area = "municipality 11001"
    rows = [(f"{area} 11000 {category}", people, 0) for category, people in {"M": 3, "F": 4, "0": 5, "1": 2}.items()]
    assert lines(system_of(table((f"{area} 11000 total", 7, 0), *rows))) == {
        (f"{area} total", frozenset({f"{area} M", f"{area} F"})),
        (f"{area} total", frozenset({f"{area} 0", f"{area} 1"})),
    }


def test_a_municipality_with_sectors_has_an_unknown_one():
    system = system_of(SECTORS)
    assert lines(system) == {
        ("arrondissement 11000 total", frozenset({"municipality 11001 total", "municipality 11002 total"})),
        (
            "municipality 11001 total",
            frozenset({"sector 11001A00- total", "sector 11001A01- total", "sector 11001ZZZZ total"}),
        ),
    }
    residual = at(system, "sector 11001ZZZZ total")
    assert (system.beneficiaries[residual], system.patients[residual]) == (3, 0)
    assert system.is_residual.nonzero()[0].tolist() == [residual]
    assert system.group[residual] == -1
    assert system.group[at(system, "sector 11001A00- total")] >= 0


def test_an_unknown_sector_that_has_a_row_is_the_residual():
    given = table(("sector 11001ZZZZ 11001 total", 3, 0))
    assert (
        names(system_of(pd.concat([given, SECTORS], ignore_index=True)))
        == names(system_of(given)) + names(system_of(SECTORS))[: len(SECTORS)]
    )


def test_an_unknown_sector_in_which_nobody_lives_is_there_too():
    system = system_of(
        table(("municipality 11001 11000 total", 25, 5), ("sector 11001A00- 11001 total", 25, 5)),
    )
    residual = at(system, "sector 11001ZZZZ total")
    assert (system.beneficiaries[residual], system.patients[residual], system.is_residual[residual]) == (0, 0, True)


def test_a_line_whose_total_is_not_in_the_table_does_not_exist():
    system = system_of(SECTORS[SECTORS["level"] != "municipality"])
    assert lines(system) == set()
    assert not system.is_residual.any()
    women = system_of(table(("municipality 11001 11000 F", 5, 1), ("municipality 11001 11000 M", 5, 1)))
    assert lines(women) == set()
    assert women.total.tolist() == [0, 1]


def test_total_and_parent():
    system = system_of(COUNTRY)
    name = names(system)

    def named(position):
        return name[position] if position >= 0 else None

    of = {each: (named(system.total[place]), named(system.parent[place])) for place, each in enumerate(name)}
    assert of["country BE M"] == ("country BE total", None)
    assert of["region 04000 total"] == ("region 04000 total", "country BE total")
    assert of["province 04000 F"] == ("province 04000 total", "region 04000 total")
    assert of["unassigned unassigned M"] == ("unassigned unassigned total", "country BE total")


def test_within():
    system = system_of(pd.concat([SECTORS, COUNTRY], ignore_index=True))
    within = system.within

    def together(level, *where):
        places = {within[level][at(system, name)] for name in where}
        return len(places) == 1 and min(places) >= 0

    assert together("municipality", "municipality 11001 total", "sector 11001A01- total", "sector 11001ZZZZ total")
    assert not together("municipality", "municipality 11001 total", "municipality 11002 total")
    assert together(
        "arrondissement", "arrondissement 11000 total", "municipality 11002 total", "sector 11001A00- total"
    )
    # The province has no row, but the arrondissement names it; nothing names its region.
    assert together("province", "arrondissement 11000 total", "sector 11001A00- total")
    assert within["region"][at(system, "sector 11001A00- total")] == -1
    assert together("region", "region 04000 M", "province 04000 total")
    assert not together("region", "region 04000 M", "region 02000 M")
    assert not together("province", "province 04000 total", "arrondissement 11000 total")
    for level, name in [
        ("municipality", "arrondissement 11000 total"),
        ("province", "region 04000 total"),
        ("region", "country BE total"),
        ("region", "unassigned unassigned total"),
    ]:
        assert within[level][at(system, name)] == -1


def test_the_order_of_the_rows_only_moves_the_cells():
    shuffled = COUNTRY.sample(frac=1, random_state=1)
    assert names(system_of(shuffled))[: len(COUNTRY)] != names(system_of(COUNTRY))[: len(COUNTRY)]
    assert lines(system_of(shuffled)) == lines(system_of(COUNTRY))
