"""Requirements of Spark on this machine. Nothing of PySpark is imported here, as it may be missing."""

import os
import re
import subprocess

from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import Settings

JAVA = 17
"""Oldest version that PySpark 4 runs on."""

LEAST_MEMORY = 512 * 2**20
"""Bytes; with less, a Java process of Spark does not start."""

_OR_DUCKDB = "or unset MM_ENGINE to compute with DuckDB."


def assert_met(settings: Settings) -> None:
    """Raise :class:`SettingsError`, which says what to do, unless there are Java and memory for Spark."""
    if size(settings.memory_limit) < LEAST_MEMORY:
        raise SettingsError(
            f"MM_MEMORY_LIMIT is {settings.memory_limit!r}; Spark needs at least 512MiB. Raise it, {_OR_DUCKDB}"
        )
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"  # the one that PySpark starts
    advice = f"Install Java {JAVA} (Debian: openjdk-{JAVA}-jre-headless) or point JAVA_HOME to it, {_OR_DUCKDB}"
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        raise SettingsError(f"MM_ENGINE is spark, and {java} cannot be run. {advice}") from None
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        raise SettingsError(
            f"MM_ENGINE is spark, and {java} is version {version[1] if version else 'unknown'}. {advice}"
        )


def size(limit: str) -> int:
    """``MM_MEMORY_LIMIT`` in bytes, parsed as DuckDB does: ``GB`` and ``G`` are 10^9, ``GiB`` is 2^30."""
    number, unit, binary = re.fullmatch(r"([\d.]+) ?([KMGT])(i?)B?", limit, re.IGNORECASE).groups()  # type: ignore[union-attr]
    return int(float(number) * (1024 if binary else 1000) ** (1 + "KMGT".index(unit.upper())))
