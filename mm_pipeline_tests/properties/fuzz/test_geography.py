"""Reference files of any bytes: refused in words, or the areas are those that Python reads in the file."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.reference.areas import areas
from mm_pipeline.reference.outlines import outlines_for
from mm_pipeline_tests.properties.fuzz.cases import chance, hold_message, json_text, mutated, run

YEAR = 2019
CASES = {
    "refnis.csv": 600,
    "TU_COM_REFNIS.txt": 500,
    "sectors.geojson": 400,
    "sectors.geojson.zip": 200,
    "outlines": 250,
}

COLUMNS = ("level", "code", "parent_code", "name_fr", "name_nl", "name_de", "valid_from", "valid_to")
STATBEL = (
    *("LVL_REFNIS", "CD_REFNIS", "CD_SUP_REFNIS", "TX_REFNIS_FR", "TX_REFNIS_NL", "TX_REFNIS_DE"),
    *("DT_VLDT_START", "DT_VLDT_END"),
)
LEVELS = ("region", "province", "arrondissement", "municipality")
UNITS = (
    ("region", "02000", "", "Région flamande"),
    ("province", "10000", "02000", "Province d'Anvers"),
    ("arrondissement", "11000", "10000", "Anvers"),
    ("municipality", "11001", "11000", "Aartselaar"),
    ("municipality", "11002", "11000", "Anvers"),
    ("region", "04000", "", "Bruxelles"),
    ("arrondissement", "21000", "04000", "Bruxelles"),
    ("municipality", "21004", "21000", "Bruxelles"),
)
ODD_DATES = (
    "",
    "2019-02-29",
    "9999-12-31",
    "0000-01-01",
    "31/12/9999",
    "2562-01-01",
    "２０１９-01-01",
    "2019-12-31",
    "2020-01-01",
)
ODD_CODES = ("", "-", "11001", "1100", "011001", "1100１", "BE", "04000", "\u202e11001", "99999")


def rows_of(random: Random) -> list[list[str]]:
    odd = random.choice((0.0, 0.01, 0.05))
    rows = []
    for level, code, parent, name in UNITS:
        row = [
            level,
            code,
            parent,
            name,
            name,
            name,
            "1977-01-01",
            random.choice(("9999-12-31", "9999-12-31", "2024-12-31")),
        ]
        for i, odds in enumerate(
            (LEVELS, ODD_CODES, ODD_CODES, ("", "x" * 3000), ("\x1b[1m",), ("a|b",), ODD_DATES, ODD_DATES)
        ):
            row[i] = random.choice(odds) if chance(random, odd) else row[i]
        rows.append(row)
    return rows


def refnis_of(random: Random) -> bytes:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator=random.choice(("\n", "\r\n")), quoting=random.choice((0, 1)))
    writer.writerows([COLUMNS, *rows_of(random)])
    return target.getvalue().encode("utf-8-sig" if chance(random, 0.2) else "utf-8")


def statbel_of(random: Random) -> bytes:
    rows = []
    for level, code, parent, *names, since, until in rows_of(random):
        days = [
            f"{day[8:10]}/{day[5:7]}/{day[0:4]}" if re.fullmatch(r"\d{4}-\d\d-\d\d", day) else day
            for day in (since, until)
        ]
        rows.append([str(LEVELS.index(level) + 1), code, parent or "-", *names, *days])
    return "\n".join("|".join(row) for row in [list(STATBEL), *rows]).encode()


def units_in(data: bytes, *, statbel: bool) -> set[tuple[str, str, str, str]]:
    """Level, code, parent and French name of what is in force at the end of the year, as Python reads it."""
    text = io.StringIO(data.decode("utf-8-sig"), newline="")
    found = csv.reader(text, delimiter="|", quoting=csv.QUOTE_NONE) if statbel else csv.reader(text, strict=True)
    header, *rows = [row for row in found if row]
    place = {name.strip().lower(): i for i, name in reversed(list(enumerate(header)))}
    at = [place[name.lower()] for name in (STATBEL if statbel else COLUMNS)]
    units = set()
    for row in rows:
        level, code, parent, name, *_, since, until = (row[i].strip() for i in at)
        if statbel:
            level, parent = LEVELS[int(level) - 1], parent.replace("-", "")
            since, until = ("-".join(reversed(day.split("/"))) for day in (since, until))
        if date.fromisoformat(since) <= date(YEAR, 12, 31) <= date.fromisoformat(until):
            units.add((level, code, parent or "BE", name))
    return units


def areas_in(folder: Path) -> set[tuple[str, str, str, str]]:
    table = areas(folder, YEAR).to_pylist()
    return {
        (row["level"], row["area_code"], row["parent_code"], row["name_fr"])
        for row in table
        if row["level"] != "country" and (row["level"], row["area_code"]) != ("province", "04000")
    }


def sector(code: str, municipality: str, west: float, south: float) -> dict[str, Any]:
    ring = [[west, south], [west + 0.1, south], [west + 0.1, south + 0.1], [west, south + 0.1], [west, south]]
    return {
        "type": "Feature",
        "properties": {"CD_SECTOR_REFNIS": code, "CD_MUNTY_REFNIS": municipality, "TX_SECTOR_DESCR_FR": f"S {code}"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


SECTORS = {
    "type": "FeatureCollection",
    "features": [
        sector("21004A001", "21004", 4.3, 50.8),
        sector("21004A00-", "21004", 4.4, 50.8),
        sector("11001A001", "11001", 4.3, 51.1),
        sector("11002ZZZZ", "11002", 4.4, 51.1),
    ],
}


def geojson_of(random: Random) -> bytes:
    text = json_text(random, SECTORS, random.choice((0.0, 0.005, 0.02, 0.1))).encode()
    return mutated(random, text, most=2) if chance(random, 0.4) else text


def archive_of(random: Random) -> bytes:
    target = io.BytesIO()
    method = random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(target, "w", method) as archive:
        for name in random.choice(
            (["a.geojson"], ["é/a.json"], ["a.geojson", "__MACOSX/a.geojson"], ["a.json", "b.json"], [])
        ):
            archive.writestr(name, geojson_of(random))
    return mutated(random, target.getvalue(), most=2) if chance(random, 0.6) else target.getvalue()


def sectors_in(data: bytes) -> set[tuple[str, str]]:
    """Code and municipality of the sectors that count, as Python reads them."""
    found = set()
    for feature in json.loads(data.decode("utf-8-sig"))["features"]:
        properties = feature["properties"]
        code, municipality = (
            str(
                next(
                    value for name in names if (value := properties.get(name, properties.get(name.lower()))) is not None
                )
            ).strip()
            for names in (("CD_SECTOR_REFNIS", "CD_SECTOR"), ("CD_MUNTY_REFNIS",))
        )
        if not code.endswith("ZZZZ") and municipality in ("21004", "11001", "11002"):
            found.add((code, municipality))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "refnis.csv").write_bytes(
        "\n".join(
            ",".join(row)
            for row in [COLUMNS, *((*unit, unit[3], unit[3], "1977-01-01", "9999-12-31") for unit in UNITS)]
        ).encode()
    )
    return tmp_path


@pytest.mark.parametrize("kind", CASES)
def test_geography(folder: Path, report: Callable[[str], None], kind: str) -> None:
    def case(random: Random) -> str:
        make = {
            "refnis.csv": refnis_of,
            "TU_COM_REFNIS.txt": statbel_of,
            "sectors.geojson.zip": archive_of,
        }.get(kind, geojson_of)
        data = make(random)
        if "REFNIS" in kind.upper() and chance(random, 0.6):
            data = mutated(random, data, most=2)
        path = folder / ("sectors_2019.geojson" if kind == "outlines" else kind.replace("sectors", "sectors_2019"))
        path.write_bytes(data)
        try:
            if kind == "outlines":
                drawn = outlines_for(folder, [YEAR])[YEAR]
                assert all(polygon.is_valid for level in drawn.areas.values() for polygon in level.values())
                return "taken"
            found = areas_in(folder)
        except ReferenceDataError as error:
            hold_message(error)
            return "refused"
        if "sectors" in kind:
            content = data
            if kind.endswith("zip"):
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    content = next(
                        archive.read(name) for name in archive.namelist() if not name.startswith("__MACOSX/")
                    )
            assert {(code, above) for level, code, above, _ in found if level == "sector"} == sectors_in(content)
        else:
            assert found == units_in(data, statbel=kind.endswith(".txt"))
        return "taken"

    counts = run(f"test_geography[{kind}]", CASES[kind], case, report)
    assert counts.total() == 1 or counts.keys() == {"refused", "taken"}
