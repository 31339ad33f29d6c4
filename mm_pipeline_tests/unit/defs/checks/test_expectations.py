"""Great Expectations: every rule of every suite can fail, and what goes wrong inside never reads as a state of the data."""

import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from mm_pipeline.defs.checks import deliveries, expectations
from mm_pipeline.defs.checks.expectations import broken_rules
from mm_pipeline.errors import OperatorError
from mm_pipeline.operations.status import PASSED, WARNING
from mm_pipeline.schemas import RAW_FORFAITS
from mm_pipeline_tests.support.small_year import YEAR

CELL = {
    "cell": "country BE total total",
    "level": "country",
    "area_code": "BE",
    "dimension": "total",
    "category": "total",
    "beneficiaries": 1000,
    "patients": 50,
    "rate_per_10000": 500.0,
    "rate_percent": 5.0,
    "is_complete": True,
    "rates_are_of_counts": True,
}
SECTOR = CELL | {"cell": "sector 11002J81- total total", "level": "sector", "area_code": "11002J81-"}

GOOD = {
    "delivery_volume": ("", [{"ratio": 1.0}]),
    "forfaits_distribution": ("forfaits", [{"forfaits": number} for number in range(13)]),
    "population_profile": (
        "",
        [{"women": 0.51, "under_18": 0.2, "from_65": 0.19, "from_85": 0.03, "preferential": 0.19, "mean_age": 41.5}],
    ),
    "regional_change": ("area", [{"area": "Belgium", "ratio": 1.03}, {"area": "Brussels", "ratio": 1.0}]),
    "sector_rates": ("cell", [CELL, SECTOR]),
}
"""Per suite: the column that names a row, and rows that keep every rule."""

BROKEN = {
    # suite: for each of its rules, in order, values of the last row that break this rule only
    "delivery_volume": [{"ratio": 1.21}],
    "forfaits_distribution": [{"forfaits": None}, {"forfaits": 13}, None],
    "population_profile": [
        {"women": 0.54},
        {"under_18": 0.16},
        {"from_65": 0.26},
        {"from_85": 0.06},
        {"preferential": 0.29},
        {"mean_age": 37.9},
    ],
    "regional_change": [{"ratio": 0.89}],
    "sector_rates": [
        {"is_complete": False},
        {"level": "village"},
        {"dimension": "colour"},
        {"category": "mauve"},
        {"area_code": "1100"},
        {"cell": CELL["cell"]},
        {"beneficiaries": -1},
        {"patients": -1},
        {"rate_per_10000": 10_000.1},
        {"rate_percent": -0.1},
        {"rates_are_of_counts": False},
    ],
}
BOUNDS = {
    # suite: values of one row on the allowed side of the bounds
    "delivery_volume": [{"ratio": 0.8}, {"ratio": 1.2}],
    "forfaits_distribution": [{"forfaits": 0}, {"forfaits": 12}],
    "population_profile": [
        {"women": 0.49, "under_18": 0.17, "from_65": 0.14, "from_85": 0.01, "preferential": 0.1, "mean_age": 38},
        {"women": 0.53, "under_18": 0.25, "from_65": 0.25, "from_85": 0.05, "preferential": 0.28, "mean_age": 46},
    ],
    "regional_change": [{"ratio": 0.9}, {"ratio": 1.25}],
    "sector_rates": [
        {"rate_per_10000": 0.0, "rate_percent": 0.0, "beneficiaries": 0, "patients": 0},
        {"rate_per_10000": 10_000.0, "rate_percent": 100.0},
        {"rate_per_10000": None, "rate_percent": None},
        {"level": "sector", "area_code": "11002A1MJ"},
        {"level": "sector", "area_code": "11002ZZZZ"},
        {"level": "municipality", "area_code": "11002", "dimension": "age_group", "category": "65+"},
    ],
}


def rules(suite):
    content = json.loads((expectations._SUITES / f"{suite}.json").read_text(encoding="utf-8"))
    assert content["name"] == suite
    return content["expectations"]


def frame(suite, change=None):
    _, rows = GOOD[suite]
    return pd.DataFrame([*rows[:-1], rows[-1] | (change or {})])


@pytest.fixture
def suites(tmp_path, monkeypatch):
    """A copy of the suites that the checks read, to be edited."""
    folder = tmp_path / "suites"
    shutil.copytree(str(expectations._SUITES), folder)
    monkeypatch.setattr(expectations, "_SUITES", folder)
    return folder


