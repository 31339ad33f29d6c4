"""``provenance.json``: the code, settings and deliveries that the release was made by and from.

Only fingerprints: no row of a delivery, no number of rows, no path, no name of a machine or a person, no time.
"""

import json
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from pydantic.dataclasses import dataclass

from mm_pipeline import __version__
from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata import json_text
from mm_pipeline.release.revisions import CODE, DELIVERY, GEOGRAPHY, SETTINGS

DISTRIBUTION = "mm-pipeline"

Fingerprints = Mapping[str, Mapping[str, str]]
"""Name of a file without its folder -> ``{"sha256": …}``."""


@dataclass(frozen=True)
class Made:
    """The code, settings and files that a year was made by and from.

    ``code``: part of the program -> hash of its code. ``thresholds``: setting -> value. ``settings``: hash of all settings
    that change a figure; empty where an earlier version of the program recorded none.
    """

    deliveries: Fingerprints
    references: Fingerprints
    code: Mapping[str, str]
    thresholds: Mapping[str, int]
    settings: str = ""


MANIFEST = "manifest.json"

_PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
_PROJECT_NAME, _FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"), re.compile(r"[^/\\]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def provenance(release: Release, made: Mapping[int, Made], *, code: Mapping[str, str]) -> str:
    """The text of ``provenance.json``.

    ``made``: by year, all with the same thresholds. ``code``: part of the program that makes the series -> hash of its code.
    Raises ValueError if a fingerprint is none.
    """
    (thresholds,) = {tuple(sorted(of_year.thresholds.items())) for of_year in made.values()}
    return json_text(
        {
            "release": {**asdict(release), "date": release.date.isoformat()},
            "code": {DISTRIBUTION: __version__, **dict(sorted(code.items()))},
            "thresholds": dict(thresholds),
            "python": platform.python_version(),
            "dependencies": dependencies(),
            "years": {
                str(year): {
                    "code": dict(sorted(of_year.code.items())),
                    "deliveries": _checked(of_year.deliveries, year),
                    "references": _checked(of_year.references, year),
                    "settings": of_year.settings,
                }
                for year, of_year in sorted(made.items())
            },
        }
    )


def causes(earlier: Path, made: Mapping[int, Made]) -> dict[int, tuple[str, ...]]:
    """The causes of change by year: what differs from an ``earlier`` ``provenance.json``.

    Of delivery, geography, settings and code. Years that it does not have are left out; all, if it is missing or damaged.
    """
    try:
        content = json.loads(earlier.read_text(encoding="utf-8"))
        then = {
            int(year): Made(**of_year, thresholds=content["thresholds"]) for year, of_year in content["years"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {year: tuple(_differences(then[year], now)) for year, now in made.items() if year in then}


def _differences(then: Made, now: Made) -> Iterator[str]:
    # Earlier versions of the program did not record the manifest.
    known = {name: of for name, of in now.deliveries.items() if name != MANIFEST or MANIFEST in then.deliveries}
    if then.deliveries != known:
        yield DELIVERY
    if then.references != now.references:
        yield GEOGRAPHY
    if then.thresholds != now.thresholds or (then.settings and then.settings != now.settings):
        yield SETTINGS
    if then.code != now.code:
        yield CODE


def dependencies() -> dict[str, str]:
    """The declared run-time dependencies of the project -> installed version."""
    try:
        declared = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from a clone without being installed
        declared = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {match[0] for text in declared if "extra ==" not in text and (match := _PROJECT_NAME.match(text))}
    return {name: metadata.version(name) for name in sorted(names)}


def _checked(fingerprints: Fingerprints, year: int) -> dict[str, dict[str, str]]:
    for name, entry in fingerprints.items():
        if not (_FILE_NAME.fullmatch(name) and set(entry) == {"sha256"} and _SHA256.fullmatch(entry["sha256"])):
            raise ValueError(f"{year}: {name!r} is no name with a SHA-256 and nothing else; it is not released.")
    return {name: dict(entry) for name, entry in sorted(fingerprints.items())}
