"""The years, as Dagster partitions."""

import warnings

import dagster as dg

from mm_pipeline.clock import FIRST_YEAR, LAG_YEARS

# Partitioned checks, code references: in use on purpose, with tests that would notice a change of behaviour. Dagster
# warns of them once per asset and check, which buries the messages that an operator must see.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)

YEARS = dg.TimeWindowPartitionsDefinition(
    start=str(FIRST_YEAR),
    fmt="%Y",
    cron_schedule="0 0 1 1 *",
    # A yearly window ends with its year, so plain Dagster offers 2003 ... t-1; one less gives t-2.
    end_offset=1 - LAG_YEARS,
    timezone="Europe/Brussels",
)
