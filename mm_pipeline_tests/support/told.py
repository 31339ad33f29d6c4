"""What Dagster's event log tells of persons: one more public document for whoever has the release.

Here: all that is said in it, how many persons there are in truth, and the audit of a release by somebody who has read what
the log says of the patients of the country and the regions.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.dimensions import KEY, UNKNOWN_SECTOR
from mm_pipeline.disclosure.audit import Audit, audit
from mm_pipeline.disclosure.small_numbers import ROUNDED_TO
from mm_pipeline.operations.purge import PERSONS
from mm_pipeline.storage.lake import Lake

EXACT = {
    **dict.fromkeys(("protected_rates", "published_year", "published_series", "atlas_page"), "the released table"),
    **dict.fromkeys(("geography", "threshold_counts"), "areas"),
    **dict.fromkeys(("one_amount_for_beginners", "one_amount_before_may_2013"), "months of houses"),
    **dict.fromkeys(("houses_come_and_go", "patients_near_their_house"), "houses"),
}
"""Assets and checks whose numbers may be told as they are -> what they count."""

_AREAS = {"Belgium": "BE", "Flanders": "02000", "Wallonia": "03000", "Brussels": "04000"}
_NUMBER = re.compile(r"(?<![\w.,'-])\d+(?![\w'-]|[.,]\d)")
_EVERYBODY = 10**9


@dataclass(frozen=True)
class Told:
    """What is said in one place: of a year, an asset and a check (empty: the asset itself), under this name."""

    year: int
    asset: str
    check: str
    name: str
    text: str

    @property
    def numbers(self) -> set[int]:
        return {int(number) for number in _NUMBER.findall(self.text)}


def told_in(instance: dg.DagsterInstance) -> Iterator[Told]:
    """All metadata and texts of assets and checks, and all messages, of every run; the newest run first."""
    for run in instance.get_runs():
        year = int(run.tags.get("dagster/partition", 0))
        for entry in instance.all_logs(run.run_id):
            event = entry.dagster_event
            if event is None:
                yield Told(year, "", "", "message", entry.user_message)
            elif event.is_step_materialization:
                of_asset = event.step_materialization_data.materialization
                asset = of_asset.asset_key.to_user_string()
                yield from (Told(year, asset, "", name, str(of.value)) for name, of in of_asset.metadata.items())
            elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                of_check = event.asset_check_evaluation_data
                texts = {name: str(of.value) for name, of in of_check.metadata.items()}
                asset = of_check.asset_key.to_user_string()
                for name, text in {"text": of_check.description or "", **texts}.items():
                    yield Told(year, asset, of_check.check_name, name, text)


def true_counts(lake: Lake, year: int) -> set[int]:
    """Numbers of persons and of rows of theirs, as they are: above 100, not round by themselves, and no years;
    of the figures of the country and the regions those that the release hides.

    Smaller ones stand for so many things that they cannot be told from others.
    """
    tables = {table.name: _read(lake, table, year) for table in (*PERSONS, schemas.SECTOR_RATES)}
    rates = tables[schemas.SECTOR_RATES.name]
    released = _read(lake, schemas.PROTECTED_RATES, year).merge(rates, on=KEY, suffixes=("_shown", ""))
    hidden = released[released["level"].isin(["country", "region"]) & released["patients_shown"].isna()]
    counts = {len(table) for name, table in tables.items() if name != schemas.SECTOR_RATES.name}
    counts |= {*hidden["patients"], *(hidden["beneficiaries"] - hidden["patients"])}
    if (unknown := rates["area_code"].str.endswith(UNKNOWN_SECTOR)).any():
        counts |= {len(rates), int(unknown.sum())}  # in how many municipalities somebody lives in no known sector
    counts |= {table["patient_key"].nunique() for table in tables.values() if "patient_key" in table}
    return {int(n) for n in counts if n > ROUNDED_TO and n % ROUNDED_TO and not 1850 < n < 2100}


def facts(told: Sequence[Told], published: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Area -> the fewest and the most patients that the log leaves it, where the release hides them: country and regions."""
    year, totals = int(published["year"].iat[0]), _hidden_totals(published)
    people = dict(zip(totals["area_code"], totals["beneficiaries"], strict=True))
    said = {(one.year, one.asset, one.check, one.name): one.text for one in reversed(told)}
    bounds = dict.fromkeys(people, (0, _EVERYBODY))

    def learn(area: str | None, fewest: float, most: float) -> None:
        if area in bounds:
            bounds[area] = max(bounds[area][0], math.ceil(fewest)), min(bounds[area][1], math.floor(most))

    if rows := said.get((year, "attributed_patients", "", "dagster/row_count")):
        half = max(ROUNDED_TO, 10 ** (len(rows) - 3)) / 2 if int(rows) % ROUNDED_TO == 0 else 0
        few, many = _strangers(said[year, "attributed_patients", "patients_are_beneficiaries", "text"])
        learn("BE", max(0, int(rows) - half - many), int(rows) + half - few)
    for of_year, check, table, column, whole in (
        (year, "regional_change", "rates", -1, 10_000),
        (year + 1, "regional_change", "rates", 1, 10_000),
        (year, "published_figures", "figures", -1, 100),
    ):
        for line in said.get((of_year, "sector_rates", check, table), "").splitlines()[2:]:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            area, rate = _AREAS[cells[0]], cells[column]
            if area in bounds and re.fullmatch(r"\d+(\.\d+)?", rate):
                half = 0.5 * 10 ** -len(rate.partition(".")[2])
                learn(area, *((float(rate) + off) * people[area] / whole for off in (-half, half)))
    return bounds


def _strangers(text: str) -> tuple[int, int]:
    """How many attributed patients are no beneficiaries, at least and at most, as the check says it."""
    if text.startswith("All "):
        return 0, 0
    number = re.match(r"\d+(?= attributed)", text)
    return (int(number[0]), int(number[0])) if number else (1, 4) if text.startswith("1 to 4 ") else (0, _EVERYBODY)


def audit_with(published: pd.DataFrame, bounds: dict[str, tuple[int, int]], threshold: int) -> Audit:
    """The audit by somebody who knows the bounds of :func:`facts` as well.

    They are written as two more releases: persons only came from the lower one to that which was published, and from there
    to the upper one.
    """
    if not bounds:
        return audit(published, threshold)
    hidden = _hidden_totals(published)
    cells, low, high = hidden[KEY].assign(parent_code=""), *zip(*map(bounds.get, hidden["area_code"]), strict=True)
    versions = ["version_beneficiaries", "version_patients"]
    upper = cells.assign(beneficiaries=2 * _EVERYBODY, patients=high, change=1, **dict.fromkeys(versions, 2))
    lower = cells.assign(beneficiaries=low, patients=low, **dict.fromkeys(versions, 1))
    release = published.assign(change=published.index.isin(hidden.index).astype(int), **dict.fromkeys(versions, 0))
    return audit([upper, release, lower], threshold)


def _hidden_totals(published: pd.DataFrame) -> pd.DataFrame:
    top = published["level"].isin(["country", "region"]) & (published["dimension"] == "total")
    return published[top & published["patients"].isna() & published["beneficiaries"].notna()]


def _read(lake: Lake, table: schemas.Table, year: int) -> pd.DataFrame:
    return pq.read_table(lake.path(table, year), partitioning=None).to_pandas()
