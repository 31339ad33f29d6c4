"""The jobs that operators start, and that schedules and sensors start for them."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from mm_pipeline.defs.assets.common import PUBLICATION
from mm_pipeline.defs.checks.series import STATUS_CHECKS
from mm_pipeline.defs.partitions import YEARS
from mm_pipeline.operations.runs import CHECKS_JOB, SERIES_ASSETS, SERIES_JOB, STATUS_JOB, YEARLY_JOB

series_job = dg.define_asset_job(
    SERIES_JOB,
    selection=dg.AssetSelection.assets(*SERIES_ASSETS),
    description="The tables of all years in one, and the page. Runs by itself after a year was rebuilt.",
    tags={"group": PUBLICATION.group},
)

yearly_job = dg.define_asset_job(
    YEARLY_JOB,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*SERIES_ASSETS),
    partitions_def=YEARS,
    description="One year from its deliveries to its published tables, with all checks.",
)


def checks_job(checks: Iterable[dg.AssetChecksDefinition]) -> Any:
    """The job of these yearly checks: in the UI a partitioned check cannot be executed by itself."""
    return dg.define_asset_job(
        CHECKS_JOB,
        selection=dg.AssetSelection.checks(*checks),
        # Of a job without assets Dagster forgets the partitions, unless its configuration has them.
        config=dg.PartitionedConfig(YEARS, run_config_for_partition_key_fn=lambda _year: {}),
        description="Looks at a year anew with its checks, by tolerances and suites as they are now; makes no table. "
        "The checks that are part of making their asset come with that.",
    )


status_job = dg.define_asset_job(
    STATUS_JOB,
    selection=dg.AssetSelection.checks(
        *(dg.AssetCheckKey(dg.AssetKey("published_series"), name) for name in STATUS_CHECKS)
    ),
    description="Looks whether every delivered year is built and released as it should be, and whether the newest one is "
    "overdue; changes nothing. The same as `mm-pipeline status`.",
    tags={"group": PUBLICATION.group},
)
