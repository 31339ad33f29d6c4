"""The settings as a resource: the UI shows their values, and never a secret or an identifier."""

import dataclasses

import dagster as dg

from mm_pipeline.defs.resources.engine import CHANGED_IN_LAUNCHPAD
from mm_pipeline.defs.resources.year_lock import YearLock
from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings

_NOT_SHOWN = {"legal_ids"}
"""May be those of persons."""


def settings_resource(settings: Settings, year_lock: YearLock) -> dg.ConfigurableResource[Settings]:
    """These settings, under the lock of the years that the run works on."""
    shown = {
        field.name: "none" if (value := getattr(settings, field.name)) in ("", (), {}) else str(value)
        for field in dataclasses.fields(settings)
        if field.repr and field.name not in _NOT_SHOWN
    }

    class InstallationSettings(dg.ConfigurableResource[Settings]):
        """What the variables MM_* were when the program was started (docs/operating.md)."""

        values: dict[str, str] = shown
        year_lock: dg.ResourceDependency[YearLock]

        def create_resource(self, context: dg.InitResourceContext) -> Settings:
            if self.values != shown:
                raise SettingsError(CHANGED_IN_LAUNCHPAD)
            return settings

    return InstallationSettings(year_lock=year_lock)
