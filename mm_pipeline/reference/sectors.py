"""The table of statistical sectors: codes, municipalities and names, from Statbel's open data.

Here: finding the table of a year and reading its properties, and the reading of GeoJSON files that ``outlines`` shares.
Not here: polygons (nothing of the statistic needs them; the map's are in ``outlines``), and which sectors are areas of a
year (``areas``).

Source of the rules: Statbel's statistical sectors, one GeoJSON a year with Statbel's own property names. The
municipality of a sector is its own property: since the mergers of 2019 a sector keeps its code when its municipality
gets a new one, so the first five characters of the code are wrong for 839 sectors of the table of 2021.
"""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.reference.refnis import not_utf8, read_bytes, refusal

_FILE_NAME = re.compile(r"(sectors|municipalities)_([0-9]{4})\.geojson(\.zip)?")
_MUNICIPALITY = re.compile(r"[0-9]{5}")

# As written in 2021, then as in other years; each also in lower case, as Statbel writes it there.
_SECTOR_CODE = ("CD_SECTOR_REFNIS", "CD_SECTOR")
MUNICIPALITY_CODE = ("CD_MUNTY_REFNIS",)
_NAMES = ("TX_SECTOR_DESCR_FR", "TX_SECTOR_DESCR_NL", "TX_SECTOR_DESCR_DE")

#: The end of the code that stands for "somewhere in this municipality": people have it, places do not.
UNKNOWN_SUFFIX = "ZZZZ"

AGAIN = "Take the table again from the open data of Statbel, or remove the file to do without it."


class Sector(NamedTuple):
    """One statistical sector. A name is empty only where the table has none in any language."""

    code: str
    municipality_code: str
    name_fr: str
    name_nl: str
    name_de: str


@dataclass(frozen=True)
class SectorTable:
    """The sectors as one file has them; ``year`` is the year in its name."""

    path: Path
    year: int
    sectors: list[Sector]


def file_for(reference_dir: Path, year: int) -> Path | None:
    """The newest ``sectors_<YYYY>.geojson`` or ``.geojson.zip`` that is not after the year, or None.

    Raises ReferenceDataError where that year has both: they may differ, and figures would depend on the choice.
    """
    found = files_by_year(reference_dir, "sectors", year)
    return found[max(found)] if found else None


def files_by_year(reference_dir: Path, kind: str, until: int = 9999) -> dict[int, Path]:
    """The files ``<kind>_<YYYY>.geojson[.zip]`` of a folder, by their years, as far as those are not after ``until``.

    Raises ReferenceDataError where one of these years has both forms.
    """
    found: dict[int, Path] = {}
    for path in sorted(reference_dir.iterdir()) if reference_dir.is_dir() else ():
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or match[1] != kind or int(match[2]) > until:
            continue
        other = found.setdefault(int(match[2]), path)
        if other is not path:
            expected = "one sector table a year" if kind == "sectors" else f"one file of {kind} a year"
            raise refusal(path, "", f"{other.name} beside it", expected, "Remove one of the two files.")
    return found


def table_for(reference_dir: Path, year: int) -> SectorTable | None:
    """The sector table of a year: the newest that is not after it, or None where there is none.

    Raises ReferenceDataError, with file, feature and property, on a broken archive, broken JSON, a file without
    features, a missing or malformed code, or a code that comes twice. ``<NIS5>ZZZZ`` rows are left out.
    """
    path = file_for(reference_dir, year)
    return None if path is None else read_sectors(path)


def read_sectors(path: Path) -> SectorTable:
    """Read one sector table; its name gives its year. Errors as in ``table_for``."""
    match = _FILE_NAME.fullmatch(path.name)
    if match is None or match[1] != "sectors":
        raise refusal(path, "", f"the name {path.name}", "sectors_<YYYY>.geojson[.zip]", "Rename the file.")
    return SectorTable(path, int(match[2]), [sector for _, sector, _ in each_sector(path)])


def each_sector(path: Path, geometry: bool = False) -> Iterator[tuple[int, Sector, Any]]:
    """The sectors of a file: the number of the feature, the sector, and its GeoJSON geometry if that is asked for.

    ``<NIS5>ZZZZ`` rows are left out. Errors as in ``table_for``.
    """
    seen: set[str] = set()
    for number, feature in enumerate(features(path, geometry), start=1):
        sector = _sector(path, number, properties_of(feature))
        if sector.code.endswith(UNKNOWN_SUFFIX):
            continue
        if sector.code in seen:
            raise twice(path, number, _SECTOR_CODE[0], f"sector {sector.code}")
        seen.add(sector.code)
        yield number, sector, feature.get("geometry")


