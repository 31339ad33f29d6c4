"""Checks of the publication: nothing that must be hidden shows, and the released files are the ones that were made."""

import pandas as pd
import pyarrow.parquet as pq

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step
from mm_pipeline.checks.framework import Check, Outcome, checks_of, failed, passed
from mm_pipeline.release.tables import broken_checksums

_KEY = ["level", "area_code", "dimension", "category"]


def nothing_hidden_shows(work: Step) -> Outcome:
    """The rule read again, apart from the code that protects, on the protected table against the confidential one."""
    threshold = work.settings.disclosure_threshold
    shown = work.read(catalogue.PROTECTED_RATES).to_pandas()
    true = work.read(catalogue.SECTOR_RATES).to_pandas()
    both = shown.merge(true, on=_KEY, suffixes=("", "_true"), how="left", validate="1:1")
    n, people = both["patients_true"], both["beneficiaries_true"]
    few = lambda count: (count > 0) & (count < threshold)  # noqa: E731
    must_hide = few(n) | few(people - n) | few(people) | ((n == people) & (people > 0))
    derived = both[["patients", "rate_per_10000", "rate_percent"]]
    problems = {
        "sensitive cells are published": must_hide & (both["status"] != "suppressed"),
        "suppressed cells still show patients or a rate": (both["status"] == "suppressed")
        & derived.notna().any(axis=1),
        "cells show a number of beneficiaries below the threshold": few(people) & both["beneficiaries"].notna(),
        "unknown-sector rows are published": both["area_code"].str.endswith("ZZZZ"),
        "published cells differ from the statistic": (both["status"] == "published")
        & ((both["patients"] != n) | (both["beneficiaries"] != people)),
        "cells are not in the statistic": n.isna(),
    }
    found = [f"{int(rows.sum())} {what}" for what, rows in problems.items() if rows.any()]
    alone = _alone_in_a_line(shown)
    if alone:
        found.append(f"{alone} lines have exactly one hidden cell, which subtraction gives away")
    expected = len(true) - true["area_code"].str.endswith("ZZZZ").sum()
    if len(shown) != expected:
        found.append(f"{len(shown)} cells are there instead of {expected}")
    if found:
        return failed(
            f"{'; '.join(found)}. Nothing of {work.year} may be published: materialise protected_rates again, and report "
            "it if it stays."
        )
    hidden = int((shown["status"] == "suppressed").sum())
    return passed(
        f"{len(shown)} cells: no sensitive one is published, and no line of areas or categories has exactly one hidden.",
        published_cells=len(shown) - hidden,
        suppressed_cells=hidden,
    )


def _alone_in_a_line(shown: pd.DataFrame) -> int:
    """Lines (an area's breakdown with its total; an area with the areas below) with exactly one empty ``patients``.

    Lines with a cell that is never published (ZZZZ, unassigned) are left out where they do not add up as published.
    """
    hidden = shown.assign(hidden=shown["patients"].isna())
    totals = hidden[hidden["dimension"] == "total"].set_index(["level", "area_code"])["hidden"]
    count = 0
    for _name, rows in hidden[hidden["dimension"].isin(["sex", "age_group", "preferential"])].groupby("dimension"):
        parts = rows.groupby(["level", "area_code"])["hidden"].sum()
        count += int((parts + totals.reindex(parts.index).astype(int) == 1).sum())
    parent_of = {
        "region": "country",
        "province": "region",
        "arrondissement": "province",
        "municipality": "arrondissement",
    }
    for level, above in parent_of.items():
        if level == "region":
            continue  # the country also holds the unassigned
        keys = ["parent_code", "dimension", "category"]
        below = hidden[hidden["level"] == level].groupby(keys)["hidden"].sum()
        parents = hidden[hidden["level"] == above].set_index(["area_code", "dimension", "category"])["hidden"]
        count += int((below + parents.reindex(below.index).astype(int) == 1).sum())
    return count


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
