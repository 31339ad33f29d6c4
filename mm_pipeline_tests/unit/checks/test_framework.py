"""States, and how Dagster gets to know them."""

import dagster as dg
import pytest

from mm_pipeline.checks.framework import (
    FAILED,
    NOT_APPLICABLE,
    PASSED,
    WARNING,
    failed,
    not_applicable,
    passed,
    percent,
    result,
    share_of_people,
    some_of,
    warning,
)


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
    ("count", "share", "some"),
    [
        (0, "0.00 %", "0 people (0.00 %)"),
        (1, "few", "1 to 4 people"),
        (4, "few", "1 to 4 people"),
        (5, "2.50 %", "5 people (2.50 %)"),
        (195, "97.50 %", "195 people (97.50 %)"),
        (196, "all but a few", "All people but a few"),
        (199, "all but a few", "All people but a few"),
        (200, "100.00 %", "200 people (100.00 %)"),
    ],
)
def test_a_share_tells_no_small_number(count, share, some):
    assert share_of_people(count, 200) == share
    assert some_of(count, 200, "people") == some


@pytest.mark.parametrize(
    ("count", "total", "share", "some"),
    [
        (0, 3, "none", "No people"),
        (3, 3, "all", "All people"),
        (1, 3, "few", "1 to 4 people"),
        (0, 1, "none", "No people"),
        (4, 4, "all", "All people"),
        (0, 5, "0.00 %", "0 people (0.00 %)"),
        (5, 5, "100.00 %", "5 people (100.00 %)"),
    ],
)
def test_none_and_all_of_a_few_people(count: int, total: int, share: str, some: str) -> None:
    """Of three people none is not "all but a few"; and neither number is told."""
    assert share_of_people(count, total) == share
    assert some_of(count, total, "people") == some
