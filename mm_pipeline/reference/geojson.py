"""GeoJSON files of areas: those of a folder, their features, and the properties of a feature.

Here: what the tables of sectors (``sectors``) and the outlines (``outlines``) share. Not here: what a feature stands for.
"""

import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.files import safe_names
from mm_pipeline.files.safe_names import short
from mm_pipeline.reference.refnis import decoded, not_read, paths_in, read_bytes, refusal, too_large

FILE_NAME = re.compile(r"(sectors|municipalities)_([0-9]{4})\.geojson(\.zip)?")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MUNICIPALITY = re.compile(r"[0-9]{5}")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)

_LIKE = {
    "sectors": re.compile(r"sect(or|eur|_|[0-9])|statsect|sh_statbel|scbel", re.IGNORECASE),
    "municipalities": re.compile(r"municipalit|commune|gemeente|gemeinde|munty", re.IGNORECASE),
}
_GEOGRAPHIC = re.compile(
    r"\.(geo)?json(\.txt)?$|\.(topojson|geojsonl|gpkg|shp|gml|kml|fgb|parquet|sqlite|dbf|csv|xlsx?)$"
    r"|\.(zip|gz|7z|rar|tar|tgz|bz2|xz)$|^[^.]+$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?<![0-9])(?:0101)?((?:19|20)[0-9]{2})(?:[0-9]{4})?(?![0-9])")

#: Statbel's names for the code of the municipality, also in lower case; until about 2024 with a year: ``CNIS5_2020``.
MUNICIPALITY_CODE = ("CD_MUNTY_REFNIS", "CNIS5_<YYYY>")

#: Largest GeoJSON file in bytes, unpacked: twenty times the sectors of 2021.
LARGEST = 1 << 29

AGAIN = "Take the table again from the open data of Statbel, or remove the file to do without it."


def files_by_year(reference_dir: Path, kind: str, until: int = 9999) -> dict[int, Path]:
    """The files ``<kind>_<YYYY>.geojson[.zip]`` by year, up to ``until``. Raises ReferenceDataError if a year has both."""
    found: dict[int, Path] = {}
    for path in paths_in(reference_dir):
        match = FILE_NAME.fullmatch(path.name)
        if match is None or match[1] != kind or int(match[2]) > until:
            continue
        other = found.setdefault(int(match[2]), path)
        if other is not path:
            expected = "one sector table a year" if kind == "sectors" else f"one file of {kind} a year"
            raise refusal(path, "", f"{other.name} beside it", expected, "Remove one of the two files.")
    return found


def misnamed(reference_dir: Path, kind: str, until: int = 9999) -> Iterator[tuple[Path, ReferenceDataError]]:
    """Files probably meant as ``<kind>_<YYYY>.geojson[.zip]``, under names that are not read, each with its error.

    One whose name has a year is left out if the right file of that year is there, or if the year is after ``until``.
    """
    right = files_by_year(reference_dir, kind)
    for path in paths_in(reference_dir):
        is_like = _LIKE[kind].search(path.name) and _GEOGRAPHIC.search(path.name) and path.is_file()
        if not is_like or path.name.startswith(".") or FILE_NAME.fullmatch(path.name):
            continue
        years = [int(year) for year in _YEAR.findall(path.name)]
        if not years or (years[-1] <= until and years[-1] not in right):
            todo = "Give it that name (data/reference/README.md), or move it out of the folder."
            yield path, not_read(path, kind, f"{kind}_<YYYY>.geojson or .geojson.zip, in WGS84", todo)


@dataclass(frozen=True)
class Feature:
    """A feature of a file: its number, from 1, its properties, and its GeoJSON geometry if that was asked for."""

    path: Path
    number: int
    properties: dict[str, Any]
    geometry: Any

    def text(self, names: tuple[str, ...]) -> str:
        """The text of the first of these properties that there is, in upper or lower case; empty where there is none.

        ``<YYYY>`` in a name stands for the year of the file or, where there is only one other year, for that.
        """
        match = FILE_NAME.fullmatch(self.path.name)
        for key in _spelt(tuple(self.properties), names, match[2] if match else ""):
            if (value := self.properties[key]) is not None:
                # A code that went through a column of numbers is a float.
                is_whole = isinstance(value, float) and value.is_integer()
                return str(int(value) if is_whole else value).strip()
        return ""

    def required(self, names: tuple[str, ...]) -> str:
        """The text of the first of these properties that there is. Raises ReferenceDataError where there is none."""
        if value := self.text(names):
            return value
        found = f"no value (properties: {safe_names.listed(sorted(self.properties)) or 'none'})"
        expected = f"one of {', '.join(spelling for name in names for spelling in (name, name.lower()))}"
        raise self.wrong(names[0], found, expected, f"Rename the property if another one holds it. {AGAIN}")

    def municipality(self, whose: str = "") -> str:
        """The code of the municipality. Raises ReferenceDataError where that is not five digits."""
        code = self.required(MUNICIPALITY_CODE)
        if not _MUNICIPALITY.fullmatch(code):
            raise self.wrong(MUNICIPALITY_CODE[0], short(code), "a code of five digits", whose=whose)
        return code

    def twice(self, name: str, area: str) -> ReferenceDataError:
        """The error of an area that the file has twice."""
        return self.wrong(name, f"{area} for the second time", f"each {area.split()[0]} once")

    def wrong(self, name: str, found: str, expected: str, todo: str = AGAIN, whose: str = "") -> ReferenceDataError:
        """The error of a property."""
        return refusal(self.path, f"feature {self.number}{whose}, property {name}", found, expected, todo)


