"""Protection on small countries of which one sees what must happen; on random ones, see test_promise."""

import ast
import random
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import mm_pipeline.disclosure
from mm_pipeline.disclosure.audit import audit
from mm_pipeline.disclosure.protect import protect, protect_revision
from mm_pipeline.disclosure.revision import disclosed
from mm_pipeline_tests.support.examples import how_many
from mm_pipeline_tests.support.small_tables import Area, Group, SmallTable

T = 5
AREAS = (
    Area("country", "BE", ""),
    Area("region", "02000", "BE"),
    Area("region", "04000", "BE"),
    Area("province", "10000", "02000"),
    Area("province", "04000", "04000"),
    Area("arrondissement", "11000", "10000"),
    Area("arrondissement", "12000", "10000"),
    Area("arrondissement", "21000", "04000"),
    Area("municipality", "11001", "11000"),
    Area("municipality", "11002", "11000"),
    Area("municipality", "12014", "12000"),
    Area("municipality", "21004", "21000"),
    Area("sector", "11001A00-", "11001"),
    Area("sector", "11001A01-", "11001"),
    Area("sector", "11002A00-", "11002"),
    Area("sector", "12014A00-", "12014"),
    Area("sector", "21004A00-", "21004"),
)
LARGE = {
    "11001A00-": (400, 50),
    "11001A01-": (300, 40),
    "11002A00-": (600, 80),
    "12014A00-": (500, 60),
    "21004A00-": (900, 90),
}


def country(**changes: tuple[int, int]) -> pd.DataFrame:
    """Totals of a country of these sectors: (beneficiaries, patients); ``<NIS5>ZZZZ`` for an unknown one."""
    sectors = LARGE | {code.replace("_", "-").removeprefix("S"): counts for code, counts in changes.items()}
    groups = tuple(
        Group(code[:5], "" if code.endswith("ZZZZ") else code, "M", "0-17", "0", *counts)
        for code, counts in sectors.items()
    )
    return SmallTable(AREAS, "country", "sector", (), groups).table()


def suppressed(rates: pd.DataFrame) -> set[tuple[str, str]]:
    table = protect(rates, T)
    assert not len(audit(table, T).violations)
    rows = table[table["status"] == "suppressed"]
    return set(zip(rows["level"], rows["area_code"], strict=True))


def test_nothing_is_hidden_without_need():
    assert suppressed(country()) == set()


def test_a_zero_is_shown():
    assert suppressed(country(S11001A00_=(400, 0))) == set()


@pytest.mark.parametrize(
    "counts",
    [(400, 1), (400, 4), (400, 396), (400, 399), (400, 400), (4, 4)],
    ids=lambda counts: f"{counts[1]} of {counts[0]}",
)
def test_a_sensitive_sector_takes_the_other_one_along(counts):
    assert suppressed(country(S11001A00_=counts)) == {("sector", "11001A00-"), ("sector", "11001A01-")}


@pytest.mark.parametrize(
    "counts", [(400, 5), (400, 395), (10, 5), (5, 0)], ids=lambda counts: f"{counts[1]} of {counts[0]}"
)
def test_a_sector_at_the_bounds_is_shown(counts):
    assert suppressed(country(S11001A00_=counts)) == set()


def test_few_people_hide_their_number_and_another_one():
    table = protect(country(S11001A00_=(3, 0)), T).set_index("area_code")
    assert table.loc[["11001A00-", "11001A01-"], "beneficiaries"].isna().all()
    assert table["beneficiaries"].isna().sum() == 2


def test_an_unknown_sector_is_protected_like_one():
    """ZZZZ is never published, but the municipality less its sectors gives it away."""
    rates = country(S11001ZZZZ=(200, 3))
    hidden = suppressed(rates)
    assert len(hidden) == 1
    assert hidden < {("sector", "11001A00-"), ("sector", "11001A01-")}
    assert not protect(rates, T)["area_code"].str.endswith("ZZZZ").any()


