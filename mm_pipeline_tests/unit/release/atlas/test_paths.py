"""Outlines as paths: in place, in whole numbers, and with borders that stay shared."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box

from mm_pipeline.reference.outlines import outlines_for
from mm_pipeline.release.atlas.paths import METRES, frame, projected, svg_path, svg_paths
from mm_pipeline_tests.support.paths import STATBEL, needs_statbel


def points_of(path: str) -> list[list[tuple[int, int]]]:
    """The rings of a path, read as a browser reads it."""
    rings = []
    for start, steps in re.findall(r"M(-?\d+ -?\d+)l([-\d ]+)z", path):
        at = np.array(start.split(), dtype=int)
        numbers = np.array(re.findall(r"-?\d+", steps), dtype=int).reshape(-1, 2)
        rings.append([tuple(point) for point in np.vstack([at, at + numbers.cumsum(axis=0)])])
    return rings


@pytest.mark.parametrize(
    ("west", "south", "east", "north", "kilometres"),
    [
        (4.3517, 50.8467, 4.4025, 51.2211, 41.8),  # the squares of Brussels and Antwerp
        (2.9186, 51.2303, 5.8164, 49.6833, 267.6),  # Ostend and Arlon
        (5.5706, 50.6451, 3.9523, 50.4541, 116.2),  # Liège and Mons
    ],
)
def test_distances_are_those_on_the_globe(west, south, east, north, kilometres):
    one, other = projected(np.array([[west, south], [east, north]]))
    assert np.hypot(*(one - other)) * METRES / 1000 == pytest.approx(kilometres, rel=0.005)


def test_north_is_up_and_east_is_right():
    middle, north, east = projected(np.array([[4.359216, 50.797815], [4.359216, 51], [4.5, 50.797815]]))
    assert middle == pytest.approx([0, 0], abs=1e-6)
    assert north[1] < 0
    assert east[0] > 0


def test_holes_and_parts_are_rings_of_one_path():
    with_hole = Polygon(box(4, 50, 4.2, 50.2).exterior, [box(4.05, 50.05, 4.1, 50.1).exterior])
    rings = points_of(svg_path(MultiPolygon([with_hole, box(5, 50, 5.1, 50.1)])))
    assert [len(ring) for ring in rings] == [4, 4, 4]


def test_what_is_smaller_than_a_unit_leaves_no_ring():
    assert svg_path(box(4, 50, 4.000001, 50.000001)) == ""


def test_codes_come_in_order():
    assert list(svg_paths({"2": box(4, 50, 5, 51), "1": box(5, 50, 6, 51)})) == ["1", "2"]


coordinates = st.tuples(st.floats(2.5, 6.4), st.floats(49.5, 51.5))


@given(st.lists(coordinates, min_size=3, max_size=30, unique=True))
def test_a_path_reads_back_as_the_rounded_ring(points):
    polygon = Polygon(points)
    expected = [tuple(point) for point in np.rint(projected(np.array(polygon.exterior.coords)[:-1])).astype(int)]
    read = points_of(svg_path(polygon))
    shortened = [point for i, point in enumerate(expected) if not i or point != expected[i - 1]]
    if len(shortened) >= 3:
        assert read == [shortened]
    else:
        assert read == []


def test_the_border_of_neighbours_has_the_same_points():
    bent = [(4.1, 50.0), (4.1234567, 50.0333333), (4.1, 50.1)]
    west = Polygon([(4, 50), *bent, (4, 50.1)])
    east = Polygon([*bent, (4.2, 50.1), (4.2, 50)])
    (one,), (other,) = points_of(svg_path(west)), points_of(svg_path(east))
    assert len(set(one) & set(other)) == 3


def test_the_frame_holds_all_outlines_with_a_margin():
    left, top, width, height = frame([box(4, 50, 4.1, 50.1), box(5, 51, 5.1, 51.1)])
    points = projected(np.array([[4, 50], [5.1, 51.1]]))
    assert (points > [left, top]).all()
    assert (points < [left + width, top + height]).all()
    assert frame([]) == [0, 0, 1, 1]


@needs_statbel
def test_the_municipalities_of_belgium_are_all_drawn_and_small(tmp_path):
    (tmp_path / "municipalities_2021.geojson").symlink_to(STATBEL / "municipalities_2021.geojson")
    outlines = outlines_for(tmp_path, [2021])[2021]
    paths = svg_paths(outlines.areas["municipality"])
    assert len(paths) == 581
    assert all(points_of(path) for path in paths.values())
    assert sum(map(len, paths.values())) < 400_000
    _, _, width, height = frame(outlines.areas["municipality"].values())
    assert (width * METRES / 1000, height * METRES / 1000) == (pytest.approx(278, abs=5), pytest.approx(228, abs=5))
