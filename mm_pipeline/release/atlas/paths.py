"""Outlines as SVG paths, projected and in whole numbers, so that the page draws them without further computation.

The projection is Lambert's conformal conic on a sphere with the parallels and the meridian of the Belgian Lambert 2008.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

METRES = 10  # length of one unit of a path, finer than any outline of a sector on a screen

_RADIUS = 6_371_000 / METRES
_SOUTH, _NORTH, _ORIGIN = np.radians([49.0 + 50 / 60, 51.0 + 10 / 60, 50.797815])
_MERIDIAN = np.radians(4.359216)


def _slope(latitude: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.tan(np.pi / 4 + np.asarray(latitude) / 2)


_CONE = np.log(np.cos(_SOUTH) / np.cos(_NORTH)) / np.log(_slope(_NORTH) / _slope(_SOUTH))
_SCALE = _RADIUS * np.cos(_SOUTH) * _slope(_SOUTH) ** _CONE / _CONE


def projected(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes and latitudes (degrees) in units to the right of and below the middle of Belgium."""
    longitude, latitude = np.radians(coordinates).T
    distance, angle = _SCALE / _slope(latitude) ** _CONE, _CONE * (longitude - _MERIDIAN)
    return np.column_stack([distance * np.sin(angle), distance * np.cos(angle) - _SCALE / _slope(_ORIGIN) ** _CONE])


def svg_path(outline: BaseGeometry) -> str:
    """The SVG path of a (multi)polygon in longitude and latitude: its rings in turn, to be filled by ``evenodd``.

    Points are rounded before their differences are taken, so that shared borders stay shared.
    """
    return "".join(_ring(ring) for polygon in shapely.get_parts(outline) for ring in shapely.get_rings(polygon))


def svg_paths(outlines: Mapping[str, BaseGeometry]) -> dict[str, str]:
    """The SVG paths of outlines by code of the area, in order of the codes."""
    return {code: svg_path(outlines[code]) for code in sorted(outlines)}


def frame(outlines: Iterable[BaseGeometry]) -> list[int]:
    """The ``viewBox`` of all outlines with a margin of 1 %: left, top, width, height. [0, 0, 1, 1] for none."""
    points = shapely.get_coordinates(list(outlines))
    if not len(points):
        return [0, 0, 1, 1]
    points = projected(points)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = (high - low).max() / 100
    return [int(value) for value in np.rint([*(low - margin), *(high - low + 2 * margin)])]


def _ring(ring: BaseGeometry) -> str:
    points = np.rint(projected(shapely.get_coordinates(ring))).astype(np.int64)
    steps = np.diff(points[:-1], axis=0)  # the last point is the first
    steps = steps[steps.any(axis=1)]
    if len(steps) < 2:  # nothing is left of it at this resolution
        return ""
    numbers = " ".join(str(number) for number in steps.ravel()).replace(" -", "-")
    return f"M{points[0, 0]} {points[0, 1]}l{numbers}z"
