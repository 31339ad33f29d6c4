"""The one place that reads the clock, so that a test (or a rehearsal of Q3) can stand in any year."""

from datetime import datetime
from zoneinfo import ZoneInfo

BRUSSELS = ZoneInfo("Europe/Brussels")

FIRST_YEAR = 2003
"""First year of the statistic (source fiche: available from 2003)."""

LAG_YEARS = 2
"""In calendar year Y the newest year of the statistic is Y - 2 (source fiche: added each year in Q3)."""


def now() -> datetime:
    """The current time in Belgium."""
    return datetime.now(BRUSSELS)


def newest_year() -> int:
    """The newest year that the statistic covers today: t - 2."""
    return now().year - LAG_YEARS


def all_years() -> range:
    """2003 ... t - 2."""
    return range(FIRST_YEAR, newest_year() + 1)
