"""What is known of houses beside what the billing says: geography, and the months of one amount."""

import json
from decimal import Decimal
from importlib import resources

import ibis
import pyarrow as pa
import pytest
from shapely.geometry import shape

from mm_pipeline.statistic.houses import NEIGHBOURS, _unit_amount, months_of_one_amount


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


@pytest.mark.parametrize(
    ("amount", "quantity", "unit"),
    [
        ("0.10", 16, 63),  # 0.00625: halves away from zero
        ("0.30", 48, 63),  # the same, which a binary fraction would round down
        ("-0.30", -48, 63),
        ("-0.30", 48, -63),
        ("55.53", 3, 185_100),
        ("0.00", 1, 0),
        ("9999999999.99", 1, 99_999_999_999_900),
        ("18.50", 0, None),
    ],
)
def test_the_unit_amount_is_exact(amount, quantity, unit):
    """In 1/10 000 euro."""
    lines = pa.table(
        {"amount_eur": pa.array([Decimal(amount)], pa.decimal128(12, 2)), "quantity": pa.array([quantity], pa.int32())}
    )
    table = ibis.memtable(lines)
    found = ibis.duckdb.connect().to_pyarrow(table.select(unit=_unit_amount(table)))["unit"].to_pylist()
    assert found == [unit]
