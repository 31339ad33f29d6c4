"""The settings as a resource: the UI shows their values, and never a secret or an identifier."""

import dataclasses

import dagster as dg

from mm_pipeline.defs.resources.year_lock import YearLock
from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings

_NOT_SHOWN = {"id_key", "legal_ids"}


def settings_resource(settings: Settings, year_lock: YearLock) -> dg.ConfigurableResource[Settings]:
    """These settings, under the lock of the years that the run works on."""
    shown = {
        field.name: str(getattr(settings, field.name) or "none")
        for field in dataclasses.fields(settings)
        if field.name not in _NOT_SHOWN
    }

    class InstallationSettings(dg.ConfigurableResource[Settings]):
        """What the variables MM_* were when the program was started (docs/operating.md)."""

        values: dict[str, str] = shown
        year_lock: dg.ResourceDependency[YearLock]

        def create_resource(self, context: dg.InitResourceContext) -> Settings:
            if self.values != shown:  # the sensors and the command line would not know of it
                raise SettingsError(
                    "The settings were changed in the launchpad; expected those that the program was started with. Nothing "
                    "was written. Set the variable MM_... where the UI is started, and start it again."
                )
            return settings

    return InstallationSettings(year_lock=year_lock)
