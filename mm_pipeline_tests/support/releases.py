"""What lies in a released folder, what a check said of it, and a program that releases something else."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mm_pipeline.defs.assets import release


def content(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    return found


def rewrite(patch: pytest.MonkeyPatch, name: str) -> None:
    """Another version of the program, which gives Belgium another name."""
    released_rates: Callable[..., pa.Table] = release.released_rates

    def renamed(*arguments, **named):
        table = released_rates(*arguments, **named)
        position = table.column_names.index("area_name_fr")
        names = pc.if_else(pc.equal(table["level"], "country"), name, table["area_name_fr"])
        return table.set_column(position, table.schema.field(position), names)

    patch.setattr(release, "released_rates", renamed)
    patch.setattr(release, "code_version", lambda *rooms: name)
