"""No midnight while the tests run: releases have a date, and many tests compare what was made early with what came late."""

import os
import zoneinfo
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

BRUSSELS = "Europe/Brussels"
_TWO_HOURS_BEHIND = "Atlantic/Azores"
"""With the same summer time to the second."""


def keep_away(folder: Path) -> None:
    """From 22:00 on, let the Azores stand for Brussels, here and in every process that the tests start.

    ``folder``: for time zone data. Workers of pytest-xdist keep to what the first process decided.
    """
    if "PYTHONTZPATH" not in os.environ:
        is_late = datetime.now(zoneinfo.ZoneInfo(BRUSSELS)).hour >= 22
        zone = folder / "zoneinfo" / BRUSSELS
        zone.parent.mkdir(parents=True)
        zone.write_bytes(_data(_TWO_HOURS_BEHIND if is_late else BRUSSELS).read_bytes())
        os.environ["PYTHONTZPATH"] = str(zone.parents[1])
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache(only_keys=[BRUSSELS])


def brussels() -> zoneinfo.ZoneInfo:
    """The time in Brussels, at every hour."""
    with _data(BRUSSELS).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=BRUSSELS)


def _data(zone: str) -> Traversable:
    return resources.files("tzdata") / "zoneinfo" / zone
