"""What is known of houses beside what the billing says: geography, and the months of one amount."""

import json
from importlib import resources

import pytest
from shapely.geometry import shape

from mm_pipeline.statistic.houses import NEIGHBOURS, months_of_one_amount


def test_the_neighbours_are_those_of_the_outlines():
    """Provinces next to each other share a border; Brussels and Walloon Brabant are 3 km apart."""
    text = resources.files("mm_pipeline.reference").joinpath("provinces.geojson").read_text(encoding="utf-8")
    outlines = {feature["properties"]["code"]: shape(feature["geometry"]) for feature in json.loads(text)["features"]}
    assert set(NEIGHBOURS) == set(outlines)
    degrees = {
        (one, other): outlines[one].distance(outlines[other]) for one in outlines for other in outlines if one != other
    }
    touching = {pair for pair, apart in degrees.items() if apart < 1e-9}
    assert {(one, other) for one, others in NEIGHBOURS.items() for other in others} == touching | {
        ("04000", "20002"),
        ("20002", "04000"),
    }
    assert min(apart for pair, apart in degrees.items() if pair not in touching) == degrees["04000", "20002"]


@pytest.mark.parametrize(
    ("year", "months"),
    [(2003, range(1, 13)), (2012, range(1, 13)), (2013, range(1, 5)), (2014, range(0)), (2024, range(0))],
)
def test_mature_houses_are_paid_alike_until_april_2013(year, months):
    assert list(months_of_one_amount(year)) == list(months)