def write(suites, suite, *rules):
    (suites / f"{suite}.json").write_text(json.dumps({"name": suite, "expectations": list(rules)}))


def test_every_suite_is_known_here():
    suites = sorted(path.name.removesuffix(".json") for path in expectations._SUITES.iterdir())
    assert suites == sorted(GOOD) == sorted(BROKEN) == sorted(BOUNDS)


@pytest.mark.parametrize("suite", GOOD)
def test_every_rule_says_what_it_is(suite):
    assert all(rule["meta"]["what"] for rule in rules(suite))
    if suite != "sector_rates":  # of which the check says what to do, once
        assert all(rule["meta"]["do"].endswith((".", "?")) for rule in rules(suite))


@pytest.mark.parametrize("suite", GOOD)
def test_a_good_frame_keeps_every_rule(suite):
    row, _ = GOOD[suite]
    assert broken_rules(frame(suite), suite, row=row) == []
    for change in BOUNDS[suite]:
        assert broken_rules(frame(suite, change), suite, row=row) == []


@pytest.mark.parametrize(
    ("suite", "number"), [(suite, number) for suite in GOOD for number in range(len(rules(suite)))], ids=str
)
def test_every_rule_can_be_broken_alone(suite, number):
    assert len(BROKEN[suite]) == len(rules(suite))
    rule, change = rules(suite)[number], BROKEN[suite][number]
    row, _ = GOOD[suite]
    looked_at = frame(suite, change) if change else frame(suite).head(6)  # up to 5 forfaits
    (said,) = broken_rules(looked_at, suite, row=row)
    assert said.startswith(rule["meta"]["what"])
    assert said.endswith(rule["meta"].get("do", "."))
    if row and change:
        assert " rows: " in said
        assert str(looked_at[row].iloc[-1]) in said


def test_the_first_rows_are_named():
    ratios = pd.DataFrame({"area": [f"area {n}" for n in range(12)], "ratio": 2.0})
    (said,) = broken_rules(ratios, "regional_change", row="area")
    named = ", ".join(f"area {n}" for n in range(10))
    assert f"(12 rows: {named}, ...). Look at" in said


def test_a_rule_without_words_shows_itself(suites):
    rule = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "ratio", "max_value": 2}}
    write(suites, "delivery_volume", rule)
    (said,) = broken_rules(pd.DataFrame({"ratio": [3.0]}), "delivery_volume")
    assert said == "expect_column_max_to_be_between {'column': 'ratio', 'max_value': 2.0} (found 3.0)."


# --- edited on disk ---------------------------------------------------------------------------------------------------


def test_an_edited_suite_changes_the_outcome(year, suites):
    year.in_year(YEAR - 1).set_account(RAW_FORFAITS, delivered=1000)
    year.set_account(RAW_FORFAITS, delivered=1250)
    assert year.outcome_of(deliveries.volume_against_previous_year, table=RAW_FORFAITS).state == WARNING
    file = suites / "delivery_volume.json"
    file.write_text(file.read_text().replace("1.2}", "1.4}"))
    assert year.outcome_of(deliveries.volume_against_previous_year, table=RAW_FORFAITS).state == PASSED
    file.write_text(file.read_text().replace("1.4}", "1.1}").replace("Ask the sender", "Ask anybody"))
    outcome = year.outcome_of(deliveries.volume_against_previous_year, table=RAW_FORFAITS)
    assert (outcome.state, "Ask anybody" in outcome.text) == (WARNING, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "delivery_volume",\n "expectations": [}', "suites/delivery_volume.json, line 2, column 19"),
        ('{"name": "delivery_volume"}', 'no "expectations"; expected a list of them'),
        ("[]", 'no "expectations"; expected a list of them'),
        ('{"expectations": []}', "holds no rule, so nothing would be looked at"),
    ],
)
def test_a_spoilt_suite_is_told_in_words(year, suites, content, said):
    (suites / "delivery_volume.json").write_text(content)
    with pytest.raises(OperatorError) as error:
        year.outcome_of(deliveries.volume_against_previous_year, table=RAW_FORFAITS)
    assert said in str(error.value)
    assert "Undo the last change" in str(error.value)


# --- internal errors --------------------------------------------------------------------------------------------------


