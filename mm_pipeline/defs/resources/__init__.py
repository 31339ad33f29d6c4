"""The resources: settings, the lock of the years of a run, the engine, and the lake that loads and writes tables."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.defs.resources.lake import lake
from mm_pipeline.defs.resources.settings import settings_resource
from mm_pipeline.defs.resources.year_lock import YearLock
from mm_pipeline.settings import Settings


def resources(settings: Settings, limits: Mapping[str, Mapping[str, float]] = MappingProxyType({})) -> dict[str, Any]:
    """The resources by their keys; the UI shows their fields under *Resources*. ``limits``: of :func:`settings_resource`."""
    year_lock = YearLock(data_dir=str(settings.data_dir))
    return {
        "settings": settings_resource(settings, year_lock, limits),
        "year_lock": year_lock,
        "engine": DuckDBEngine.of(settings),
        "lake": lake,
    }
