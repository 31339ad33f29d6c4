"""Outlines: which file draws a year, the levels made of it, what simplification keeps, and what a broken file is told."""

import importlib.util
import io
import json
import random
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from mm_pipeline.dimensions import LEVELS
from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.reference.areas import areas
from mm_pipeline.reference.outlines import DECIMALS, PROVINCES, Outlines, outline_files, outlines_for
from mm_pipeline_tests.support.examples import examples
from mm_pipeline_tests.support.paths import REFERENCE, REPOSITORY, STATBEL, needs_statbel

SHIPPED = REFERENCE / "refnis.csv"

BELGIUM = box(2.5, 49.4, 6.5, 51.6)
SIDE = 0.05  # of a sector, in degrees

# Where a code says the opposite of the hierarchy: 11001 is in Limburg, 71001 in Antwerpen, by way of 19000 and 79000.
HIERARCHY = """level,code,parent_code,name_fr,name_nl,name_de,valid_from,valid_to
region,02000,,f,n,d,1970-01-01,9999-12-31
region,04000,,f,n,d,1970-01-01,9999-12-31
province,10000,02000,f,n,d,1970-01-01,9999-12-31
province,70000,02000,f,n,d,1970-01-01,9999-12-31
arrondissement,19000,70000,f,n,d,1970-01-01,9999-12-31
arrondissement,79000,10000,f,n,d,1970-01-01,9999-12-31
arrondissement,21000,04000,f,n,d,1970-01-01,9999-12-31
municipality,11001,19000,f,n,d,1970-01-01,9999-12-31
municipality,71001,79000,f,n,d,1970-01-01,9999-12-31
municipality,21004,21000,f,n,d,1970-01-01,9999-12-31
"""


def square(column: float, row: float, side: float = 1) -> BaseGeometry:
    x, y = 4 + column * SIDE, 50.5 + row * SIDE
    return shapely.transform(box(x, y, x + side * SIDE, y + side * SIDE), lambda points: points.round(DECIMALS))


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def sector(code: str, municipality: str, geometry: Any) -> dict[str, Any]:
    return feature(geometry, CD_SECTOR_REFNIS=code, CD_MUNTY_REFNIS=municipality)


def municipality(code: str, polygon: BaseGeometry) -> dict[str, Any]:
    return feature(mapping(polygon), CD_MUNTY_REFNIS=code)


def write(folder: Path, name: str, *features: dict[str, Any]) -> Path:
    path = folder / name
    text = json.dumps({"type": "FeatureCollection", "features": features})
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.geojson", text)
    else:
        path.write_text(text, encoding="utf-8")
    return path


def three_municipalities(folder: Path, name: str = "municipalities_2021.geojson") -> Path:
    """Antwerpen, Limburg and Brussels by the small hierarchy, in a row."""
    codes = ("71001", "11001", "21004")
    return write(folder, name, *[municipality(code, square(column, 0)) for column, code in enumerate(codes)])


def outlines(folder: Path, year: int = 2021) -> Outlines:
    return outlines_for(folder, [year])[year]


def coverage(level: Any) -> np.ndarray:
    return np.array(list(level.values()), dtype=object)


def vertices(level: Any) -> set[tuple[float, float]]:
    return {(x, y) for x, y in shapely.get_coordinates(coverage(level))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "refnis.csv").write_text(HIERARCHY, encoding="utf-8")
    return tmp_path


