"""The release holds nothing that only the restricted zones know: every byte of it is read.

Two ways: what must not be there is looked for, in every file and in what is packed inside it; and the release is made
again with everything above the protected tables taken away, to the same bytes.
"""

import csv
import gzip
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from mm_pipeline import schemas
from mm_pipeline.defs.assets import release
from mm_pipeline.files.checksum import checksum_path
from mm_pipeline.operations import sign_off
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import YEARS, Installation, failure
from mm_pipeline_tests.support.releases import content
from mm_pipeline_tests.support.restricted_values import delivered, patient_keys

KEY = ("level", "area_code", "dimension", "category")
DERIVED = [
    "patients",
    "rate_per_10000",
    "rate_percent",
    "rate_per_10000_lower",
    "rate_per_10000_upper",
    "reliability",
]

PUBLIC_LAKE = {
    table.name
    for table in (
        schemas.PROTECTED_RATES,
        schemas.PROTECTED_SENSITIVITY,
        schemas.RELEASES,  # which tables went out: hashes
        schemas.SHOWN_SENSITIVITY,
        schemas.CLEARED,
        schemas.GEOGRAPHY,
        schemas.DISCLOSED_RATES,  # which tables are known; its counts are wiped out below
    )
}


@pytest.mark.parametrize(
    ("asset", "broken"),
    [
        ("published_year", "rates_by_region"),
        ("published_year", "_files"),
        ("published_year", "markdown_table"),
        ("published_year", "_signed_off"),
        ("published_series", "rates_by_region"),
        ("published_series", "_revisions"),
        ("published_series", "_earlier_releases"),
        ("atlas_page", "rates_by_region"),
        ("atlas_page", "_files"),
    ],
)
def test_nothing_public_is_replaced_before_all_that_can_fail_has_succeeded(copy, monkeypatch, asset, broken):
    """What the UI shows is worked out before the switch: the message says that earlier results are as they were."""
    year = YEARS[-1] if asset == "published_year" else None
    public, inodes = content(copy.settings.published_dir), inodes_of(copy.settings.published_dir)
    lake = Lake(copy.settings.lake_dir)
    remembered = lake.path(schemas.RELEASES, YEARS[-1]).read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise TypeError("of no region")

    with monkeypatch.context() as patched:
        patched.setattr(release, broken, fail)
        result = copy.materialise(asset, year=year, fails=True)
    assert "Earlier results are as they were" in failure(result)
    assert content(copy.settings.published_dir) == public
    assert inodes_of(copy.settings.published_dir).items() >= inodes.items(), "not even by the same bytes"
    assert lake.path(schemas.RELEASES, YEARS[-1]).read_bytes() == remembered
    copy.materialise(asset, year=year)


def inodes_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_a_region_without_beneficiaries(copy):
    """Built, released in a person's name, and shown: a rate of nobody is no number to round."""
    year, folder = YEARS[-1], copy.raw(YEARS[-1])
    path = folder / "beneficiaries.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        text = file.read()
    delimiter = ";" if text.partition("\n")[0].count(";") else ","
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    names = {"municipality_code", "PP0025"} & rows[0].keys()
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | dict.fromkeys(names, "21001.0") | {"sector_code": ""} for row in rows)
    (folder / "manifest.json").write_text('{"synthetic": true, "sample": 0.02}')
    with copy.backfill() as (backfill, _instance):
        assert [result.outcome for result in backfill.years([year])] == ["held"]
        sign_off.release(copy.settings, year, "An Peeters", "Planted.")
        (result,) = backfill.years([year])
    assert (result.outcome, result.problems) == ("built", []), result.problems
    rates = pq.read_table(copy.settings.published_dir / str(year) / "rates.parquet").to_pylist()
    regions = {row["area_code"]: row for row in totals_of(rates, "region")}
    (country,) = totals_of(rates, "country")
    assert {code: row["beneficiaries"] for code, row in regions.items()} == {
        "02000": 0,
        "03000": 0,
        "04000": country["beneficiaries"],
    }
    assert [regions[code]["rate_per_10000"] for code in ("02000", "03000")] == [None, None]
    assert regions["04000"]["rate_per_10000"] == country["rate_per_10000"]


def totals_of(rates: list[dict], level: str) -> list[dict]:
    return [row for row in rates if row["level"] == level and row["dimension"] == "total"]


def texts_of(path: Path) -> Iterator[str]:
    """What can be read in a file: its bytes, and what its format packs."""
    yield path.read_bytes().decode("latin-1")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        yield str(file.metadata.metadata) + str(file.schema_arrow.metadata)
        yield from (" ".join(map(str, column.to_pylist())) for column in file.read().columns)


