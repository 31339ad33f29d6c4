"""Checks of the publication: nothing that must be hidden shows, and the released files are the ones that were made."""

from itertools import pairwise

import pandas as pd
import pyarrow.parquet as pq

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step
from mm_pipeline.checks.framework import Check, Outcome, checks_of, failed, passed
from mm_pipeline.release.tables import broken_checksums
from mm_pipeline.statistic.cells import UNKNOWN
from mm_pipeline.statistic.rates import AGE_GROUPS, LEVELS

_KEY = ["level", "area_code", "dimension", "category"]
_CELL = ["level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients"]
_GROUP_OF = {class_: group for group, classes in AGE_GROUPS.items() for class_ in classes}
_ABOVE = dict(pairwise(reversed(LEVELS))) | {"unassigned": "country"}


def nothing_hidden_shows(work: Step) -> Outcome:
    """The rule read again, apart from the code that protects, on the protected table against the confidential one."""
    threshold = work.settings.disclosure_threshold
    shown = work.read(catalogue.PROTECTED_RATES).to_pandas()
    true = work.read(catalogue.SECTOR_RATES).to_pandas()
    both = shown.merge(true, on=_KEY, suffixes=("", "_true"), how="left")
    suppressed, published = (both["status"] == status for status in ("suppressed", "published"))
    people = both["beneficiaries_true"]
    problems = {
        "cells are neither published nor suppressed": ~(suppressed | published),
        "sensitive cells are published": _sensitive(both["patients_true"], people, threshold) & ~suppressed,
        "suppressed cells still show patients or a rate": suppressed
        & both[["patients", "rate_per_10000", "rate_percent"]].notna().any(axis=1),
        "cells show a number of beneficiaries below the threshold": _few(people, threshold)
        & both["beneficiaries"].notna(),
        "unknown-sector rows are published": both["area_code"].str.endswith(UNKNOWN),
        "published cells differ from the statistic": _differs(both, "beneficiaries", among=published | suppressed)
        | _differs(both, "patients", "rate_per_10000", "rate_percent", among=published),
        "cells are not in the statistic": people.isna(),
        "cells are there twice": both.duplicated(_KEY),
    }
    found = [f"{int(rows.sum())} {what}" for what, rows in problems.items() if rows.any()]
    for figure in ("patients", "beneficiaries"):
        if alone := _given_away(shown, true, figure, threshold):
            found.append(f"{alone} lines have exactly one hidden number of {figure}, which subtraction gives away")
    expected = len(true) - true["area_code"].str.endswith(UNKNOWN).sum()
    if len(shown) != expected:
        found.append(f"{len(shown)} cells are there instead of {expected}")
    if found:
        return failed(
            f"{'; '.join(found)}. Nothing of {work.year} may be published: materialise protected_rates again, and report "
            "it if it stays."
        )
    hidden = int(suppressed.sum())
    return passed(
        f"{len(shown)} cells: no sensitive one is published, and no line of areas or categories has exactly one hidden.",
        published_cells=len(shown) - hidden,
        suppressed_cells=hidden,
    )


def _few(count: pd.Series, threshold: int) -> pd.Series:
    return (count > 0) & (count < threshold)


def _sensitive(patients: pd.Series, people: pd.Series, threshold: int) -> pd.Series:
    small = _few(patients, threshold) | _few(people - patients, threshold) | _few(people, threshold)
    return small | ((patients == people) & (people > 0))


def _differs(both: pd.DataFrame, *columns: str, among: pd.Series) -> pd.Series:
    """Rows of which one of these columns is not that of the statistic; an empty number of beneficiaries is hidden."""
    different = pd.Series(False, index=both.index)
    for column in columns:
        mine, other = both[column], both[f"{column}_true"]
        hidden = mine.isna() & (other.isna() | (column == "beneficiaries"))
        different |= among & (mine != other) & ~hidden
    return different


