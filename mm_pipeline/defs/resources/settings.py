"""The settings as a resource: the UI shows each with its value and what it means, and never a secret or an identifier."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, create_model

from mm_pipeline.defs.resources.engine import CHANGED_IN_LAUNCHPAD
from mm_pipeline.defs.resources.year_lock import YearLock
from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings, described

_NOT_SHOWN = {"MM_ID_KEY", "MM_LEGAL_IDS"}
"""A secret, and what may be the identifiers of persons."""


def settings_resource(
    settings: Settings, year_lock: YearLock, limits: Mapping[str, Mapping[str, float]]
) -> dg.ConfigurableResource[Settings]:
    """These settings, under the lock of the years that the run works on.

    ``limits``: variable -> the limits of all checks, of which it may change single ones.
    """

    class InstallationSettings(dg.ConfigurableResource[Settings]):
        year_lock: dg.ResourceDependency[YearLock]

        def create_resource(self, context: dg.InitResourceContext) -> Settings:
            if any(getattr(self, name) != text for name, (text, _said) in shown.items()):
                raise SettingsError(CHANGED_IN_LAUNCHPAD)
            return settings

    shown = {name: (_told(name, limits.get(name, value)), said) for name, value, said in described(settings)}
    fields: dict[str, Any] = {
        name: (str, Field(default=text, description=said)) for name, (text, said) in shown.items()
    }
    doc = "What the variables MM_* were when the program was started (docs/operating.md)."
    made = create_model("InstallationSettings", __base__=InstallationSettings, __doc__=doc, **fields)
    return made(year_lock=year_lock)


def _told(variable: str, value: object) -> str:
    if variable in _NOT_SHOWN:
        return "set" if value else "not set"
    if isinstance(value, Mapping):
        value = ", ".join(f"{name}={of}" for name, of in value.items())
    return "none" if value in ("", ()) else str(value)