def test_a_rule_on_a_column_that_is_not_there_is_no_outcome(year, suites):
    wrong = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "rows", "min_value": 0}}
    write(suites, "delivery_volume", *rules("delivery_volume"), wrong)
    with pytest.raises(OperatorError) as error:
        year.outcome_of(deliveries.volume_against_previous_year, table=RAW_FORFAITS)
    said = str(error.value)
    where, what = "mm_pipeline/defs/checks/suites/delivery_volume.json, rule 2", "expect_column_values_to_be_between"
    assert said.startswith(f"{where}: {what} on {{'column': 'rows', ")
    assert "could not be evaluated (" in said
    assert "; expected a rule on a column of the table (ratio) with bounds that fit. Undo the last change" in said


def test_a_rule_that_cannot_be_computed_is_no_outcome(year, suites):
    wrong = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "area", "min_value": 0}}
    write(suites, "regional_change", wrong)
    with pytest.raises(
        OperatorError, match=r"regional_change.json, rule 1: expect_column_mean_to_be_between .* could not"
    ):
        broken_rules(frame("regional_change"), "regional_change", row="area")


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"min_value": 9.0, "max_value": 1.2}, r"rule 1: .*min_value cannot be greater than max_value"),
        ({"min_value": "low", "max_value": 1.2}, r"rule 1: "),
        ({}, r"rule 1: "),
    ],
)
def test_bounds_that_are_none(suites, bounds, said):
    wrong = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "ratio", **bounds}}
    write(suites, "delivery_volume", wrong)
    with pytest.raises(OperatorError, match=rf"suites/delivery_volume\.json, {said}") as error:
        broken_rules(frame("delivery_volume"), "delivery_volume")
    assert "Undo the last change of the file." in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "cp1252", "mac-roman"])
def test_a_suite_that_is_not_utf8(suites, encoding):
    rule = rules("delivery_volume")[0] | {"meta": {"what": "é"}}
    text = json.dumps({"name": "delivery_volume", "expectations": [rule]}, indent=1, ensure_ascii=False)
    data = text.encode(encoding)
    (suites / "delivery_volume.json").write_bytes(data)
    with pytest.raises(OperatorError) as error:
        broken_rules(frame("delivery_volume"), "delivery_volume")
    assert "mm_pipeline/defs/checks/suites/delivery_volume.json, line " in str(error.value)
    assert "Undo" in str(error.value) or "undo" in str(error.value)
    if encoding in ("cp1252", "mac-roman"):
        at = 1 + data[: data.index("é".encode(encoding))].count(b"\n")
        assert f"line {at}: a byte that is not UTF-8; expected JSON in UTF-8. Save the file as UTF-8" in str(
            error.value
        )


def test_a_suite_with_a_byte_order_mark(suites):
    path = suites / "delivery_volume.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert broken_rules(frame("delivery_volume"), "delivery_volume") == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"type": "expect_miracles", "kwargs": {}}, "expect_miracles not found"),
        ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "ratio", "minimum": 0}}, "minimum"),
        ({"rule": "expect_column_values_to_be_between"}, "unexpected keyword argument 'rule'"),
        ("expect_column_values_to_be_between", "must be a mapping"),
    ],
)
def test_a_rule_that_does_not_exist_is_not_left_out(year, suites, wrong, said):
    write(suites, "delivery_volume", *rules("delivery_volume"), wrong)
    with pytest.raises(OperatorError) as error:
        year.outcome_of(deliveries.volume_against_previous_year, table=RAW_FORFAITS)
    assert str(error.value).startswith("mm_pipeline/defs/checks/suites/delivery_volume.json, rule 2: ")
    assert said in str(error.value)
    assert "Undo the last change of the file." in str(error.value)


def test_a_rule_that_was_not_looked_at_is_no_outcome(monkeypatch):
    gx, _ = expectations._great_expectations()

    class Forgetful:
        def get_batch(self, **arguments):
            return SimpleNamespace(validate=lambda *args, **kwargs: SimpleNamespace(results=[]))

    monkeypatch.setattr(expectations, "_great_expectations", lambda: (gx, Forgetful()))
    with pytest.raises(RuntimeError, match="suite delivery_volume: 0 of 1 rules were looked at"):
        broken_rules(frame("delivery_volume"), "delivery_volume")
