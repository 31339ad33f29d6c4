"""The small country, built once; every test that plants a fault gets a copy."""

from pathlib import Path

import pytest

from mm_pipeline_tests.support.pipeline import settings_for
from mm_pipeline_tests.support.small_year import YEAR, SmallYear, build, deliveries


@pytest.fixture(scope="session")
def good_year(tmp_path_factory: pytest.TempPathFactory) -> SmallYear:
    """A year, and the one before it, in which all is well. Not to be changed: see ``year``."""
    settings = settings_for(tmp_path_factory.mktemp("small_year") / "data")
    for year in (YEAR - 1, YEAR):
        build(settings, year, deliveries(year))
    return SmallYear(settings)


@pytest.fixture
def year(good_year: SmallYear, tmp_path: Path) -> SmallYear:
    """A copy of the good year to plant faults in."""
    return good_year.copy(tmp_path / "data")