class TestWhichFile:
    def test_a_year_takes_the_newest_that_is_not_after_it_and_before_the_oldest_the_oldest(self, folder: Path) -> None:
        three_municipalities(folder, "municipalities_2011.geojson")
        write(folder, "sectors_2019.geojson.zip", sector("71001A00-", "71001", mapping(square(0, 0))))
        three_municipalities(folder, "municipalities_2021.geojson.zip")
        (folder / "municipalities_2020.geojson.bak").touch()
        found = outlines_for(folder, range(2003, 2025))
        assert {year: found[year].year for year in (2003, 2011, 2018, 2019, 2020, 2021, 2024)} == {
            2003: 2011,
            2011: 2011,
            2018: 2011,
            2019: 2019,
            2020: 2019,
            2021: 2021,
            2024: 2021,
        }
        assert len({id(one) for one in found.values()}) == 3
        assert [("sector" in found[year].areas) for year in (2018, 2019, 2021)] == [False, True, False]

    def test_sectors_draw_everything_where_both_are_there(self, folder: Path) -> None:
        three_municipalities(folder)
        path = write(folder, "sectors_2021.geojson", sector("71001A00-", "71001", mapping(square(5, 5))))
        found = outlines(folder)
        assert found.areas["municipality"]["71001"].equals(square(5, 5))
        assert set(found.areas["municipality"]) == {"71001"}
        assert outline_files(folder) == [folder / "refnis.csv", path]

    def test_the_files_are_those_that_may_be_read(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        newer = three_municipalities(folder, "municipalities_2021.geojson")
        older = three_municipalities(folder, "municipalities_2011.geojson")
        assert outline_files(folder) == [folder / "refnis.csv", older, newer]
        assert outline_files(tmp_path_factory.mktemp("empty")) == [SHIPPED, PROVINCES]
        assert outline_files(folder / "absent") == [SHIPPED, PROVINCES]

    @pytest.mark.parametrize("kind", ["sectors", "municipalities"])
    def test_the_same_year_twice_is_refused(self, kind: str, folder: Path) -> None:
        for ending in (".geojson", ".geojson.zip"):
            three_municipalities(folder, f"{kind}_2021{ending}")
        for function in (outline_files, outlines):
            with pytest.raises(ReferenceDataError, match=rf"{kind}_2021\.geojson beside it; .* Remove one"):
                function(folder)

    def test_no_years_need_no_outlines(self, folder: Path) -> None:
        assert outlines_for(folder, []) == {}

    def test_the_attribution_names_the_source_and_its_licence(self, folder: Path) -> None:
        assert outlines(folder).source == "Natural Earth (public domain)"
        three_municipalities(folder)
        assert "municipalities 2021, CC BY 4.0, simplified" in outlines(folder).source


class TestLevels:
    def test_they_follow_the_hierarchy_and_not_the_code(self, folder: Path) -> None:
        write(
            folder,
            "sectors_2021.geojson",
            # The beginning of the code says 11001, its property 71001, whose province is 10000.
            sector("11001A00-", "71001", mapping(square(0, 0))),
            sector("71001B00-", "71001", mapping(square(1, 0))),
            sector("71001C00-", "11001", mapping(square(0, 1))),
            sector("21004A00-", "21004", mapping(square(1, 1))),
        )
        found = outlines(folder).areas
        assert list(found) == list(LEVELS)
        assert {level: set(found[level]) for level in LEVELS} == {
            "country": {"BE"},
            "region": {"02000", "04000"},
            "province": {"04000", "10000", "70000"},
            "arrondissement": {"19000", "21000", "79000"},
            "municipality": {"11001", "21004", "71001"},
            "sector": {"11001A00-", "71001B00-", "71001C00-", "21004A00-"},
        }
        below = shapely.union(square(0, 0), square(1, 0))
        for level, code in (("municipality", "71001"), ("arrondissement", "79000"), ("province", "10000")):
            assert found[level][code].equals(below)
        assert found["province"]["70000"].equals(square(0, 1))
        assert found["province"]["04000"].equals(square(1, 1))
        assert found["region"]["04000"].equals(square(1, 1))
        assert found["region"]["02000"].equals(shapely.union(below, square(0, 1)))
        assert found["country"]["BE"].equals(square(0, 0, 2))

    def test_a_municipality_file_stops_at_the_municipality(self, folder: Path) -> None:
        three_municipalities(folder)
        assert list(outlines(folder).areas) == list(LEVELS[:-1])

    def test_lower_case_as_in_other_years(self, folder: Path) -> None:
        write(folder, "municipalities_2021.geojson", feature(mapping(square(0, 0)), cd_munty_refnis="71001"))
        assert set(outlines(folder).areas["municipality"]) == {"71001"}

    def test_the_hierarchy_is_that_of_the_vintage(self, tmp_path: Path) -> None:
        # Zwijndrecht moved from Antwerpen to 46030 in another province in 2025.
        write(tmp_path, "municipalities_2024.geojson", municipality("11056", square(0, 0)))
        assert set(outlines(tmp_path, 2025).areas["province"]) == {"10000"}
        write(tmp_path, "municipalities_2025.geojson", municipality("46030", square(0, 0)))
        found = outlines_for(tmp_path, (2024, 2025))
        assert [set(found[year].areas["province"]) for year in (2024, 2025)] == [{"10000"}, {"40000"}]

    def test_what_the_hierarchy_does_not_know_is_drawn_but_belongs_nowhere(self, folder: Path) -> None:
        write(
            folder,
            "sectors_2021.geojson",
            sector("71001A00-", "71001", mapping(square(0, 0))),
            sector("99999A00-", "99999", mapping(square(1, 0))),
        )
        found = outlines(folder).areas
        assert set(found["sector"]) == {"71001A00-", "99999A00-"}
        assert set(found["municipality"]) == {"71001", "99999"}
        assert {level: len(found[level]) for level in LEVELS[:4]} == dict.fromkeys(LEVELS[:4], 1)
        assert found["country"]["BE"].equals(square(0, 0))

    def test_nobody_lives_in_an_unknown_sector(self, folder: Path) -> None:
        one = sector("71001A00-", "71001", mapping(square(0, 0)))
        write(folder, "sectors_2021.geojson", one, sector("71001ZZZZ", "71001", None))
        assert set(outlines(folder).areas["sector"]) == {"71001A00-"}

    def test_order_is_by_code(self, folder: Path) -> None:
        three_municipalities(folder)
        assert all(list(level) == sorted(level) for level in outlines(folder).areas.values())


def wavy(columns: int, rows: int, seed: int, amplitude: float, points: int = 12) -> list[BaseGeometry]:
    """A grid of cells whose borders wander, the same on both sides."""
    rng = random.Random(seed)

    def line(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
        steps = np.linspace(start, end, points + 1)
        steps[1:-1] += np.array([[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(points - 1)]) * amplitude
        return [(float(x), float(y)) for x, y in steps.round(DECIMALS)]

    def at(column: int, row: int) -> tuple[float, float]:
        return (4 + column * SIDE, 50.5 + row * SIDE)

    flat = {(c, r): line(at(c, r), at(c + 1, r)) for c in range(columns) for r in range(rows + 1)}
    steep = {(c, r): line(at(c, r), at(c, r + 1)) for c in range(columns + 1) for r in range(rows)}
    return [
        shapely.Polygon([*flat[c, r], *steep[c + 1, r], *flat[c, r + 1][::-1], *steep[c, r][::-1]])
        for r in range(rows)
        for c in range(columns)
    ]


def as_sectors(polygons: list[BaseGeometry]) -> list[dict[str, Any]]:
    codes = ("71001", "11001", "21004")
    return [
        sector(f"{number:05}A00-", codes[number % len(codes)], mapping(polygon))
        for number, polygon in enumerate(polygons)
    ]


class TestSimplification:
    def test_detail_goes_and_shared_borders_stay(self, folder: Path) -> None:
        cells = wavy(4, 4, seed=1, amplitude=0.0004, points=60)
        write(folder, "sectors_2021.geojson", *as_sectors(cells))
        found = outlines(folder).areas
        before = sum(shapely.get_num_coordinates(cells))
        for level in LEVELS:
            polygons = coverage(found[level])
            assert shapely.coverage_is_valid(polygons), level
            assert shapely.get_num_coordinates(polygons).sum() < before / 4
            assert shapely.union_all(polygons).area == pytest.approx(16 * SIDE**2, rel=0.01)
        # Levels from the municipality up have the same lines, and each of their vertices is one of the sectors'.
        for fine, coarse in zip(LEVELS[::-1], LEVELS[-2::-1], strict=False):
            assert vertices(found[coarse]) <= vertices(found[fine])

    @examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        seed=st.integers(0, 10**6),
        columns=st.integers(1, 4),
        rows=st.integers(1, 4),
        amplitude=st.sampled_from([0, 0.0005, 0.0015]),
    )
    def test_any_coverage_stays_one(self, seed: int, columns: int, rows: int, amplitude: float, folder: Path) -> None:
        write(folder, "sectors_2021.geojson", *as_sectors(wavy(columns, rows, seed, amplitude)))
        found = outlines(folder).areas
        assert len(found["sector"]) == columns * rows
        for level in found.values():
            assert shapely.coverage_is_valid(coverage(level))
            assert (shapely.area(coverage(level)) > 0).all()

    @examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        places=st.lists(
            st.tuples(st.floats(0, 3), st.floats(0, 3), st.sampled_from([0.001, 0.5, 1.0, 2.0])), min_size=1, max_size=9
        )
    )
    def test_no_area_is_lost_however_they_overlap(self, places: list[tuple[float, ...]], folder: Path) -> None:
        write(folder, "sectors_2021.geojson", *as_sectors([square(*place) for place in places]))
        found = outlines(folder).areas
        assert len(found["sector"]) == len(places)
        for level in found.values():
            assert shapely.is_valid(coverage(level)).all()
            assert (shapely.area(coverage(level)) > 0).all()

    def test_a_crack_is_closed_and_a_true_gap_is_not(self, folder: Path) -> None:
        left, right = square(0, 0), square(1, 0)
        around = shapely.difference(square(-1, -1, 4), square(0, 0).union(right))
        apart = shapely.transform(right, lambda points: np.where(points == 4 + SIDE, 4.0501, points))  # 7 m
        write(folder, "sectors_2021.geojson", *as_sectors([left, apart, around]))
        found = outlines(folder).areas
        assert shapely.coverage_is_valid(coverage(found["sector"]), gap_width=1e-4)
        assert found["country"]["BE"].equals(square(-1, -1, 4))
        write(folder, "sectors_2021.geojson", *as_sectors([left, around]))
        assert outlines(folder).areas["country"]["BE"].equals(square(-1, -1, 4).difference(right))

    def test_overlaps_and_crossed_rings_are_mended(self, folder: Path) -> None:
        x, y = 4 + 4 * SIDE, 50.5
        bow = {
            "type": "Polygon",
            "coordinates": [[[x, y], [x + SIDE, y + SIDE], [x + SIDE, y], [x, y + SIDE], [x, y]]],
        }
        overlapping = as_sectors([square(0, 0), square(0.9, 0), square(0, 1)])
        write(folder, "sectors_2021.geojson", *overlapping, sector("71001A00-", "71001", bow))
        found = coverage(outlines(folder).areas["sector"])
        assert shapely.coverage_is_valid(found)
        assert shapely.area(found).sum() == pytest.approx((2.9 + 0.5) * SIDE**2, rel=1e-3)

    @pytest.mark.parametrize(
        "lost",
        [
            pytest.param(square(0, 0), id="the same as its neighbour"),
            pytest.param(square(0.4, 0.4, 0.1), id="inside its neighbour"),
            pytest.param(square(2, 2, 0.0001), id="smaller than the rounding"),
            pytest.param(shapely.Polygon([(4.3, 50.6), (4.4, 50.6), (4.5, 50.6)]), id="a line"),
        ],
    )
    def test_no_area_is_lost(self, lost: BaseGeometry, folder: Path) -> None:
        write(folder, "sectors_2021.geojson", *as_sectors([square(0, 0), lost]))
        kept = coverage(outlines(folder).areas["sector"])
        assert len(kept) == 2
        assert (shapely.area(kept) > 0).all()

    def test_coordinates_are_rounded_and_rings_turn_as_geojson_wants(self, folder: Path) -> None:
        cells = [shapely.transform(cell, lambda points: points + 1e-5 / 3) for cell in wavy(3, 3, 7, 0.0005)]
        hole = shapely.difference(square(4, 0, 2), square(4.5, 0.5, 1))
        write(folder, "sectors_2021.geojson", *as_sectors([*cells, hole, square(4.5, 0.5, 1)]))
        for level in outlines(folder).areas.values():
            polygons = coverage(level)
            points = shapely.get_coordinates(polygons)
            assert (points == points.round(DECIMALS)).all()
            for part in shapely.get_parts(polygons):
                assert part.exterior.is_ccw
                assert not any(ring.is_ccw for ring in part.interiors)

    def test_heights_are_dropped(self, folder: Path) -> None:
        flat = [[4.1, 50.6], [4.2, 50.6], [4.2, 50.7], [4.1, 50.6]]
        high = {"type": "Polygon", "coordinates": [[[*point, 12.5] for point in flat]]}
        write(folder, "sectors_2021.geojson", sector("71001A00-", "71001", high))
        assert not outlines(folder).areas["sector"]["71001A00-"].has_z

    def test_the_same_file_gives_the_same_bytes(self, folder: Path) -> None:
        write(folder, "sectors_2021.geojson", *as_sectors([*wavy(3, 3, 5, 0.0015), square(0.5, 0.5)]))
        first, second = (outlines(folder).areas for _ in range(2))
        for level in first:
            assert list(shapely.to_wkb(coverage(first[level]))) == list(shapely.to_wkb(coverage(second[level])))


RING = [[4.1, 50.6], [4.2, 50.6], [4.2, 50.7], [4.1, 50.6]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


class TestRefusals:
    @pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy, of the NaN
    @pytest.mark.parametrize(
        ("geometry", "parts"),
        [
            (None, ["member 'geometry'", "no geometry", "a Polygon or a MultiPolygon"]),
            ("POLYGON", ["member 'geometry'", "no geometry"]),
            ({"type": "Point", "coordinates": [4.1, 50.6]}, ["member 'geometry'", "'Point'"]),
            ({"type": "GeometryCollection", "geometries": []}, ["'GeometryCollection'", "a Polygon or a MultiPolygon"]),
            ({"type": "Polygon"}, ["member 'coordinates'", "no Polygon", "closed rings"]),
            (polygon(), ["member 'coordinates'", "none", "closed rings"]),
            (polygon(RING[:2]), ["member 'coordinates'", "no Polygon"]),
            (polygon([["4.1", "a"]] * 4), ["member 'coordinates'", "no Polygon"]),
            (polygon([None] * 4), ["member 'coordinates'", "closed rings"]),
            ({"type": "MultiPolygon", "coordinates": [RING]}, ["member 'coordinates'", "no MultiPolygon"]),
            # Lambert 72, latitude first, NaN, and another continent.
            (
                polygon([[152_000, 170_000], [153_000, 170_000], [153_000, 171_000], [152_000, 170_000]]),
                [
                    "found [152000, 170000]",
                    "WGS84, longitude 2.3 to 6.6 first",
                    "Reproject the file to WGS84 (EPSG:4326)",
                ],
            ),
            (polygon([[y, x] for x, y in RING]), ["found [50.6, 4.1]", "Reproject"]),
            (polygon([*RING[:2], [float("nan"), 50.7], RING[0]]), ["found [nan, 50.7]", "WGS84"]),
            (polygon([*RING[:2], [-74.2, 50.7], RING[0]]), ["found [-74.2, 50.7]", "WGS84"]),
        ],
    )
    def test_a_geometry(self, geometry: Any, parts: list[str], folder: Path) -> None:
        good = sector("71001A00-", "71001", mapping(square(0, 0)))
        path = write(folder, "sectors_2021.geojson", good, sector("71001B00-", "71001", geometry))
        with pytest.raises(ReferenceDataError) as raised:
            outlines(folder)
        for part in [f"{path}, feature 2 (sector 71001B00-), member", "; expected ", *parts]:
            assert part in str(raised.value)

    def test_a_geometry_that_is_nested_deeply(self, folder: Path) -> None:
        """Reading it step by step comes to the end of Python's stack."""
        deep = json.dumps(polygon("?")).replace('"?"', "[" * 900 + "]" * 900)
        geojson = json.dumps({"features": [municipality("71001", square(0, 0)) | {"geometry": "?"}]}).replace(
            '"?"', deep
        )
        (folder / "municipalities_2021.geojson").write_text(geojson)
        with pytest.raises(
            ReferenceDataError, match=r"feature 1 .municipality 71001., member 'coordinates': found no Polygon"
        ):
            outlines(folder)

    @pytest.mark.parametrize(
        ("features", "parts"),
        [
            (
                ["71001", "71001"],
                ["feature 2, property CD_MUNTY_REFNIS", "71001 for the second time", "each municipality"],
            ),
            (["7101"], ["feature 1, property CD_MUNTY_REFNIS", "'7101'", "a code of five digits"]),
            ([None], ["feature 1, property CD_MUNTY_REFNIS", "no value", "cd_munty_refnis"]),
            ([], ["member 'features'", "no features", "FeatureCollection"]),
        ],
    )
    def test_a_municipality_file(self, features: list[Any], parts: list[str], folder: Path) -> None:
        path = write(folder, "municipalities_2021.geojson", *[municipality(code, square(0, 0)) for code in features])
        with pytest.raises(ReferenceDataError) as raised:
            outlines(folder)
        for part in [str(path), "Take the table again", *parts]:
            assert part in str(raised.value)

    def test_a_sector_twice(self, folder: Path) -> None:
        one = sector("71001A00-", "71001", mapping(square(0, 0)))
        write(folder, "sectors_2021.geojson", one, one)
        with pytest.raises(ReferenceDataError, match=r"feature 2.* sector 71001A00- for the second time"):
            outlines(folder)

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"type": "Topology", "features": {}}', '{"features": [7]}'])
    def test_what_is_no_geojson(self, text: str, folder: Path) -> None:
        path = folder / "municipalities_2021.geojson"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ReferenceDataError, match=str(path)):
            outlines(folder)

    def test_a_broken_archive(self, folder: Path) -> None:
        (folder / "municipalities_2021.geojson.zip").write_bytes(b"?")
        with pytest.raises(ReferenceDataError, match="found a broken archive"):
            outlines(folder)

    def test_a_vintage_before_the_hierarchy(self, folder: Path) -> None:
        three_municipalities(folder, "municipalities_1960.geojson")
        with pytest.raises(ReferenceDataError, match="no unit in force on 1960-12-31"):
            outlines(folder)


