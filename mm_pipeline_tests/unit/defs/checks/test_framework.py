"""States, and how Dagster gets to know them."""

import dagster as dg
import pytest

from mm_pipeline.defs.checks.framework import (
    failed,
    not_applicable,
    passed,
    percent,
    result,
    share_of_people,
    some_of,
    warning,
)
from mm_pipeline.disclosure.small_numbers import rounded, told
from mm_pipeline.operations.status import FAILED, NOT_APPLICABLE, PASSED, WARNING


@pytest.mark.parametrize(
    ("outcome", "state", "is_pass", "severity", "text"),
    [
        (passed("Well."), PASSED, True, dg.AssetCheckSeverity.WARN, "Well."),
        (warning("Odd."), WARNING, False, dg.AssetCheckSeverity.WARN, "Odd."),
        (failed("Wrong."), FAILED, False, dg.AssetCheckSeverity.ERROR, "Wrong."),
        (not_applicable("too early."), NOT_APPLICABLE, True, dg.AssetCheckSeverity.WARN, "Not applicable: too early."),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_dagster_is_told(outcome, state, is_pass, severity, text):
    told = result("raw_dmg", "volume", outcome)
    assert (told.asset_key, told.check_name) == (dg.AssetKey("raw_dmg"), "volume")
    assert (told.passed, told.severity, told.description) == (is_pass, severity, text)
    assert told.metadata["outcome"].value == state


def test_metadata_is_kept_beside_the_state():
    told = result("raw_dmg", "volume", warning("Odd.", rows=7))
    assert {name: value.value for name, value in told.metadata.items()} == {"outcome": WARNING, "rows": 7}


def test_percent():
    assert [percent(share) for share in (0, 0.00004, 0.0123, 1)] == ["0.00 %", "under 0.01 %", "1.23 %", "100.00 %"]


@pytest.mark.parametrize(
    ("count", "whole"),
    [(0, 0), (49, 0), (50, 100), (149, 100), (99_949, 99_900), (207_647, 208_000), (11_699_999, 11_700_000)],
)
def test_a_number_of_people_is_told_in_round_numbers(count, whole):
    assert rounded(count) == whole
    assert told(count) == (whole or "fewer than 50")


@pytest.mark.parametrize(
    ("count", "share"),
    [(0, "under 1.00 %"), (49, "under 1.00 %"), (50, "2.00 %"), (4_970, "100.00 %"), (5_000, "100.00 %")],
)
def test_a_share_tells_no_more_than_round_numbers(count, share):
    assert share_of_people(count, 5_000) == share


@pytest.mark.parametrize("count", [0, 4, 900, 949])
def test_a_share_of_few_people_is_not_told(count):
    assert share_of_people(count, 949) == "some"


@pytest.mark.parametrize(
    ("count", "total", "threshold", "some"),
    [
        (1, 200, 5, "1 to 4 people"),
        (4, 200, 5, "1 to 4 people"),
        (5, 200, 5, "5 people (2.50 %)"),
        (9, 200, 10, "1 to 9 people"),
        (10, 200, 10, "10 people (5.00 %)"),
        (5, 0, 5, "5 people"),
        (249, 200, 5, "249 people (100.00 %)"),
    ],
)
def test_some_of_the_people(count, total, threshold, some):
    assert some_of(count, total, "people", threshold) == some
