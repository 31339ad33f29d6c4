"""The little country, built once; every test that plants a fault gets a copy."""

from pathlib import Path

import pytest

from mm_pipeline_tests.checks.little_year import YEAR, LittleYear, build, deliveries
from mm_pipeline_tests.harness import settings_for


@pytest.fixture(scope="session")
def good_year(tmp_path_factory: pytest.TempPathFactory) -> LittleYear:
    """A year, and the one before it, in which all is well. Not to be changed: see ``year``."""
    settings = settings_for(tmp_path_factory.mktemp("little") / "data")
    for year in (YEAR - 1, YEAR):
        build(settings, year, deliveries(year))
    return LittleYear(settings)


@pytest.fixture
def year(good_year: LittleYear, tmp_path: Path) -> LittleYear:
    """A copy of the good year to plant faults in."""
    return good_year.copy(tmp_path / "data")