class TestShipped:
    @pytest.mark.parametrize("year", [2003, 2019, 2025])
    def test_they_are_the_provinces_of_every_year(self, year: int, tmp_path: Path) -> None:
        found = outlines(tmp_path, year)
        assert found.year is None
        assert list(found.areas) == ["country", "region", "province"]
        keys = {
            (row["level"], row["area_code"]) for row in areas(tmp_path, year).to_pylist() if row["level"] in found.areas
        }
        assert {(level, code) for level, these in found.areas.items() for code in these} == keys

    def test_all_years_share_them(self, tmp_path: Path) -> None:
        assert len({id(one) for one in outlines_for(tmp_path, range(2003, 2026)).values()}) == 1

    def test_they_fit_together_inside_belgium(self, tmp_path: Path) -> None:
        found = outlines(tmp_path).areas
        for level in found.values():
            assert shapely.coverage_is_valid(coverage(level), gap_width=1e-4)
            assert shapely.within(coverage(level), BELGIUM).all()
        assert found["region"]["04000"].equals(found["province"]["04000"])
        # Brussels is an island in Vlaams-Brabant, and Brabant wallon is in the other region.
        assert found["region"]["02000"].intersection(found["province"]["04000"]).area == 0
        assert found["region"]["02000"].covers(found["province"]["20001"])
        assert found["region"]["03000"].covers(found["province"]["20002"])
        plane = shapely.transform(found["country"]["BE"], lambda points: points * [111.32 * 0.6361, 111.2])
        assert plane.area == pytest.approx(30_689, rel=0.02)  # square kilometres

    @pytest.mark.parametrize(
        ("code", "capital"),
        [
            ("10000", (4.402, 51.219)),  # Antwerpen
            ("20001", (4.701, 50.879)),  # Leuven
            ("20002", (4.607, 50.717)),  # Wavre
            ("30000", (3.224, 51.209)),  # Brugge
            ("40000", (3.722, 51.054)),  # Gent
            ("50000", (3.952, 50.454)),  # Mons
            ("60000", (5.571, 50.633)),  # Liège
            ("70000", (5.338, 50.930)),  # Hasselt
            ("80000", (5.816, 49.683)),  # Arlon
            ("90000", (4.867, 50.467)),  # Namur
            ("04000", (4.352, 50.847)),  # Bruxelles / Brussel
        ],
    )
    def test_each_holds_its_capital(self, code: str, capital: tuple[float, float], tmp_path: Path) -> None:
        holds = [
            key
            for key, outline in outlines(tmp_path).areas["province"].items()
            if outline.covers(shapely.Point(capital))
        ]
        assert holds == [code]

    def test_the_file_is_small_and_its_terms_are_beside_it(self) -> None:
        assert PROVINCES.stat().st_size < 60_000
        assert "public domain" in PROVINCES.with_name("provinces.LICENSE").read_text(encoding="utf-8")

    @needs_statbel
    def test_they_agree_with_statbel_as_far_as_a_small_map_needs(self, tmp_path: Path) -> None:
        shipped = outlines(tmp_path).areas["province"]
        (tmp_path / "municipalities_2021.geojson").symlink_to(STATBEL / "municipalities_2021.geojson")
        real = outlines(tmp_path).areas["province"]
        assert set(real) == set(shipped)
        for code, outline in shipped.items():
            overlap = outline.intersection(real[code]).area / outline.union(real[code]).area
            assert overlap > 0.93, code


