"""Checks over all years: is each as it should be, and is the newest one late? They look and change nothing.

They run with the series, every morning (schedule ``daily_status``), and whenever somebody starts the job ``status``.
"""

from collections.abc import Callable
from datetime import date

import dagster as dg

from mm_pipeline.clock import FIRST_YEAR, LAG_YEARS, now
from mm_pipeline.defs.assets.common import SettingsParam
from mm_pipeline.defs.checks.framework import Outcome, failed, not_applicable, passed, result, warning
from mm_pipeline.defs.contained import contained
from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.ingest.delivery import delivery
from mm_pipeline.operations.dagster_workarounds import AssetGraph
from mm_pipeline.operations.staleness import Ledger
from mm_pipeline.operations.status import NO_DELIVERY, status
from mm_pipeline.release.inputs import released_years
from mm_pipeline.settings import Settings

UP_TO_DATE, ON_TIME = "years_up_to_date", "newest_year_on_time"
STATUS_CHECKS = (UP_TO_DATE, ON_TIME)

SERIES = "published_series"
OVERDUE_FROM = (10, 1)
"""Month and day from which year t-2 is overdue: it is added in Q3 (source fiche)."""

_NAMED = 5


def years_up_to_date(ledger: Ledger) -> Outcome:
    years = status(ledger)
    rows = [row for row in (year.row for year in years) if row["state"] != NO_DELIVERY]
    if not rows:
        return not_applicable("nothing has been delivered yet (data/raw is empty).")
    wrong = [year for year in years if not year.is_as_it_should_be]
    table = markdown_table(rows)
    if not wrong:
        return passed(f"All {len(rows)} years that were delivered are built, released and up to date.", status=table)
    said = []
    for row in (year.row for year in wrong[:_NAMED]):
        is_built = row["state"].startswith("up to date") and row["published"] == "yes"
        said.append(f"{row['year']}: " + (f"{row['fail']} checks failed" if is_built else row["state"]))
    more = f" And {len(wrong) - _NAMED} more." if len(wrong) > _NAMED else ""
    return warning(
        f"{len(wrong)} of {len(rows)} years are not as they should be. {'; '.join(said)}.{more} Build them with the job "
        "year, or `mm-pipeline backfill`; where a check failed or a file is awaited, its text says what to do first.",
        status=table,
    )


def newest_year_on_time(settings: SettingsParam) -> Outcome:
    today = now().date()
    due = newest_due(today)
    if due < FIRST_YEAR or due in released_years(settings):
        following = date(due + 1 + LAG_YEARS, *OVERDUE_FROM)
        return passed(f"{due} was released. {due + 1} is overdue from {following.isoformat()} on.")
    since, missing = date(due + LAG_YEARS, *OVERDUE_FROM), delivery(settings, due).missing
    standing = (
        f"{', '.join(missing)} not in data/raw/{due}. Ask the sender."
        if missing
        else "it is delivered and not released. Its checks say why; build it with the job year."
    )
    return failed(
        f"{due} is overdue since {since.isoformat()} ({(today - since).days} days): {standing} Until it is released the "
        "public finds the year before as the newest."
    )


def newest_due(today: date) -> int:
    """The newest year that should have been released by this day."""
    is_due = (today.month, today.day) >= OVERDUE_FROM
    return today.year - LAG_YEARS - (0 if is_due else 1)


def checks_of_all_years(graph_of: Callable[[Settings], AssetGraph]) -> dg.AssetChecksDefinition:
    """``graph_of``: what gives all assets and checks, these among them, over some settings."""

    @dg.multi_asset_check(
        name="series_checks",
        specs=[
            dg.AssetCheckSpec(
                UP_TO_DATE,
                asset=SERIES,
                description="Every year that was delivered is built from what lies there now, released, and none of its "
                "checks failed. The table tells of each year what `mm-pipeline status` does.",
            ),
            dg.AssetCheckSpec(
                ON_TIME,
                asset=SERIES,
                description="Year t-2 is released by 30 September; from 1 October on it is overdue.",
            ),
        ],
        can_subset=True,
    )
    def series_checks(context: dg.AssetCheckExecutionContext, settings: SettingsParam):  # type: ignore[no-untyped-def]
        looks = {
            UP_TO_DATE: lambda: years_up_to_date(Ledger(context.instance, graph_of(settings), settings)),
            ON_TIME: lambda: newest_year_on_time(settings),
        }
        with contained(settings, "series_checks"):
            for key in sorted(context.op_execution_context.selected_asset_check_keys):
                yield result(SERIES, key.name, looks[key.name]())

    return series_checks
