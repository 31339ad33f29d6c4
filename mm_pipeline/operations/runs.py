"""Names of jobs, of the assets made from all years, and of the tag with a run's year, to find runs in Dagster's history."""

import dagster as dg

YEARLY_JOB, CHECKS_JOB, SERIES_JOB, STATUS_JOB = "year", "checks", "series", "status"
SERIES_ASSETS = ("published_series", "atlas_page")

YEAR_TAG = "dagster/partition"

UNFINISHED = [
    dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "SUSPENDED", "CANCELING")
]
"""Statuses of runs that wait or go on."""
