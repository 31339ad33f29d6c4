"""The data package: valid by frictionless, true of the files, and a file that breaks a promise of it is found."""

import csv
import datetime
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import frictionless
import pyarrow as pa
import pytest

from mm_pipeline.files.checksum import sha256
from mm_pipeline.release.files import write_table
from mm_pipeline.release.metadata.datapackage import PROFILE, datapackage
from mm_pipeline.schemas import RELEASED_RATES, RELEASED_REVISIONS
from mm_pipeline_tests.support.paths import REPOSITORY
from mm_pipeline_tests.unit.release.metadata.conftest import TABLES


def described(folder: Path) -> dict[str, Any]:
    """Written beside the files, and read."""
    text = datapackage(folder, TABLES, years=[2024], synthetic=True)
    (folder / "datapackage.json").write_text(text, encoding="utf-8")
    return json.loads(text)


def faults(folder: Path) -> list[tuple[str, str]]:
    """Resource and kind of each fault that frictionless finds in the package as it is written."""
    report = frictionless.validate(str(folder / "datapackage.json"))
    assert not report.errors, report.errors
    return [(task.name, error.type) for task in report.tasks for error in task.errors]


def resources(package: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {resource["name"]: resource for resource in package["resources"]}


def constraints(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field.get("constraints", {}) for field in resource["schema"]["fields"]}


def test_valid_by_frictionless(folder):
    described(folder)
    assert faults(folder) == []


def test_every_table_in_every_format_and_every_code_list(folder):
    found = resources(described(folder))
    tables = {f"{table.name}{kind}" for table in TABLES for kind in ("", "-excel", "-parquet")}
    lists = {f"codelist-{path.stem}" for path in (folder / "codelists").iterdir()}
    assert len(lists) == 7
    assert set(found) == tables | lists
    for resource in found.values():
        path = folder / resource["path"]
        assert resource["hash"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        assert resource.get("bytes", path.stat().st_size) == path.stat().st_size
        assert ("bytes" in resource) == (path.suffix == ".csv")


def test_the_data_dictionary_has_the_schemas(folder):
    found = resources(described(folder))
    for table in TABLES:
        for kind in ("", "-excel", "-parquet"):
            fields = found[f"{table.name}{kind}"]["schema"]["fields"]
            assert [field["name"] for field in fields] == table.column_names
            for field, column in zip(fields, table.columns, strict=True):
                assert field["description"].startswith(column.description)
    types = {field["name"]: field["type"] for field in found["rates"]["schema"]["fields"]}
    assert types["year"] == types["patients"] == "integer"
    assert types["rate_percent"] == "number"
    assert types["area_code"] == "string"
    assert types["synthetic"] == "boolean"


def test_how_a_spreadsheet_file_is_read(folder):
    resource = resources(described(folder))["rates-excel"]
    assert resource["dialect"] == {"delimiter": ";"}
    assert {field.get("decimalChar") for field in resource["schema"]["fields"] if field["type"] == "number"} == {","}


def test_what_is_said_of_values(folder):
    rules = constraints(resources(described(folder))["rates"])
    assert rules["year"] == {"required": True, "minimum": 2024, "maximum": 2024}
    assert rules["dimension"]["enum"] == ["total", "sex", "age_group", "age_class", "preferential"]
    assert rules["category"]["enum"].count("0-17") == 1
    assert "85+" in rules["category"]["enum"]
    assert rules["status"] == {"required": True, "enum": ["published", "suppressed"]}
    assert "required" not in rules["patients"]
    assert rules["rate_percent"] == {"minimum": 0, "maximum": 100}


def test_keys(folder):
    found = resources(described(folder))
    assert found["rates"]["schema"]["primaryKey"] == ["year", "level", "area_code", "dimension", "category"]
    assert found["standardised"]["schema"]["primaryKey"] == ["year", "level", "area_code"]
    assert found["sensitivity"]["schema"]["primaryKey"] == ["year", "level", "area_code", "rule", "threshold"]
    references = {key["reference"]["resource"] for key in found["sensitivity"]["schema"]["foreignKeys"]}
    assert references == {"codelist-level", "codelist-status", "codelist-rule", "codelist-area"}


def test_version_title_and_mark(folder):
    year = described(folder)
    assert year["$schema"] == PROFILE
    assert year["name"] == "stat_003_007-2024"
    assert year["title"].endswith("synthetic data (for demonstration), 2024")
    assert "version" not in year
    series = json.loads(datapackage(folder, TABLES, years=[2023, 2024], synthetic=False, version="3"))
    assert (series["name"], series["version"]) == ("stat_003_007", "3")
    assert "synthetic" not in json.dumps([series[name] for name in ("title", "description", "keywords")]).lower()


def test_a_table_that_is_not_there_is_left_out(folder):
    for path in folder.glob("s*"):
        path.unlink()
    assert not [name for name in resources(described(folder)) if name.startswith("s")]
    assert faults(folder) == []


def rewritten(path: Path, *, delimiter: str = ",", row: int = 1, **values: str) -> None:
    """Change values of one row of a CSV file; its encoding stays."""
    bom = path.read_bytes().startswith(b"\xef\xbb\xbf")
    encoding = "utf-8-sig" if bom else "utf-8"
    with path.open(newline="", encoding=encoding) as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    rows[row] |= values
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("column", "value", "fault"),
        [
            ("year", "2023", "constraint-error"),
            ("year", "", "constraint-error"),
            ("year", "MMXXIV", "type-error"),
            ("level", "commune", "constraint-error"),
            ("area_code", "4000", "constraint-error"),
            ("area_code", "BE1", "constraint-error"),
            ("area_code", "21004ZZZZX", "constraint-error"),
            ("parent_code", "x", "constraint-error"),
            ("dimension", "ages", "constraint-error"),
            ("category", "X", "constraint-error"),
            ("category", "M", "foreign-key"),  # a category, but not of this dimension
            ("beneficiaries", "-1", "constraint-error"),
            ("patients", "1.5", "type-error"),
            ("rate_per_10000", "10000.1", "constraint-error"),
            ("rate_per_10000", "1,5", "type-error"),
            ("rate_per_10000_lower", "-0.1", "constraint-error"),
            ("rate_percent", "100.1", "constraint-error"),
            ("status", "", "constraint-error"),
            ("reliability", "good", "constraint-error"),
            ("synthetic", "yes", "type-error"),
        ],
    )
    def test_a_wrong_value_is_found(self, folder, column, value, fault):
        rewritten(folder / "rates.csv", **{column: value})
        described(folder)
        assert ("rates", fault) in faults(folder)

    @pytest.mark.parametrize(
        ("column", "value", "fault"),
        [
            ("area_code", "04000", "constraint-error"),  # a spreadsheet would make 4000 of it
            ("rate_percent", "1.5", "type-error"),
            ("status", "hidden", "constraint-error"),
        ],
    )
    def test_a_wrong_value_for_a_spreadsheet_is_found(self, folder, column, value, fault):
        rewritten(folder / "rates.excel.csv", delimiter=";", **{column: value})
        described(folder)
        assert ("rates-excel", fault) in faults(folder)

    @pytest.mark.parametrize("name", ["rates.csv", "standardised.csv", "sensitivity.csv", "codelists/status.csv"])
    def test_a_row_twice_is_found(self, folder, name):
        path = folder / name
        path.write_text(path.read_text(encoding="utf-8") + path.read_text(encoding="utf-8").splitlines()[-1] + "\n")
        described(folder)
        assert "primary-key" in {fault for _, fault in faults(folder)}

    def test_an_area_that_is_in_no_list_is_found(self, folder):
        rewritten(folder / "standardised.csv", area_code="99999")
        described(folder)
        assert ("standardised", "foreign-key") in faults(folder)

    def test_a_threshold_beyond_twelve_is_found(self, folder):
        rewritten(folder / "sensitivity.csv", threshold="13")
        described(folder)
        assert ("sensitivity", "constraint-error") in faults(folder)

    def test_a_file_changed_afterwards_is_found(self, folder):
        described(folder)
        path = folder / "rates.csv"
        path.write_bytes(path.read_bytes().replace(b"Bruxelles", b"Bruxellas"))
        assert ("rates", "hash-count") in faults(folder)


def test_parquet_is_described_by_its_own_columns(folder):
    """frictionless reads no hash of Parquet; the name and hash are held against the file here."""
    resource = resources(described(folder))["rates-parquet"]
    assert resource["hash"] == f"sha256:{sha256(folder / 'rates.parquet')}"
    assert [field["name"] for field in resource["schema"]["fields"]] == RELEASED_RATES.column_names


def test_the_document_of_the_release_names_every_column():
    text = (REPOSITORY / "docs" / "release.md").read_text(encoding="utf-8")
    for table in TABLES:
        section = text.split(f"\n### {table.name}\n")[1].split("\n##")[0]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        assert set(table.column_names) <= set(named), table.name


REVISED = {
    "release": 2,
    "release_date": datetime.date(2026, 9, 5),
    "year": 2022,  # left out of the release since
    "level": "region",
    "dimension": "sex",
    **dict.fromkeys(("cells", "changed", "added", "removed", "newly_hidden", "newly_shown"), 3),
    "largest_change": 0.25,
    "reasons": "delivery; code",
}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, []),
        ({"largest_change": None}, []),
        ({"reasons": "first release of the year"}, []),
        ({"reasons": "delivery, code"}, ["constraint-error"] * 3),
        ({"reasons": "a hunch"}, ["constraint-error"] * 3),
        ({"removed": -1}, ["constraint-error"] * 3),
        ({"release": 0}, ["constraint-error"] * 3),
    ],
    ids=str,
)
def test_the_table_of_revisions(folder, values, found):
    rows = [REVISED | values, REVISED | {"dimension": "total"}]
    write_table(folder, RELEASED_REVISIONS, [pa.Table.from_pylist(rows, schema=RELEASED_REVISIONS.schema)])
    text = datapackage(folder, (*TABLES, RELEASED_REVISIONS), years=[2024], synthetic=True)
    (folder / "datapackage.json").write_text(text, encoding="utf-8")
    assert [fault for _name, fault in faults(folder)] == found
    revisions = resources(json.loads(text))["revisions"]
    assert revisions["schema"]["primaryKey"] == ["release", "year", "level", "dimension"]
    assert {field["name"]: field["type"] for field in revisions["schema"]["fields"]}["release_date"] == "date"