def _given_away(shown: pd.DataFrame, true: pd.DataFrame, figure: str, threshold: int) -> int:
    """Lines in which ``figure`` of exactly one cell is unknown to the reader, and that one must stay so.

    A line is a total and its parts: an area and those below it (per category), or an area and the categories of a
    breakdown. The reader does not know what is hidden, nor what is never published (unknown sectors, the country's
    people without a municipality) unless nobody is there; of the latter only what is sensitive must stay unknown.
    """
    visible = shown.drop_duplicates(_KEY)[[*_KEY, figure]]
    cells = pd.concat([true[_CELL], _unassigned(true)], ignore_index=True)
    cells = cells.merge(visible, on=_KEY, how="left", suffixes=("", "_shown"))
    unpublished = cells["area_code"].str.endswith(UNKNOWN) | (cells["level"] == "unassigned")
    unknown = cells[f"{figure}_shown"].isna() & ~(unpublished & (cells["beneficiaries"] == 0))
    must_stay = {
        "patients": _sensitive(cells["patients"], cells["beneficiaries"], threshold),
        "beneficiaries": _few(cells["beneficiaries"], threshold),
    }[figure]
    cells = cells.assign(unknown=unknown, secret=unknown & (must_stay | ~unpublished))

    own = cells["level"] + "/" + cells["area_code"]
    above = cells["level"].map(_ABOVE) + "/" + cells["parent_code"]
    category = "/" + cells["dimension"] + "/" + cells["category"]
    dimension, group = cells["dimension"], cells["category"].map(_GROUP_OF)
    members = [cells.assign(line=above + category, part=True), cells.assign(line=own + category, part=False)]
    for name in ("sex", "age_group", "preferential"):
        members.append(cells.assign(line=own + "/by " + name, part=True)[dimension == name])
        members.append(cells.assign(line=own + "/by " + name, part=False)[dimension == "total"])
    members.append(cells.assign(line=own + "/classes of " + group, part=True)[dimension == "age_class"])
    members.append(cells.assign(line=own + "/classes of " + cells["category"], part=False)[dimension == "age_group"])
    lines = pd.concat(members).groupby("line")[["unknown", "secret", "part"]].sum()
    return int(((lines["part"] > 0) & (lines["unknown"] == 1) & (lines["secret"] == 1)).sum())


def _unassigned(true: pd.DataFrame) -> pd.DataFrame:
    """The country less its regions: cells that are in no table, but that a reader can subtract."""
    counts = ["beneficiaries", "patients"]
    keys = ["dimension", "category"]
    sums = {level: true[true["level"] == level].groupby(keys)[counts].sum() for level in ("country", "region")}
    rest = sums["country"].sub(sums["region"], fill_value=0).reset_index()
    return rest.assign(level="unassigned", area_code="unassigned", parent_code="BE")[_CELL]


def release_checksums(work: Step) -> Outcome:
    folder = work.settings.published_dir / str(work.year)
    if broken := broken_checksums(folder):
        return failed(
            f"data/published/{work.year}: {', '.join(broken)} not as in SHA256SUMS. Somebody changed the release: "
            f"materialise published_year for {work.year} again."
        )
    rows = pq.read_metadata(folder / "rates.parquet").num_rows
    expected = work.lake.written(catalogue.PROTECTED_RATES, work.year).rows
    if rows != expected:
        return failed(
            f"data/published/{work.year}/rates.parquet has {rows} rows, protected_rates {expected}: materialise "
            f"published_year for {work.year} again."
        )
    return passed(f"The files of data/published/{work.year} match their checksums; {rows} rows.")


CHECKS = [
    checks_of(
        catalogue.PROTECTED_RATES,
        [
            Check(
                "nothing_hidden_shows",
                "No figure is published that the disclosure rule hides, and none is alone hidden in a line.",
                nothing_hidden_shows,
                blocking=True,
            )
        ],
    ),
    checks_of(
        "published_year",
        [Check("release_checksums", "The released files match their checksums.", release_checksums, blocking=True)],
    ),
]