def features(path: Path, geometry: bool = False) -> list[Feature]:
    """The features of a GeoJSON file, zipped or not. Without ``geometry``, geometries are None.

    Raises ReferenceDataError on a broken archive, another encoding, broken JSON, or no features.
    """
    data = _unzipped(path) if path.suffix == ".zip" else read_bytes(path, LARGEST)
    text = decoded(path, data)
    try:
        # Geometries are nine tenths of the file: dropping each as soon as it is parsed keeps memory and time low.
        content = json.loads(text, object_hook=None if geometry else _without_geometry)
        if _SURROGATE.search(data):  # in pairs they are legal; alone they are no text, and cannot be written
            json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise refusal(path, where, f"broken JSON ({error.msg})", "GeoJSON", AGAIN) from error
    except UnicodeEncodeError:
        half = "half a character (a lone surrogate such as \\ud800)"
        raise refusal(path, "", half, "GeoJSON in Unicode", AGAIN) from None
    except (RecursionError, ValueError) as error:  # the latter: a whole number of thousands of digits
        what = "JSON nested too deeply" if isinstance(error, RecursionError) else "a number that is too long"
        raise refusal(path, "", what, "GeoJSON", AGAIN) from None
    found = content.get("features") if isinstance(content, dict) else None
    if not isinstance(found, list) or not found:
        expected = "a GeoJSON FeatureCollection, one feature an area"
        raise refusal(path, "member 'features'", "no features", expected, AGAIN)
    members = (member if isinstance(member, dict) else {} for member in found)
    each = ((member.get("properties"), member.get("geometry")) for member in members)
    return [Feature(path, n, own if isinstance(own, dict) else {}, shape) for n, (own, shape) in enumerate(each, 1)]


def _without_geometry(member: dict[str, Any]) -> dict[str, Any] | None:
    return None if "coordinates" in member else member


def _unzipped(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, LARGEST))) as archive:
            # What a Mac adds to an archive it makes is no content.
            names = (name for name in archive.namelist() if not name.startswith("__MACOSX/"))
            inside = [name for name in names if name.endswith((".geojson", ".json"))]
            if len(inside) != 1:
                raise refusal(path, "", f"{len(inside)} GeoJSON files inside", "exactly one", AGAIN)
            if archive.getinfo(inside[0]).file_size > LARGEST:
                raise too_large(path, LARGEST, "unpacked")
            with archive.open(inside[0]) as member:
                return safe_names.at_most(member, LARGEST)
    except safe_names.TooLargeError:
        raise too_large(path, LARGEST, "unpacked") from None
    # RuntimeError: an encrypted member; NotImplementedError (its subclass): an unknown compression; the others: what the
    # compressions and a directory that is not one come to.
    except (*_BROKEN, OSError, EOFError, RuntimeError, ValueError) as error:
        found = f"a broken archive ({safe_names.shown(str(error), 100)})"
        raise refusal(path, "", found, "a zip file with one GeoJSON", AGAIN) from error


@lru_cache(maxsize=1000)  # of a hostile file each feature may have other properties
def _spelt(keys: tuple[str, ...], names: tuple[str, ...], year: str) -> list[str]:
    """The keys that match these names, in the order of the names. Cached, as the features of a file have the same keys."""
    found = []
    for name in names:
        pattern = re.compile(name.replace("<YYYY>", "[0-9]{4}"), re.IGNORECASE)
        every = [key for key in keys if pattern.fullmatch(key)]
        own = [key for key in every if key.upper() == name.replace("<YYYY>", year)]
        found += own or (every if len(every) == 1 else [])
    return found
