"""How assets are declared: their stage, their code version, and what runs around the function of each."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

import mm_pipeline
from mm_pipeline.defs.contained import contained
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.defs.resources.lake import LakeIOManager, LakeParam
from mm_pipeline.schemas import LAKE_TABLES, Table
from mm_pipeline.settings import Settings

CODE_REFERENCES = "dagster/code_references"

SettingsParam = dg.ResourceParam[Settings]

_PACKAGE = Path(mm_pipeline.__file__).resolve().parent


@dataclass(frozen=True)
class Stage:
    """A group of assets: who answers for it and who may see its rows."""

    group: str
    owner: str
    zone: str


RESTRICTED, CONFIDENTIAL, PUBLIC = "restricted", "confidential", "public"
"""Zones: of persons; of small numbers and houses; of what everybody may see."""

DELIVERIES = Stage("deliveries", "team:deliveries", RESTRICTED)
PATIENTS = Stage("patients", "team:statistics", RESTRICTED)
HOUSES = Stage("houses", "team:statistics", CONFIDENTIAL)
RATES = Stage("rates", "team:statistics", CONFIDENTIAL)
PROTECTION = Stage("protection", "team:publication", PUBLIC)
PUBLICATION = Stage("publication", "team:publication", PUBLIC)


@cache
def code_version(*rooms: str) -> str:
    """A hash of the source of these rooms (folders or modules of the package): what a result depends on beside data.

    A room holds all its files, texts as much as code, but not what an interpreter, an editor or a file manager leaves there.
    """
    digest = hashlib.sha256()
    for room in sorted({*rooms, "schemas", "dimensions"}):
        path = _PACKAGE / room
        files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}.*")
        for file in sorted(files):
            is_left = "__pycache__" in file.parts or file.name.startswith(".") or file.name.endswith("~")
            if file.is_file() and not is_left:
                digest.update(file.relative_to(_PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def described(
    stage: Stage,
    description: str,
    *,
    table: Table | None = None,
    zone: str = "",
    code: Sequence[str],
    kinds: set[str] | None = None,
    yearly: bool = True,
    uri: str = "",
) -> dict[str, Any]:
    """What every asset of a stage has: group, owner, tags, kinds, columns, code version.

    ``zone``: if not that of the stage. ``uri``: where the result lies; by default the table's place in the lake.
    """
    metadata: dict[str, Any] = {}
    if table is not None:
        # The UI reads a description as Markdown, where <NIS5> would be an HTML tag and vanish.
        columns = [
            dg.TableColumn(column.name, str(column.type), description=column.description.replace("<", r"\<"))
            for column in table.columns
        ]
        metadata["dagster/column_schema"] = dg.TableSchema(columns)
        uri = uri or f"data/lake/{table.name}/year=<year>/part-0.parquet"
    if uri:
        metadata["dagster/uri"] = uri
    return {
        "partitions_def": YEARS if yearly else None,
        "group_name": stage.group,
        "owners": [stage.owner],
        "tags": {"zone": zone or stage.zone},
        "kinds": kinds or {"duckdb", "parquet"},
        "description": description,
        "metadata": metadata,
        "code_version": code_version(*code),
    }


def declared(stage: Stage, description: str, *, table: Table | None = None, **more: Any) -> dict[str, Any]:
    """Arguments of ``@dg.asset``: those of :func:`described`; a table of the lake is loaded through the IO manager."""
    is_kept = table is not None and table.name in LAKE_TABLES
    return {**described(stage, description, table=table, **more), "io_manager_key": "lake" if is_kept else None}


def table_spec(stage: Stage, table: Table, description: str, *, deps: Sequence[str], **more: Any) -> dg.AssetSpec:
    """One table of an asset that writes several."""
    return dg.AssetSpec(table.name, deps=deps, **described(stage, description, table=table, **more))


def lake_asset(
    stage: Stage,
    table: Table,
    description: str,
    *,
    code: Sequence[str],
    ins: Mapping[str, dg.AssetIn] | None = None,
    deps: Sequence[str] = (),
    kinds: set[str] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorator of an asset that is a table of the lake: a function from its tables, by their names, to its rows.

    ``code``: folders or modules of the package that compute it. It returns a table, or
    :class:`~mm_pipeline.defs.resources.lake.Rows`.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        arguments = declared(stage, description, table=table, code=code, kinds=kinds)
        # Dagster's own reference would be to the function around this one.
        place = dg.LocalFileCodeReference(
            file_path=inspect.getfile(function), line_number=inspect.getsourcelines(function)[1]
        )
        arguments["metadata"][CODE_REFERENCES] = dg.CodeReferencesMetadataValue(code_references=[place])
        return dg.asset(name=table.name, ins=ins, deps=deps, **arguments)(_contained(table.name, function))

    return decorate


def _contained(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, of which no message but an operator's leaves, and whose session ends when it fails.

    It has the parameters ``context``, ``settings`` and ``lake`` beside its own, where it has them not.
    """
    signature = inspect.signature(function)
    own = signature.parameters

    @functools.wraps(function)
    def run(context: dg.AssetExecutionContext, settings: Settings, lake: LakeIOManager, **inputs: Any) -> Any:
        given = {"context": context, "settings": settings, "lake": lake}
        try:
            with contained(settings, f"{context.partition_key}-{name}"):
                return function(**inputs, **{each: given[each] for each in given if each in own})
        except BaseException:
            lake.close()
            raise

    added = {"context": dg.AssetExecutionContext, "settings": SettingsParam, "lake": LakeParam}
    parameters = [
        inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
        for each, annotation in added.items()
    ]
    inputs = [each for each in own.values() if each.name not in added]
    run.__signature__ = signature.replace(parameters=[*parameters, *inputs])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, **added}
    return run
