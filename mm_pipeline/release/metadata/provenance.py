"""``provenance.json``: by which code, with which settings and from which deliveries the release was made.

Fingerprints only: no row of a delivery, no number of rows, no path, no name of a machine or a person, no time.
"""

import platform
import re
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mm_pipeline import __version__
from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata import json_text

DISTRIBUTION = "mm-pipeline"

Fingerprints = Mapping[int, Mapping[str, Mapping[str, str]]]
"""Year -> name (a dataset, or a file without its folder) -> ``{"sha256": …}``."""

_PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
_PROJECT_NAME, _FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"), re.compile(r"[^/\\]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def provenance(
    release: Release,
    *,
    code_versions: Mapping[str, str],
    thresholds: Mapping[str, int],
    deliveries: Fingerprints,
    references: Fingerprints,
) -> str:
    """The text of ``provenance.json``.

    ``code_versions``: group of assets -> hash of its code. ``thresholds``: setting -> value. ``deliveries`` and
    ``references``: fingerprints of what each year was made from. ValueError if these hold anything but fingerprints.
    """
    return json_text(
        {
            "release": {
                "number": release.number,
                "date": release.date.isoformat(),
                "years": release.years,
                "synthetic": release.synthetic,
            },
            "code": {DISTRIBUTION: __version__, **dict(sorted(code_versions.items()))},
            "thresholds": dict(sorted(thresholds.items())),
            "python": platform.python_version(),
            "dependencies": dependencies(),
            "deliveries": _checked(deliveries),
            "references": _checked(references),
        }
    )


def dependencies() -> dict[str, str]:
    """The run-time dependencies that the project declares, and the versions that are installed."""
    try:
        declared = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from a clone without being installed
        declared = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {match[0] for text in declared if "extra ==" not in text and (match := _PROJECT_NAME.match(text))}
    return {name: metadata.version(name) for name in sorted(names)}


def _checked(fingerprints: Fingerprints) -> dict[str, Any]:
    for year, of_year in fingerprints.items():
        for name, entry in of_year.items():
            if not (_FILE_NAME.fullmatch(name) and set(entry) == {"sha256"} and _SHA256.fullmatch(entry["sha256"])):
                raise ValueError(f"{year}: {name!r} is no name with a SHA-256 and nothing else; it is not released.")
    return {
        str(year): {name: dict(entry) for name, entry in sorted(of_year.items())}
        for year, of_year in sorted(fingerprints.items())
    }
