"""One threshold, ``MM_DISCLOSURE_THRESHOLD``, for all that is told: just below it and at it, at 5 and at 10."""

from typing import NamedTuple

import dagster as dg
import pytest

from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.checks import capitation
from mm_pipeline.dimensions import KEY
from mm_pipeline.schemas import HOUSES, PROTECTED_RATES, SECTOR_RATES
from mm_pipeline_tests.support.pipeline import settings_for
from mm_pipeline_tests.support.small_year import YEAR, SmallYear, build, deliveries, forfait


class Planted(NamedTuple):
    """A year with a ``number`` of houses, of persons at house-0, and of months that house-1 bills twice."""

    year: SmallYear
    number: int
    is_small: bool


@pytest.fixture(scope="module", params=[(5, 4), (5, 5), (10, 9), (10, 10)], ids=lambda of: f"{of[1]} of {of[0]}")
def planted(request, tmp_path_factory):
    threshold, number = request.param
    settings = settings_for(tmp_path_factory.mktemp("planted") / "data", disclosure_threshold=threshold)
    rows = deliveries(YEAR)
    patients = dict.fromkeys(row["patient_id"] for row in rows["forfaits"] if row["house_id"] == "house-0")
    moved = list(patients)[number:]
    for row in rows["forfaits"] + rows["dmg"]:
        if row["patient_id"] in moved:
            row |= {name: "house-2" for name in row if row[name] == "house-0"}
    twice = [row for row in rows["forfaits"] if row["house_id"] == "house-1"][:number]
    further = [forfait(f"pseudonym-{11 * house:04}", f"house-{house}", YEAR, 1) for house in range(4, number)]
    build(settings, YEAR, rows | {"forfaits": rows["forfaits"] + twice + further})
    return Planted(SmallYear(settings), number, number < threshold)


def test_a_check(planted):
    year, number, is_small = planted
    outcome = year.outcome_of(capitation.one_forfait_a_month)
    said = f"1 to {number}" if is_small else number
    assert outcome.metadata["found"] == said
    assert outcome.text.startswith(f"{said} months of a patient at a house ")


def test_the_metadata_of_an_asset(planted):
    year, number, is_small = planted
    job = build_definitions(settings=year.settings).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        run = job.execute_in_process(
            partition_key=str(YEAR), asset_selection=[dg.AssetKey("houses")], instance=instance
        )
    (made,) = run.asset_materializations_for_node("houses")
    assert made.metadata["beginner"].value == ("not shown, one is a small number" if is_small else number)
    least = "five" if year.settings.disclosure_threshold == 5 else 10
    assert (f"(no status with {least} houses yet)" in made.metadata["forfait"].value) == is_small


def test_the_table_of_houses(planted):
    year, number, is_small = planted
    (row,) = [row for row in year.rows(HOUSES) if row["house_id"] == "house-0"]
    assert row["persons"] == number
    hidden = {name for name in ("registered", "attributed", "zone", "residents", "far") if row[name] is None}
    assert len(hidden) == (5 if is_small else 0)


def test_the_release(planted):
    year, number, is_small = planted
    patients = {tuple(row[name] for name in KEY): row["patients"] for row in year.rows(SECTOR_RATES)}
    cells = [row for row in year.rows(PROTECTED_RATES) if patients[tuple(row[name] for name in KEY)] == number]
    assert cells
    assert any(row["patients"] == number for row in cells) == (not is_small)
