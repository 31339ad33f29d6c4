"""Dagster's home in the data folder: run history, event log, schedule state."""

import os
from importlib import resources
from pathlib import Path

import dagster as dg

from mm_pipeline.errors import SettingsError
from mm_pipeline.files import permissions
from mm_pipeline.files.atomic import replace_text
from mm_pipeline.files.locks import locked
from mm_pipeline.files.safe_names import short
from mm_pipeline.settings import DECODED, Settings

CODE_LOCATION = "mm_pipeline.definitions"
"""Name of the code location in ``mm-pipeline ui``: the module that Dagster loads."""


def dagster_home(settings: Settings) -> Path:
    """The folder ``data/dagster`` with its ``dagster.yaml``, made on first use. An existing file is not changed.

    Mode 0700: it holds no persons, but nobody else need read it. An operator's own ``DAGSTER_HOME`` takes precedence.
    """
    own = os.environ.get("DAGSTER_HOME")
    if own and DECODED.search(str(Path(own).resolve())):
        raise SettingsError(
            f"DAGSTER_HOME is {short(own)}; expected a folder whose full path has no % before two hexadecimal digits (such "
            "as %20): the history would be kept in another folder. Rename it or choose another one."
        )
    home = permissions.folder(Path(own or settings.data_dir / "dagster"))
    if not own:
        permissions.close(home)
    target = home / "dagster.yaml"
    if not target.exists():
        text = (resources.files("mm_pipeline") / "dagster.yaml").read_text(encoding="utf-8")
        replace_text(target, text, mode=0o644)  # another process that starts now must not read half of it
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # what a run intends to do, in one transaction
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Dagster's instance in ``dagster_home``. Its tables are made on first use, by one process at a time.

    Two processes that make them together in SQLite both insert their version, and then nothing can open them any more.
    """
    with locked(dagster_home(settings) / ".lock"):
        return dg.DagsterInstance.get()
