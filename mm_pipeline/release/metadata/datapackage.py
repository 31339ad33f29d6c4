"""``datapackage.json``: the data dictionary of a released folder, for programs (Data Package v2).

Every table in its three formats and every code list: columns with type, meaning and constraints, keys, size and hash. The
description comes from ``schemas`` and the code lists and is true of the files: a validator finds no fault.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mm_pipeline.files.checksum import sha256
from mm_pipeline.release.codelists import LABELS
from mm_pipeline.release.files import CODES
from mm_pipeline.release.metadata import json_text
from mm_pipeline.release.metadata.citation import PUBLISHER
from mm_pipeline.release.metadata.fiche import heading
from mm_pipeline.release.revisions import REASONS, SEPARATOR
from mm_pipeline.release.tables import KEYS
from mm_pipeline.schemas import RELEASED_REVISIONS, Column, Table

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"

_COUNTS = {"beneficiaries", "patients"} | {
    column.name for column in RELEASED_REVISIONS.columns if pa.types.is_int64(column.type)
}
_TYPES = {
    "boolean": pa.types.is_boolean,
    "integer": pa.types.is_integer,
    "date": pa.types.is_date,
    "number": pa.types.is_floating,
}
"""Type of a field -> whether an Arrow type is of it. Any other is ``string``."""
_REASON = f"({'|'.join(REASONS)})"

_AREA = r"BE|[0-9]{5}([0-9A-Z-]{4})?"

_CSV = {"type": "table", "format": "csv", "mediatype": "text/csv", "encoding": "utf-8"}
_PARQUET = {"type": "table", "format": "parquet", "mediatype": "application/vnd.apache.parquet"}

_CODE_LIST_KEYS = {"category": ["dimension", "code"], "area": ["first_year", "level", "area_code"]}
_CODE_LIST_COLUMNS = {
    "code": "code, as in the tables",
    "dimension": "dimension of the category",
    "first_year": "first year in which the area has this code, parent and name",
    "last_year": "last such year that the release holds",
    "level": "level of the area",
    "area_code": "NIS code, sector code, or BE",
    "parent_code": "the area one level up; empty for BE",
    "label_fr": "French label",
    "label_nl": "Dutch label",
    "label_de": "German label",
    "label_en": "English label",
}

_SOURCES = [
    {"title": f"{PUBLISHER}: yearly extracts of the health insurers (not public)"},
    {"title": "Statbel (Directorate-general Statistics – Statistics Belgium): codes and names of areas, CC BY 4.0"},
]


def datapackage(
    folder: Path, tables: Sequence[Table], *, years: Sequence[int], synthetic: bool, version: str | None = None
) -> str:
    """The text of ``datapackage.json`` for a folder that holds ``tables`` (of ``schemas``) and ``codelists/``.

    A table that is missing in a format is left out there. ``years``: those that the folder holds. ``version``: the number of
    the release, for the series; the folder of a year has none.
    """
    lists = sorted(folder.glob("codelists/*.csv"))
    named = {f"codelist-{path.stem}" for path in lists}
    about = heading("en", synthetic=synthetic)
    if version is None:
        about["title"] += f", {years[0]}"
    resources = [resource for table in tables for resource in _table_resources(folder, table, years, named)]
    return json_text(
        {
            "$schema": PROFILE,
            "name": "stat_003_007" if version else f"stat_003_007-{years[0]}",
            **about,
            **({"version": version} if version else {}),
            "contributors": [{"title": PUBLISHER, "roles": ["publisher"]}],
            "sources": _SOURCES,
            "resources": [*resources, *map(_code_list_resource, lists)],
        }
    )


def _table_resources(
    folder: Path, table: Table, years: Sequence[int], lists: Container[str]
) -> Iterator[dict[str, Any]]:
    # Of revisions also the years that a release left out.
    fields = [_field(column, () if table is RELEASED_REVISIONS else years) for column in table.columns]
    foreign = [key for key in _foreign_keys(table) if key["reference"]["resource"] in lists]
    keys = [name for name in table.column_names if name in KEYS]
    schema = {"fields": fields, "missingValues": [""], "primaryKey": keys, "foreignKeys": foreign}
    spreadsheet = {
        **schema,
        "fields": [_excel_field(field) for field in fields],
        "foreignKeys": [key for key in foreign if not set(CODES) & set(key["fields"])],
    }
    # Parquet marks missing values itself; frictionless (5.21) reads them as nan and must be told so.
    binary = {**schema, "missingValues": ["", "nan"]}
    formats: list[tuple[str, str, dict[str, Any]]] = [
        ("", ".csv", {**_CSV, "schema": schema}),
        ("-excel", ".excel.csv", {**_CSV, "dialect": {"delimiter": ";"}, "schema": spreadsheet}),
        ("-parquet", ".parquet", {**_PARQUET, "schema": binary}),
    ]
    for kind, suffix, described in formats:
        if (path := folder / f"{table.name}{suffix}").is_file():
            yield {"name": f"{table.name}{kind}", "path": path.name, **described, **_content(path)}


def _code_list_resource(path: Path) -> dict[str, Any]:
    columns = list(pd.read_csv(path, nrows=0))
    keys = _CODE_LIST_KEYS.get(path.stem, ["code"])
    required = {"constraints": {"required": True}}
    fields = [
        {"name": column, "type": "integer" if column.endswith("_year") else "string"}
        | {"description": _CODE_LIST_COLUMNS[column], **(required if column in keys else {})}
        for column in columns
    ]
    schema = {"fields": fields, "missingValues": [""], "primaryKey": keys}
    place = {"name": f"codelist-{path.stem}", "path": f"codelists/{path.name}"}
    return {**place, **_CSV, "schema": schema, **_content(path)}


def _content(path: Path) -> dict[str, Any]:
    # frictionless (5.21) does not count the bytes of Parquet and would report a difference.
    size = {} if path.suffix == ".parquet" else {"bytes": path.stat().st_size}
    return {**size, "hash": f"sha256:{sha256(path)}"}


def _field(column: Column, years: Sequence[int]) -> dict[str, Any]:
    kind = next((name for name, is_of in _TYPES.items() if is_of(column.type)), "string")
    field = {"name": column.name, "type": kind, "description": column.description}
    constraints = dict(_constraints(column, years))
    return field | ({"constraints": constraints} if constraints else {})


def _constraints(column: Column, years: Sequence[int]) -> Iterator[tuple[str, Any]]:
    name = column.name
    if name in KEYS or name in ("status", "synthetic", "release_date", "reasons"):
        yield "required", True
    if name in LABELS:
        yield "enum", list(LABELS[name]) if name != "category" else list(dict.fromkeys(chain(*LABELS[name].values())))
    elif name in CODES:
        yield "pattern", f"({_AREA})"
    elif name == "year" and years:
        yield from {"minimum": min(years), "maximum": max(years)}.items()
    elif name == "threshold":
        yield from {"minimum": 1, "maximum": 12}.items()
    elif name == "reasons":
        yield "pattern", f"{_REASON}({SEPARATOR}{_REASON})*"
    elif name == "release":
        yield "minimum", 1
    elif name in _COUNTS:
        yield "minimum", 0
    elif pa.types.is_floating(column.type):
        yield from {"minimum": 0, "maximum": 100 if name == "rate_percent" else 10_000}.items()


def _excel_field(field: Mapping[str, Any]) -> dict[str, Any]:
    """A field of ``.excel.csv``: numbers with a decimal comma, codes as ``="04000"`` (see ``release/files``)."""
    if field["type"] == "number":
        return {**field, "decimalChar": ","}
    if field["name"] in CODES:
        description = f'{field["description"]}; written ="…", so that a spreadsheet takes it for text'
        constraints = {**field["constraints"], "pattern": f'="({_AREA})"'}
        return {**field, "description": description, "constraints": constraints}
    return dict(field)


def _foreign_keys(table: Table) -> Iterator[dict[str, Any]]:
    """The foreign keys of a table into the code lists.

    None from the areas of ``rates``: sectors of a year without a sector table are in no list.
    """
    references = [([name], name, ["code"]) for name in LABELS if name != "category"]
    references += [(["dimension", "category"], "category", ["dimension", "code"])]
    if "dimension" not in table.column_names:
        references += [(["level", "area_code"], "area", ["level", "area_code"])]
    for fields, name, target in references:
        if set(fields) <= set(table.column_names):
            yield {"fields": fields, "reference": {"resource": f"codelist-{name}", "fields": target}}
