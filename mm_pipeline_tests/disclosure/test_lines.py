"""Protection on whole random tables: made from persons, so that everything adds up as in reality."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mm_pipeline.disclosure.lines import lines_of, protect
from mm_pipeline_tests.oracle import statistic

T = 5
AREAS = [
    {"level": level, "area_code": code, "parent_code": parent}
    for level, code, parent in [
        ("country", "BE", ""),
        ("region", "02000", "BE"),
        ("region", "04000", "BE"),
        ("province", "10000", "02000"),
        ("province", "04000", "04000"),
        ("arrondissement", "11000", "10000"),
        ("arrondissement", "12000", "10000"),
        ("arrondissement", "21000", "04000"),
        ("municipality", "11001", "11000"),
        ("municipality", "11002", "11000"),
        ("municipality", "12014", "12000"),
        ("municipality", "21004", "21000"),
    ]
]
SECTORS = {
    "11001": ["11001A00-"],
    "11002": ["11002A00-", "11002A01-", "11002A02-"],
    "12014": ["12014A00-"],
    "21004": [],
}


@st.composite
def tables(draw) -> pd.DataFrame:
    """A year's sector_rates of up to 150 persons, some without a sector or a municipality."""
    people = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["11001", "11002", "11002", "11002", "12014", "21004", "21004", "999"]),
                st.integers(0, 3),
                st.sampled_from(["M", "F"]),
                st.integers(1920, 2024),
                st.sampled_from(["0", "1"]),
                st.booleans(),
            ),
            min_size=1,
            max_size=150,
        )
    )
    beneficiaries, forfaits = [], []
    for number, (municipality, sector, sex, birth_year, preferential, is_patient) in enumerate(people):
        codes = [*SECTORS.get(municipality, []), ""]
        beneficiaries.append(
            {
                "patient_id": str(number),
                "birth_year": str(birth_year),
                "sex": sex,
                "preferential": preferential,
                "municipality_code": municipality,
                "sector_code": codes[sector % len(codes)],
                "valid_from": "",
            }
        )
        if is_patient:
            forfaits += [
                {
                    "patient_id": str(number),
                    "house_id": "H",
                    "service_date": f"2024-{month:02d}-01",
                    "nomenclature_code": "109616",
                    "quantity": "1",
                    "amount_eur": "1",
                }
                for month in range(1, 7)
            ]
    return frame_of(statistic(2024, forfaits, beneficiaries, [], AREAS).rates)


def frame_of(rates) -> pd.DataFrame:
    rows = [
        {
            "year": 2024,
            "level": level,
            "area_code": area,
            "parent_code": parent,
            "dimension": dimension,
            "category": category,
            "beneficiaries": people,
            "patients": n,
            "rate_per_10000": 10_000 * n / people if people else None,
            "rate_percent": 100 * n / people if people else None,
        }
        for (level, area, dimension, category), (parent, people, n) in rates.items()
    ]
    return pd.DataFrame(rows).sort_values(["level", "area_code", "dimension", "category"], ignore_index=True)


KEY = ["level", "area_code", "dimension", "category"]


@settings(max_examples=60, deadline=None)
@given(tables())
def test_what_the_rule_hides_is_hidden_with_all_that_derives_from_it(rates):
    protected = protect(rates, T)
    both = protected.merge(rates, on=KEY, suffixes=("", "_true"), validate="1:1")
    assert len(protected) == (~rates["area_code"].str.endswith("ZZZZ")).sum()
    for row in both.to_dict("records"):
        n, people = row["patients_true"], row["beneficiaries_true"]
        small = lambda count: 1 <= count < T  # noqa: E731
        if small(n) or small(people - n) or small(people) or (n == people and people > 0):
            assert row["status"] == "suppressed"
        if small(people):
            assert pd.isna(row["beneficiaries"])
        if row["status"] == "suppressed":
            assert pd.isna(row["patients"])
            assert pd.isna(row["rate_per_10000"])
            assert pd.isna(row["rate_percent"])
        else:
            assert (row["patients"], row["beneficiaries"]) == (n, people)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(["patients", "beneficiaries"]))
