"""The table of statistical sectors: codes, municipalities and names, from Statbel's open data.

Not here: polygons (nothing of the statistic needs them; the map's are in ``outlines``), and which are areas of a year
(``areas``).

Source of the rules: Statbel's statistical sectors, one GeoJSON a year with Statbel's own property names. The
municipality of a sector is its own property: since the mergers of 2019 a sector keeps its code when its municipality
gets a new one, so the first five characters of the code are wrong for 839 sectors of the table of 2021.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mm_pipeline.dimensions import UNKNOWN_SECTOR
from mm_pipeline.files.safe_names import short, shown
from mm_pipeline.reference import geojson

# What Statbel calls them, in capitals or not: as in 2021, as since, and in its files with a year in the names.
_SECTOR_CODE = ("CD_SECTOR_REFNIS", "CD_SECTOR", "CS0101<YYYY>", "CS01<YYYY>")
_NAMES = tuple((f"TX_SECTOR_DESCR_{language}", f"T_SEC_{language}") for language in ("FR", "NL", "DE"))


class Sector(NamedTuple):
    """One statistical sector. A name is empty only where the table has none in any language."""

    code: str
    municipality_code: str
    name_fr: str
    name_nl: str
    name_de: str


def file_for(reference_dir: Path, year: int) -> Path | None:
    """The newest ``sectors_<YYYY>.geojson`` or ``.geojson.zip`` that is not after the year, or None.

    Raises ReferenceDataError where that year has both: they may differ, and figures would depend on the choice.
    """
    found = geojson.files_by_year(reference_dir, "sectors", year)
    return found[max(found)] if found else None


def read_sectors(path: Path) -> list[Sector]:
    """The sectors of a file. Errors as in ``each_sector``."""
    return [sector for _, sector in each_sector(path)]


def each_sector(path: Path, geometry: bool = False) -> Iterator[tuple[geojson.Feature, Sector]]:
    """The sectors of a file, each with its feature, and with the geometry if that is asked for.

    ``<NIS5>ZZZZ`` rows are left out. Raises ReferenceDataError, with file, feature and property, on what
    ``geojson.features`` refuses, a missing or malformed code, or a code that comes twice.
    """
    seen: set[str] = set()
    for feature in geojson.features(path, geometry):
        code = feature.required(_SECTOR_CODE)
        if len(code) != 9 or not code.isprintable():
            raise feature.wrong(_SECTOR_CODE[0], short(code), "a code of nine characters")
        municipality = feature.municipality(f" (sector {shown(code)})")
        if code.endswith(UNKNOWN_SECTOR):
            continue
        if code in seen:
            raise feature.twice(_SECTOR_CODE[0], f"sector {shown(code)}")
        seen.add(code)
        # Statbel's table of 2021 writes a missing name as "<NA>".
        names = [feature.text(spellings).replace("<NA>", "") for spellings in _NAMES]
        # An empty name takes another language's: every sector has a label in every language.
        spare = next(filter(None, names), "")
        yield feature, Sector(code, municipality, *(name or spare for name in names))
