"""What lies in a released folder, what a check said of it, and a program that releases something else."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mm_pipeline import schemas
from mm_pipeline.definitions import build_definitions
from mm_pipeline.defs.assets import release
from mm_pipeline.defs.sensors import signed_releases
from mm_pipeline.settings import Settings
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.installation import Installation


def content(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def published(installation: Installation) -> dict[Path, bytes]:
    return content(installation.settings.published_dir)


def memory(installation: Installation, year: int) -> dict[str, bytes]:
    """What counts as released of the year."""
    lake = Lake(installation.settings.lake_dir)
    return {table.name: lake.path(table, year).read_bytes() for table in (schemas.RELEASES, schemas.SHOWN_SENSITIVITY)}


def tick(installation: Installation, settings: Settings) -> list[dg.RunRequest] | str:
    """What the sensor of waiting releases asks for, or why it asks for nothing."""
    definitions = build_definitions(settings=settings)
    with (
        installation.instance() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=definitions.get_repository_def(), resources={"settings": settings}
        ) as context,
    ):
        found = signed_releases(context)
    return found.skip_message if isinstance(found, dg.SkipReason) else found


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