def test_no_sum_has_exactly_one_hidden_cell(rates, count):
    """The lines are formed here from the codes alone, apart from the code under test.

    A cell that is never published (ZZZZ, without a municipality) counts as hidden where it is sensitive itself, and is
    known by subtraction where it is not.
    """
    protected = protect(rates, T)
    known = {tuple(row[k] for k in KEY): row[count] for row in protected.to_dict("records") if not pd.isna(row[count])}
    true = {tuple(row[k] for k in KEY): row for row in rates.to_dict("records")}

    def is_hidden(key) -> bool:
        if not key[1].endswith("ZZZZ"):
            return key not in known
        people, n = true[key]["beneficiaries"], true[key]["patients"]
        if count == "beneficiaries":
            return 1 <= people < T
        return 1 <= n < T or 1 <= people - n < T or 1 <= people < T or (n == people and people > 0)

    sums: list[list[tuple]] = []
    for (level, area, dimension, category), row in true.items():
        below = [key for key in true if true[key]["parent_code"] == area and key[2:] == (dimension, category)]
        below = [key for key in below if key != (level, area, dimension, category)]
        order = ["country", "region", "province", "arrondissement", "municipality", "sector"]
        below = [key for key in below if order.index(key[0]) == order.index(level) + 1]
        if below and level != "country":
            sums.append([(level, area, dimension, category), *below])
        if dimension == "total":
            for breakdown in ("sex", "age_group", "preferential"):
                parts = [key for key in true if key[:3] == (level, area, breakdown)]
                if parts:
                    sums.append([(level, area, dimension, category), *parts])
        del row
    for line in sums:
        hidden = [key for key in line if is_hidden(key)]
        if len(hidden) == 1:
            # Allowed only where nothing else in the line is published, as with a lone unknown-sector bucket.
            assert all(key[1].endswith("ZZZZ") for key in line if key not in hidden), line


@settings(max_examples=20, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_same_data_give_the_same_mask(rates, random):
    order = list(range(len(rates)))
    random.shuffle(order)
    once, again = protect(rates, T), protect(rates.copy(), T)
    assert_frame_equal(once, again)


def test_nothing_is_hidden_without_need():
    rates = frame_of(
        statistic(
            2024, *population({"11001": (40, 10), "11002": (60, 20), "12014": (50, 20), "21004": (80, 30)}), AREAS
        ).rates
    )
    totals = protect(rates, T).query("dimension == 'total' and level != 'sector'")
    assert set(totals["status"]) == {"published"}


def test_a_lone_sensitive_municipality_takes_another_one_along():
    rates = frame_of(
        statistic(
            2024, *population({"11001": (40, 3), "11002": (60, 20), "12014": (50, 20), "21004": (80, 30)}), AREAS
        ).rates
    )
    protected = protect(rates, T).set_index(KEY)["status"]
    assert protected["municipality", "11001", "total", "total"] == "suppressed"
    assert protected["municipality", "11002", "total", "total"] == "suppressed"
    assert protected["arrondissement", "11000", "total", "total"] == "published"


def test_a_lone_unknown_sector_takes_a_sector_along():
    """ZZZZ is never published, but the municipality less its sectors gives it away."""
    forfaits, beneficiaries, dmg = population(
        {"11001": (43, 13), "11002": (60, 20), "12014": (50, 20), "21004": (80, 30)}
    )
    for row in [row for row in beneficiaries if row["municipality_code"] == "11001"]:
        row["sector_code"] = "" if int(row["patient_id"]) < 3 else "11001A00-"
    rates = frame_of(statistic(2024, forfaits, beneficiaries, dmg, AREAS).rates)
    protected = protect(rates, T).set_index(KEY)["status"]
    assert protected["municipality", "11001", "total", "total"] == "published"
    assert protected["sector", "11001A00-", "total", "total"] == "suppressed"


def test_lines_hold_every_cell_of_the_country():
    rates = frame_of(
        statistic(
            2024, *population({"11001": (40, 10), "11002": (60, 20), "12014": (50, 20), "21004": (80, 30)}), AREAS
        ).rates
    )
    lines = lines_of(rates)
    for members in lines.members:
        counts = lines.cells.loc[members, ["beneficiaries", "patients"]].to_numpy()
        assert (counts[0] == counts[1:].sum(axis=0)).all()
    seen = Counter(cell for members in lines.members for cell in members.tolist())
    assert set(range(len(rates))) <= set(seen)


@pytest.mark.parametrize("level", ["region", "province", "arrondissement"])
def test_brussels_is_hidden_on_all_its_levels_or_on_none(level):
    rates = frame_of(
        statistic(
            2024, *population({"11001": (40, 10), "11002": (60, 20), "12014": (50, 20), "21004": (80, 2)}), AREAS
        ).rates
    )
    protected = protect(rates, T).set_index(KEY)["status"]
    code = "21000" if level == "arrondissement" else "04000"
    assert protected[level, code, "total", "total"] == "suppressed"


def population(sizes: dict[str, tuple[int, int]]):
    """(forfaits, beneficiaries, dmg) of municipalities with N persons of whom n are patients."""
    forfaits, beneficiaries = [], []
    number = 0
    for municipality, (people, patients) in sizes.items():
        for i in range(people):
            beneficiaries.append(
                {
                    "patient_id": str(number),
                    "birth_year": str(1940 + 7 * (i % 12)),
                    "sex": "MF"[i % 2],
                    "preferential": str(i // 2 % 2),
                    "municipality_code": municipality,
                    "sector_code": f"{municipality}A00-",
                    "valid_from": "",
                }
            )
            if i < patients:
                forfaits += [
                    {
                        "patient_id": str(number),
                        "house_id": "H",
                        "service_date": f"2024{month:02d}01",
                        "nomenclature_code": "109616",
                        "quantity": "1",
                        "amount_eur": "1",
                    }
                    for month in range(1, 13)
                ]
            number += 1
    return forfaits, beneficiaries, []