class TestScript:
    """``scripts/make_provinces.py``, on a package made of the shipped file."""

    @pytest.fixture
    def script(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("make_provinces", REPOSITORY / "scripts" / "make_provinces.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def package(self, folder: Path, features: list[dict[str, Any]], member: str = "package/data/build.json") -> Path:
        path = folder / "package.tgz"
        data = json.dumps({"features": features}).encode()
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        return path

    def features(self, script: ModuleType) -> list[dict[str, Any]]:
        iso = {nis: code for code, nis in script.NIS.items()}
        shipped = json.loads(PROVINCES.read_text(encoding="utf-8"))["features"]
        belgian = [
            feature(one["geometry"], adm0_a3="BEL", iso_3166_2=iso[one["properties"]["code"]], name="x")
            for one in shipped[::-1]
        ]
        return [feature(mapping(square(0, 0)), adm0_a3="FRA", iso_3166_2="FR-59"), *belgian]

    def test_it_makes_the_shipped_file(self, script: ModuleType, tmp_path: Path) -> None:
        out = tmp_path / "out.geojson"
        assert script.main([str(self.package(tmp_path, self.features(script))), "--out", str(out)]) == 0
        assert out.read_bytes() == PROVINCES.read_bytes()

    def test_it_refuses_what_it_cannot_use(
        self, script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        features = self.features(script)
        overlapping = [
            *features[:-1],
            {**features[-1], "geometry": mapping(shape(features[1]["geometry"]).buffer(0.1))},
        ]
        out = tmp_path / "out.geojson"
        cases = (
            (features, "package/other.json", "expected a package with package/data/build.json"),
            (features[:-1], "package/data/build.json", "expected BE-BRU, BE-VAN"),
            (overlapping, "package/data/build.json", "overlap or leave cracks"),
        )
        for these, member, told in cases:
            assert script.main([str(self.package(tmp_path, these, member)), "--out", str(out)]) == 1
            assert told in capsys.readouterr().err
        assert script.main([str(tmp_path / "absent.tgz"), "--out", str(out)]) == 1
        assert not out.exists()


@needs_statbel
@pytest.mark.slow
class TestReal:
    @pytest.mark.parametrize(
        ("name", "levels", "kilobytes"),
        [
            ("municipalities_2021.geojson", {"municipality": 581}, 500),
            ("sectors_2021.geojson.zip", {"municipality": 581, "sector": 19_478}, 500),
        ],
    )
    def test_files_of_2021(self, name: str, levels: dict[str, int], kilobytes: int, tmp_path: Path) -> None:
        (tmp_path / name).symlink_to(STATBEL / name)
        found = outlines_for(tmp_path, range(2003, 2025))[2024].areas
        counts = {"country": 1, "region": 3, "province": 11, "arrondissement": 43, **levels}
        assert {level: len(these) for level, these in found.items()} == counts
        for level in found.values():
            polygons = coverage(level)
            assert shapely.coverage_is_valid(polygons)
            assert shapely.is_valid(polygons).all()
            assert (shapely.area(polygons) > 0).all()
        encoded = sum(len(text) for text in shapely.to_geojson(coverage(found["municipality"])))
        assert 300_000 < encoded < kilobytes * 1000
        for fine, coarse in zip(list(found)[:0:-1], list(found)[-2::-1], strict=True):
            assert vertices(found[coarse]) <= vertices(found[fine])