def _sector(path: Path, number: int, properties: dict[str, Any]) -> Sector:
    code = _required(path, number, properties, _SECTOR_CODE)
    if len(code) != 9:
        raise refusal(
            path, f"feature {number}, property {_SECTOR_CODE[0]}", repr(code), "a code of nine characters", AGAIN
        )
    municipality = municipality_of(path, number, properties, f" (sector {code})")
    names = [_text(properties, (name,)) for name in _NAMES]
    # An empty name takes another language's: every sector has a label in every language.
    spare = next(filter(None, names), "")
    return Sector(code, municipality, *(name or spare for name in names))


def municipality_of(path: Path, number: int, properties: dict[str, Any], whose: str = "") -> str:
    """The municipality that a feature names. Raises ReferenceDataError where that is no code of five digits."""
    code = _required(path, number, properties, MUNICIPALITY_CODE)
    if not _MUNICIPALITY.fullmatch(code):
        where = f"feature {number}{whose}, property {MUNICIPALITY_CODE[0]}"
        raise refusal(path, where, repr(code), "a code of five digits", AGAIN)
    return code


def twice(path: Path, number: int, name: str, area: str) -> ReferenceDataError:
    """The error of an area that a file has already."""
    expected = f"each {area.split()[0]} once"
    return refusal(path, f"feature {number}, property {name}", f"{area} for the second time", expected, AGAIN)


def properties_of(feature: Any) -> dict[str, Any]:
    """The properties of a GeoJSON feature; none where there is no object."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties if isinstance(properties, dict) else {}


def _required(path: Path, number: int, properties: dict[str, Any], names: tuple[str, ...]) -> str:
    value = _text(properties, names)
    if not value:
        raise refusal(
            path,
            f"feature {number}, property {names[0]}",
            f"no value (properties: {', '.join(sorted(properties)[:10]) or 'none'})",
            f"one of {', '.join(spelling for name in names for spelling in (name, name.lower()))}",
            AGAIN,
        )
    return value


def _text(properties: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = properties.get(name, properties.get(name.lower()))
        if value is not None:
            return str(value).strip()
    return ""


def features(path: Path, geometry: bool = False) -> list[Any]:
    """The features of a GeoJSON file, in a zip or not; geometries are None where they are not asked for.

    Raises ReferenceDataError on a broken archive, another encoding, broken JSON, or no features.
    """
    data = _unzipped(path) if path.suffix == ".zip" else read_bytes(path)
    try:
        # Geometries are nine tenths of the file: dropping each as soon as it is parsed keeps memory and time low.
        hook = None if geometry else _without_geometry
        content = json.loads(data.decode("utf-8-sig"), object_hook=hook)
    except json.JSONDecodeError as error:
        raise refusal(
            path, f"line {error.lineno}, column {error.colno}", f"broken JSON ({error.msg})", "GeoJSON", AGAIN
        ) from error
    except UnicodeDecodeError as error:
        raise not_utf8(path, data, error) from error
    found = content.get("features") if isinstance(content, dict) else None
    if not isinstance(found, list) or not found:
        expected = "a GeoJSON FeatureCollection, one feature an area"
        raise refusal(path, "member 'features'", "no features", expected, AGAIN)
    return found


def _without_geometry(member: dict[str, Any]) -> dict[str, Any] | None:
    return None if "coordinates" in member else member


def _unzipped(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
            # What a Mac adds to an archive it makes is no content.
            inside = [
                name
                for name in archive.namelist()
                if name.endswith((".geojson", ".json")) and not name.startswith("__MACOSX/")
            ]
            if len(inside) != 1:
                raise refusal(path, "", f"{len(inside)} GeoJSON files inside", "exactly one", AGAIN)
            return archive.read(inside[0])
    # RuntimeError: an encrypted member; NotImplementedError (its subclass): an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise refusal(path, "", f"a broken archive ({error})", "a zip file with one GeoJSON", AGAIN) from error