def words_of(path: Path) -> set[str]:
    return {word for text in texts_of(path) for word in re.findall(r"[\w-]+", text)}


def released_files(installation: Installation) -> list[Path]:
    files = [path for path in installation.settings.published_dir.rglob("*") if path.is_file()]
    suffixes = {path.suffix for path in files}
    assert {".csv", ".parquet", ".xlsx", ".json", ".jsonld", ".html", ".cff", ".md"} <= suffixes
    return files


def test_no_patient_no_house_and_no_path_in_any_byte(built):
    people = delivered(built, "patient_id") | delivered(built, "household_id") | patient_keys(built)
    assert any(word.startswith("synh") for word in people)
    places = delivered(built, "house_id") | delivered(built, "practice_id")
    assert len(people) > 10_000
    assert len(places) > 10
    for path in released_files(built):
        words = words_of(path)
        assert not words & people, f"{path.name}: a patient"
        assert not words & places, f"{path.name}: a house or practice"
        for text in texts_of(path):
            for private in (str(built.root), str(Path.home()) + "/", "id.key", "data/lake"):
                assert private not in text, f"{path.name}: {private}"


def test_a_planted_secret_is_found(built, tmp_path):
    """The test above can fail: a patient in a cell of a Parquet file, a house in a workbook."""
    patient, house = sorted(delivered(built, "patient_id"))[0], sorted(delivered(built, "house_id"))[0]
    pq.write_table(pa.table({"note": [f"see {patient}"]}), tmp_path / "a.parquet", compression="zstd")
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", f"<c>{house}</c>")
    assert patient in words_of(tmp_path / "a.parquet")
    assert house in words_of(tmp_path / "a.xlsx")


@pytest.fixture
def copy(built, tmp_path) -> Installation:
    return built.copied_to(tmp_path / "installation")


def test_the_release_is_made_from_the_protected_tables_alone(copy):
    """Nothing else can be in it: with deliveries, persons and small numbers taken away it comes out the same."""
    before = {path.relative_to(copy.root): path.read_bytes() for path in released_files(copy)}
    shutil.rmtree(copy.settings.raw_dir)
    for folder in copy.settings.lake_dir.iterdir():
        if folder.name not in PUBLIC_LAKE:
            shutil.rmtree(folder)
    for year in YEARS:
        kept = Lake(copy.settings.lake_dir).path(schemas.DISCLOSED_RATES, year)
        table = pq.ParquetFile(kept).read()
        for name in ("beneficiaries", "patients"):
            table = table.set_column(table.column_names.index(name), name, pa.array([0] * len(table), pa.int64()))
        pq.write_table(table, kept)
        checksum_path(kept).unlink()
    for year in YEARS:
        copy.materialise("published_year", year=year)
    copy.materialise("published_series", "atlas_page")
    after = {path.relative_to(copy.root): path.read_bytes() for path in released_files(copy)}
    assert after.keys() == before.keys()
    assert [str(path) for path in before if before[path] != after[path]] == []


def rows_of(folder: Path, name: str) -> list[dict[str, str | None]]:
    """The rows of a released table as texts, whatever its format."""
    path = folder / name
    if path.suffix == ".parquet":
        rows = pq.ParquetFile(path).read().to_pylist()
        return [{key: None if value is None else str(value) for key, value in row.items()} for row in rows]
    excel = name.endswith(".excel.csv")
    with path.open(newline="", encoding="utf-8-sig" if excel else "utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";" if excel else ","))
    return [{key: value.removeprefix('="').removesuffix('"') or None for key, value in row.items()} for row in rows]


@pytest.mark.parametrize("name", ["rates.csv", "rates.excel.csv", "rates.parquet"])
def test_hidden_cells_are_empty_whatever_the_format(built, name):
    """The cells that the protected table hides have no number but their beneficiaries, where it shows these."""
    lake = Lake(built.settings.lake_dir)
    for year in YEARS:
        protected = pq.read_table(lake.path(schemas.PROTECTED_RATES, year), partitioning=None).to_pylist()
        hidden = {
            tuple(row[name] for name in KEY): row["beneficiaries"] for row in protected if row["status"] == "suppressed"
        }
        assert hidden
        for folder in (str(year), "series"):
            found = 0
            for row in rows_of(built.settings.published_dir / folder, name):
                key = tuple(row[name] for name in KEY)
                if row["year"] == str(year) and key in hidden:
                    found += 1
                    people = hidden[key]
                    assert row["beneficiaries"] == (None if people is None else str(people))
                    assert [row[name] for name in DERIVED] == [None] * len(DERIVED), key
            assert found == len(hidden)
