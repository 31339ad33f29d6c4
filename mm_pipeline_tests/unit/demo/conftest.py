"""Deliveries that many tests look at: made once."""

import pytest

from mm_pipeline.demo import synthesize
from mm_pipeline_tests.support.demo_delivery import SCALE, Delivery, areas_of

#: The years of ``deliveries``: the first, those with published rates by region, either side of a merger, and
#: that in which houses begin to be paid differently.
YEARS = (2003, 2013, 2014, 2018, 2019, 2020, 2024)


@pytest.fixture(scope="package")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Delivery]:
    """A small share of the country in some years."""
    raw = tmp_path_factory.mktemp("raw")
    synthesize(raw, YEARS, scale=SCALE, seed=1, areas=areas_of)
    return {year: Delivery(raw / str(year)) for year in YEARS}


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """A village: some five hundred people."""
    raw = tmp_path_factory.mktemp("tiny")
    synthesize(raw, [2019], scale=0.00005, seed=1, areas=areas_of)
    return Delivery(raw / "2019")
