"""The table of statistical sectors: codes, municipalities and names, from Statbel's open data.

Here: finding the table of a year and reading its properties. Not here: polygons (nothing of the statistic needs
them), and which sectors are areas of a year (``areas``).

Source of the rules: Statbel's statistical sectors, one GeoJSON a year with Statbel's own property names. The
municipality of a sector is its own property: since the mergers of 2019 a sector keeps its code when its municipality
gets a new one, so the first five characters of the code are wrong for 839 sectors of the table of 2021.
"""

import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mm_pipeline.reference.refnis import not_utf8, read_bytes, refusal

_FILE_NAME = re.compile(r"sectors_([0-9]{4})\.geojson(\.zip)?")
_MUNICIPALITY = re.compile(r"[0-9]{5}")

# As written in 2021, then as in other years; each also in lower case, as Statbel writes it there.
_SECTOR_CODE = ("CD_SECTOR_REFNIS", "CD_SECTOR")
_MUNICIPALITY_CODE = ("CD_MUNTY_REFNIS",)
_NAMES = ("TX_SECTOR_DESCR_FR", "TX_SECTOR_DESCR_NL", "TX_SECTOR_DESCR_DE")

#: The end of the code that stands for "somewhere in this municipality": people have it, places do not.
UNKNOWN_SUFFIX = "ZZZZ"

_AGAIN = "Take the table again from the open data of Statbel, or remove the file to do without it."


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
    found: dict[int, Path] = {}
    for path in sorted(reference_dir.iterdir()) if reference_dir.is_dir() else ():
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) > year:
            continue
        other = found.setdefault(int(match[1]), path)
        if other is not path:
            raise refusal(
                path, "", f"{other.name} beside it", "one sector table a year", "Remove one of the two files."
            )
    return found[max(found)] if found else None


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
    if match is None:
        raise refusal(path, "", f"the name {path.name}", "sectors_<YYYY>.geojson[.zip]", "Rename the file.")
    sectors: dict[str, Sector] = {}
    for number, feature in enumerate(_features(path), start=1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        sector = _sector(path, number, properties if isinstance(properties, dict) else {})
        if sector.code.endswith(UNKNOWN_SUFFIX):
            continue
        if sector.code in sectors:
            raise refusal(
                path,
                f"feature {number}, property {_SECTOR_CODE[0]}",
                f"sector {sector.code} for the second time",
                "each sector once",
                _AGAIN,
            )
        sectors[sector.code] = sector
    return SectorTable(path, int(match[1]), list(sectors.values()))


def _sector(path: Path, number: int, properties: dict[str, Any]) -> Sector:
    code = _required(path, number, properties, _SECTOR_CODE)
    if len(code) != 9:
        raise refusal(
            path, f"feature {number}, property {_SECTOR_CODE[0]}", repr(code), "a code of nine characters", _AGAIN
        )
    municipality = _required(path, number, properties, _MUNICIPALITY_CODE)
    if not _MUNICIPALITY.fullmatch(municipality):
        raise refusal(
            path,
            f"feature {number} (sector {code}), property {_MUNICIPALITY_CODE[0]}",
            repr(municipality),
            "a code of five digits",
            _AGAIN,
        )
    names = [_text(properties, (name,)) for name in _NAMES]
    # An empty name takes another language's: every sector has a label in every language.
    spare = next(filter(None, names), "")
    return Sector(code, municipality, *(name or spare for name in names))


def _required(path: Path, number: int, properties: dict[str, Any], names: tuple[str, ...]) -> str:
    value = _text(properties, names)
    if not value:
        raise refusal(
            path,
            f"feature {number}, property {names[0]}",
            f"no value (properties: {', '.join(sorted(properties)[:10]) or 'none'})",
            f"one of {', '.join(spelling for name in names for spelling in (name, name.lower()))}",
            _AGAIN,
        )
    return value


def _text(properties: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = properties.get(name, properties.get(name.lower()))
        if value is not None:
            return str(value).strip()
    return ""


def _features(path: Path) -> list[Any]:
    data = _unzipped(path) if path.suffix == ".zip" else read_bytes(path)
    try:
        # Geometries are nine tenths of the file: dropping each as soon as it is parsed keeps memory and time low.
        content = json.loads(data.decode("utf-8-sig"), object_hook=_without_geometry)
    except json.JSONDecodeError as error:
        raise refusal(
            path, f"line {error.lineno}, column {error.colno}", f"broken JSON ({error.msg})", "GeoJSON", _AGAIN
        ) from error
    except UnicodeDecodeError as error:
        raise not_utf8(path, data, error) from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not features:
        raise refusal(
            path, "member 'features'", "no features", "a GeoJSON FeatureCollection, one feature a sector", _AGAIN
        )
    return features


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
                raise refusal(path, "", f"{len(inside)} GeoJSON files inside", "exactly one", _AGAIN)
            return archive.read(inside[0])
    # RuntimeError: an encrypted member; NotImplementedError (its subclass): an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise refusal(path, "", f"a broken archive ({error})", "a zip file with one GeoJSON", _AGAIN) from error
