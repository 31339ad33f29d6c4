"""Outlines of areas for maps: read from GeoJSON, made into one coverage, dissolved up the hierarchy and simplified.

Nothing of the statistic depends on an outline. Not here: drawing (``mm_pipeline.release``).

How the levels fit together. The finest file of a vintage is the only source: where there are sectors, the municipalities
are dissolved from them, even if a municipality file of that year lies beside them, because two files never agree on a
border to the metre. Sectors are simplified finely; municipalities, dissolved from them, once more and coarsely; the levels
above are dissolved from these municipalities and not simplified again. So inside a level neighbours share every vertex of
their border, from the municipality up all levels have the same lines, and each vertex of a coarse line is one of the fine.

Source of the rules: the hierarchy is REFNIS, in the vintage of the file (``refnis.units_of``), never the beginning of a
code; the simplification is Visvalingam-Whyatt on a coverage, as in GEOS (``shapely.coverage_simplify``).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.files import safe_names
from mm_pipeline.reference import geojson, refnis, sectors
from mm_pipeline.reference.areas import COUNTRY, refnis_file
from mm_pipeline.reference.refnis import BRUSSELS, refusal

#: The outlines that come with the project; ``scripts/make_provinces.py`` makes them.
PROVINCES = Path(__file__).with_name("provinces.geojson")

#: Decimals of coordinates in degrees: about 10 m, a thirtieth of a pixel on a map 900 pixels wide.
DECIMALS = 4

#: Size of details that are removed: the square root of a triangle's area, in degrees of latitude (0.001 is 111 m).
#: Measured on Statbel's files of 2021: 581 municipalities become 0.4 MB of GeoJSON, 19 478 sectors 5.8 MB; at 0.0015
#: these would be 4.9 MB, and one small sector in a hundred would lose a third of its shape.
SECTOR_DETAIL = 0.001
MUNICIPALITY_DETAIL = 0.0025

#: Width up to which cracks between neighbours are closed; the smallest true gap, in Baarle-Hertog, is some 50 m.
_CRACK = 10**-DECIMALS

#: Generous bounds of Belgium: west, south, east, north.
_BELGIUM = (2.3, 49.3, 6.6, 51.7)

# A degree of longitude is this much shorter there. Detail is measured, and cracks closed, on a plane shrunk by it.
_PLANE = np.array([math.cos(math.radians(50.5)), 1.0])

_MEND = "Take the file again from the open data of Statbel, or remove it to do without it."


@dataclass(frozen=True)
class Outlines:
    """The outlines of one vintage.

    ``year`` is the year in the file's name, or None for the provinces that come with the project. ``areas`` has, by level
    (of ``areas.LEVELS``; only those there is geometry for) and area code, a Polygon or MultiPolygon in WGS84, longitude
    first, with ``DECIMALS`` decimals and rings as GeoJSON wants them (outer ones counter-clockwise). ``source`` is the
    attribution to show with a map.
    """

    year: int | None
    areas: Mapping[str, Mapping[str, BaseGeometry]]
    source: str


def outlines_for(reference_dir: Path, years: Iterable[int]) -> dict[int, Outlines]:
    """The outlines of each year; years with the same vintage share one object.

    A year has the newest ``sectors_<YYYY>`` or ``municipalities_<YYYY>`` (``.geojson`` or ``.geojson.zip``) that is not
    after it; a year before the oldest has the oldest, as this is a drawing and no figure. Without any file all years have
    the project's provinces. An area that is not in the vintage of its year has no outline: with a file of 2021, the
    municipalities merged in 2025.

    Levels above the file's are dissolved by the hierarchy of the vintage. A municipality that is not in it keeps its own
    outline, and its sectors theirs, and is left out above. Brussels ``04000`` is a province and a region. An area that
    nothing would be left of (smaller than the rounding, or covered by its neighbours) becomes a square of some 20 m.

    Raises ReferenceDataError, with file, feature and member or property, on two files of the same kind and year, what
    ``geojson.features`` refuses, a missing, malformed or repeated code, a geometry that is no polygon, coordinates that
    are not longitude and latitude of Belgium, and a hierarchy that does not have the vintage.
    """
    for kind in _KINDS:
        for _path, error in geojson.misnamed(reference_dir, kind):
            raise error
    files = _files(reference_dir)
    wanted = sorted(set(years))
    if not files:
        return dict.fromkeys(wanted, _shipped(reference_dir, wanted[-1])) if wanted else {}
    vintages = {year: max((first for first in files if first <= year), default=min(files)) for year in wanted}
    outlines = {vintage: _outlines(reference_dir, vintage, files[vintage]) for vintage in set(vintages.values())}
    return {year: outlines[vintage] for year, vintage in vintages.items()}


def outline_files(reference_dir: Path) -> list[Path]:
    """The files that ``outlines_for`` may read or refuse in this folder: the hierarchy, then outlines, oldest first.

    Raises ReferenceDataError where two files claim the same place.
    """
    files = _files(reference_dir)
    refused = [path for kind in _KINDS for path, _error in geojson.misnamed(reference_dir, kind)]
    return [refnis_file(reference_dir), *([files[year] for year in sorted(files)] or [PROVINCES]), *refused]


_KINDS = "sectors", "municipalities"


def _files(reference_dir: Path) -> dict[int, Path]:
    """The finest file of each vintage."""
    municipalities = geojson.files_by_year(reference_dir, "municipalities")
    return municipalities | geojson.files_by_year(reference_dir, "sectors")


def _outlines(reference_dir: Path, year: int, path: Path) -> Outlines:
    parents = _parents(reference_dir, year)
    areas: dict[str, Mapping[str, BaseGeometry]] = {}
    if path.name.startswith("sectors"):
        found, polygons = [], []
        for feature, sector in sectors.each_sector(path, geometry=True):
            found.append(sector)
            polygons.append(_polygon(feature, f"sector {safe_names.shown(sector.code)}"))
        fine = shapely.coverage_simplify(_coverage(polygons), SECTOR_DETAIL)
        areas["sector"] = _in_degrees(dict(zip([sector.code for sector in found], fine, strict=True)))
        whole = _dissolved(fine, [sector.municipality_code for sector in found])
        what = "statistical sectors"
    else:
        listed = dict(_municipalities(path))
        whole = dict(zip(listed, _coverage(list(listed.values())), strict=True))
        what = "municipalities"
    coarse = shapely.coverage_simplify(np.array(list(whole.values()), dtype=object), MUNICIPALITY_DETAIL)
    areas |= _upwards("municipality", dict(zip(whole, coarse, strict=True)), parents)
    source = f"Statbel (Directorate-general Statistics - Statistics Belgium), {what} {year}, CC BY 4.0, simplified"
    return Outlines(year, _finest_last(areas), source)


def _shipped(reference_dir: Path, year: int) -> Outlines:
    """The outlines that come with the project: provinces, already simplified, and the levels dissolved from them."""
    plane = {each.properties["code"]: shape(each.geometry) for each in geojson.features(PROVINCES, geometry=True)}
    polygons = _scaled(np.array(list(plane.values()), dtype=object), _PLANE)
    areas = _upwards("province", dict(zip(plane, polygons, strict=True)), _parents(reference_dir, year))
    return Outlines(None, _finest_last(areas), "Natural Earth (public domain)")


def _finest_last(areas: Mapping[str, Mapping[str, BaseGeometry]]) -> dict[str, dict[str, BaseGeometry]]:
    return {level: dict(sorted(areas[level].items())) for level in LEVELS if level in areas}


def _parents(reference_dir: Path, year: int) -> dict[tuple[str, str], str]:
    """The code one level up of each (level, code) below the country."""
    units = refnis.units_of(year, refnis_file(reference_dir))
    parents = {(unit.level, unit.code): unit.parent_code or COUNTRY[1] for unit in units}
    return parents | {("province", BRUSSELS): BRUSSELS}


def _upwards(
    level: str, polygons: Mapping[str, BaseGeometry], parents: Mapping[tuple[str, str], str]
) -> dict[str, dict[str, BaseGeometry]]:
    """The outlines of a level and of all above it, in degrees. Areas not in the hierarchy stay on their own level only."""
    areas = {level: _in_degrees(polygons)}
    for above in reversed(LEVELS[: LEVELS.index(level)]):
        known = {code: polygon for code, polygon in polygons.items() if (level, code) in parents}
        level, polygons = above, _dissolved(known.values(), [parents[level, code] for code in known])
        areas[level] = _in_degrees(polygons)
    return areas


def _dissolved(polygons: Iterable[BaseGeometry], groups: Iterable[str]) -> dict[str, BaseGeometry]:
    members: dict[str, list[BaseGeometry]] = defaultdict(list)
    for polygon, group in zip(polygons, groups, strict=True):
        members[group].append(polygon)
    return {group: shapely.union_all(members[group]) for group in sorted(members)}


def _municipalities(path: Path) -> Iterator[tuple[str, BaseGeometry]]:
    seen: set[str] = set()
    for feature in geojson.features(path, geometry=True):
        code = feature.municipality()
        if code in seen:
            raise feature.twice(geojson.MUNICIPALITY_CODE[0], f"municipality {code}")
        seen.add(code)
        yield code, _polygon(feature, f"municipality {code}")


def _polygon(feature: geojson.Feature, area: str) -> BaseGeometry:
    """The geometry of a feature, unchanged. Raises ReferenceDataError where it is no polygon in Belgium."""

    def wrong(member: str, found: str, expected: str, todo: str = _MEND) -> ReferenceDataError:
        return refusal(feature.path, f"feature {feature.number} ({area}), member '{member}'", found, expected, todo)

    kind = feature.geometry.get("type") if isinstance(feature.geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise wrong("geometry", safe_names.short(kind) if kind else "no geometry", "a Polygon or a MultiPolygon")
    try:
        polygon = shapely.force_2d(shape(feature.geometry))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, shapely.errors.ShapelyError) as error:
        found = f"no {kind} ({safe_names.shown(str(error), 100)})"
        raise wrong("coordinates", found, "closed rings of at least four positions") from error
    points = shapely.get_coordinates(polygon)
    if not len(points):
        raise wrong("coordinates", "none", "closed rings of at least four positions")
    # Written so that NaN is outside.
    outside = ~((points >= _BELGIUM[:2]) & (points <= _BELGIUM[2:])).all(axis=1)
    if outside.any():
        west, south, east, north = _BELGIUM
        x, y = points[outside][0]
        expected = f"WGS84, longitude {west} to {east} first, then latitude {south} to {north}"
        todo = "Reproject the file to WGS84 (EPSG:4326): Statbel also has it in Lambert metres."
        raise wrong("coordinates", f"[{x:g}, {y:g}]", expected, todo)
    return polygon


def _coverage(polygons: list[BaseGeometry]) -> np.ndarray:
    """The polygons of a file as one coverage on the plane: valid, without overlaps or cracks, none lost."""
    given = _scaled(shapely.transform(np.array(polygons, dtype=object), _rounded), _PLANE)
    valid = _valid(given)
    if not shapely.coverage_is_valid(valid, gap_width=_CRACK):
        valid = shapely.coverage_clean(valid, gap_width=_CRACK)
    return _none_lost(valid, given)


def _in_degrees(polygons: Mapping[str, BaseGeometry]) -> dict[str, BaseGeometry]:
    plane = np.array(list(polygons.values()), dtype=object)
    # Rounding may make a ring touch itself; a vertex that two areas share is moved alike for both.
    rounded = _valid(shapely.transform(_scaled(plane, 1 / _PLANE), _rounded))
    rounded = _none_lost(rounded, _scaled(plane, 1 / _PLANE))
    return dict(zip(polygons, shapely.orient_polygons(rounded), strict=True))


def _rounded(points: np.ndarray) -> np.ndarray:
    return np.round(points, DECIMALS)


def _scaled(polygons: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return np.asarray(shapely.transform(polygons, lambda points: points * factors))


def _valid(polygons: np.ndarray) -> np.ndarray:
    mended = shapely.make_valid(polygons, method="structure", keep_collapsed=False)
    return np.where(shapely.is_valid(polygons), polygons, mended)


def _none_lost(polygons: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The polygons, each that has no area left replaced by a small square at its first vertex."""
    kept = polygons.copy()
    for index in np.flatnonzero(shapely.area(polygons) == 0):
        x, y = shapely.get_coordinates(before[index])[0]
        kept[index] = shapely.box(x - _CRACK, y - _CRACK, x + _CRACK, y + _CRACK)
    return kept