def test_an_unknown_sector_that_is_not_small_hides_nothing():
    assert suppressed(country(S11001ZZZZ=(200, 30))) == set()


def test_a_lone_municipality_takes_another_one_along_but_not_their_sum():
    hidden = suppressed(country(S11002A00_=(600, 3)))
    assert {("municipality", "11002"), ("sector", "11002A00-"), ("municipality", "11001")} <= hidden
    assert {level for level, _ in hidden} == {"municipality", "sector"}


@pytest.mark.parametrize("level", ["region", "province", "arrondissement", "municipality"])
def test_brussels_is_hidden_on_all_its_levels(level):
    """One area under four names: shown as one of them, it would be known."""
    code = {"arrondissement": "21000", "municipality": "21004"}.get(level, "04000")
    assert (level, code) in suppressed(country(S21004A00_=(900, 2)))


def test_sectors_that_cannot_be_protected_one_by_one():
    """Three of one patient each cannot be told apart, but to be few: R2 or the municipality's total."""
    hidden = suppressed(country(S11001A00_=(400, 3), S11001A01_=(300, 2)))
    sectors = {("sector", "11001A00-"), ("sector", "11001A01-")}
    assert sectors <= hidden


def test_the_country_is_hidden_last_of_all():
    few = {f"S{code.replace('-', '_')}": (people, 4) for code, (people, _) in LARGE.items()}
    hidden = suppressed(country(**few))
    assert ("country", "BE") not in hidden
    assert {("municipality", "12014"), ("region", "02000"), ("region", "04000")} <= hidden


def imports(file: Path) -> set[str]:
    """The modules of the package that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("mm_pipeline")}


def test_the_audit_shares_no_code_with_the_protection():
    room = Path(mm_pipeline.disclosure.__file__).parent
    of_the_audit = set().union(*(imports(file) for file in (room / "audit").glob("*.py")))
    assert {name for name in of_the_audit if not name.startswith("mm_pipeline.disclosure.audit")} == {
        "mm_pipeline.dimensions",
        "mm_pipeline.errors",
    }
    of_the_protection = set().union(*(imports(file) for file in room.glob("*.py")))
    assert not {name for name in of_the_protection if "audit" in name}


def by_age(dice: random.Random, threshold: int) -> pd.DataFrame:
    """An arrondissement by age group with many zeros and few people: what is hidden for one becomes needless by another."""
    areas = [Area("country", "BE", ""), Area("region", "02000", "BE"), Area("province", "10000", "02000")]
    areas.append(Area("arrondissement", "11000", "10000"))
    groups = []
    for number in range(dice.randint(2, 5)):
        code = f"1100{number}"
        areas.append(Area("municipality", code, "11000"))
        for age_class in ("0-17", "18-24", "65-74"):
            few, some, many = dice.randint(1, threshold - 1), dice.randint(threshold, 30), dice.randint(40, 60)
            people, patients = dice.choice(
                [(few, dice.randint(0, few)), (some, 0), (many, dice.randint(threshold, 30)), (many, few), (0, 0)]
            )
            groups.append(Group(code, "", "M", age_class, "0", people, patients))
    return SmallTable(tuple(areas), "arrondissement", "municipality", ("age_group",), tuple(groups)).table()


@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_clearing_up_leaves_a_proper_table(threshold):
    """Where a total is shown again, so are the zeros of its breakdowns, but not beside a hidden N."""
    dice = random.Random(threshold)
    for _ in range(how_many(50)):
        rates = by_age(dice, threshold)
        table = protect(rates, threshold)
        assert not len(audit(table, threshold).violations)
        assert not (table["beneficiaries"].isna() & table["patients"].notna()).any()
        again = protect_revision(rates, threshold, [disclosed(rates, table)]).table
        assert_frame_equal(again, table)


def test_a_table_of_one_cell_is_revised():
    rates = country()
    one = rates[rates["level"] == "country"]
    assert_frame_equal(protect_revision(one, T, [disclosed(one, protect(one, T))]).table, protect(one, T))
