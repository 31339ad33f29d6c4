"""Checks of the publication: nothing that must be hidden shows or can be worked out, and the released files are the ones
that were made."""

import time

import pandas as pd
import pyarrow.parquet as pq

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step, markdown_table
from mm_pipeline.assets.releases import clear, sensitivity_totals
from mm_pipeline.checks.framework import Check, Outcome, checks_of, failed, not_applicable, passed, warning
from mm_pipeline.disclosure.audit import Audit, audit
from mm_pipeline.disclosure.audit.sensitivity import audit_sensitivity
from mm_pipeline.disclosure.revision import as_published, releases_of
from mm_pipeline.errors import OperatorError
from mm_pipeline.release.files import broken_checksums
from mm_pipeline.sign_off import awaited
from mm_pipeline.statistic.cells import UNKNOWN

_KEY = ["level", "area_code", "dimension", "category"]
_NAMED = 5
"""How many cells a message names."""


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
        f"{len(shown)} cells: no sensitive one is published, and what is published is what the statistic says.",
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


def disclosure_audit(work: Step) -> Outcome:
    """The promise, worked out exactly from the published table alone."""
    started, threshold = time.monotonic(), work.settings.disclosure_threshold
    try:
        result = audit(work.read(catalogue.PROTECTED_RATES).to_pandas(), threshold)
    except OperatorError as error:
        return failed(f"{error} Nothing of {work.year} may be published; report it.")
    seconds = round(time.monotonic() - started, 1)
    if len(result.violations):
        return failed(
            f"{_broken(result, threshold)} Nothing of {work.year} may be published; report it.", seconds=seconds
        )
    return passed(
        f"Whoever knows all that is published of {work.year} cannot tell that a hidden figure is below {threshold}, nor "
        f"narrow one that could be to fewer than {threshold} values.",
        hidden_cells=int(result.summary["hidden"].sum()),
        narrowest_interval=int(result.summary["narrowest"].min())
        if result.summary["narrowest"].notna().any()
        else "none",
        seconds=seconds,
        visibility=markdown_table(result.readable()),
    )


def revisions_audit(work: Step) -> Outcome:
    """The promise, for whoever has kept the earlier releases of the year."""
    kept = work.read(catalogue.DISCLOSED_RATES).to_pandas()
    releases = releases_of(kept)[::-1]
    if len(releases) == 1:
        return not_applicable(f"no earlier release of {work.year} is known that differs from this one.")
    started, threshold = time.monotonic(), work.settings.disclosure_threshold
    try:
        result = audit(as_published(releases), threshold)
    except OperatorError as error:
        return failed(f"The releases of {work.year} together: {error} Nothing may be published; report it.")
    seconds = round(time.monotonic() - started, 1)
    if not len(result.violations):
        return passed(
            f"Nor can anybody who has all releases of {work.year}.",
            seconds=seconds,
        )
    text = f"Together with an earlier release: {_broken(result, threshold)}"
    if kept["threshold"].min() < threshold:
        return warning(
            f"{text} An earlier release was made with a lower threshold, which cannot be taken back.",
            seconds=seconds,
        )
    return failed(f"{text} Nothing of {work.year} may be published; report it.", seconds=seconds)


def sensitivity_audit(work: Step) -> Outcome:
    """The same promise for the table of other thresholds, and that what it shows is what was counted."""
    threshold = work.settings.disclosure_threshold
    shown = work.read(catalogue.PROTECTED_SENSITIVITY).to_pandas()
    totals = sensitivity_totals(work.read(catalogue.PROTECTED_RATES).to_pandas())
    earlier = None
    if work.lake.has(catalogue.SHOWN_SENSITIVITY, work.year):
        earlier = work.read(catalogue.SHOWN_SENSITIVITY).to_pandas()
    wrong = audit_sensitivity(shown, totals, work.settings.threshold, threshold, earlier)
    counted = work.read(catalogue.THRESHOLD_COUNTS).to_pandas().set_index(["area_code", "threshold"])["patients"]
    at_least = shown[(shown["rule"] == "at_least") & shown["patients"].notna()]
    true = counted.reindex(pd.MultiIndex.from_frame(at_least[["area_code", "threshold"]])).to_numpy()
    if (at_least["patients"].to_numpy() != true).any():
        wrong.append("What it shows is not what was counted.")
    if wrong:
        more = f" And {len(wrong) - _NAMED} more." if len(wrong) > _NAMED else ""
        return failed(
            f"The sensitivity table: {' '.join(wrong[:_NAMED])}{more} Nothing of {work.year} may be published: materialise "
            "protected_rates again, and report it if it stays."
        )
    published = shown[shown["status"] == "published"].groupby(["level", "area_code"]).size()
    by_area = published.reindex(pd.MultiIndex.from_frame(totals[["level", "area_code"]]), fill_value=0)
    return passed(
        "From the other thresholds nobody can work out a small number either.",
        cells_by_area=markdown_table([{"area": code, "cells": int(cells)} for (_, code), cells in by_area.items()]),
    )


def _broken(result: Audit, threshold: int) -> str:
    """How many figures break the promise, and where; not what they could be."""
    rows = result.violations
    cells = rows[[*_KEY, "figure"]].astype(str).agg("/".join, axis=1)
    more = f" and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
    return (
        f"{len(rows)} hidden figures can be told to be below {threshold}, or narrowed to fewer than {threshold} values, "
        f"from what is published: {', '.join(cells[:_NAMED])}{more}."
    )


def release_checksums(work: Step) -> Outcome:
    folder = work.settings.published_dir / str(work.year)
    if not folder.exists():
        waits = "it awaits its signatures" if awaited(work.settings, work.year) else "build the year (job year)"
        return not_applicable(f"nothing of {work.year} is public: {waits}.")
    if broken := broken_checksums(folder):
        return failed(
            f"data/published/{work.year}: {', '.join(broken)} not as in SHA256SUMS. Somebody changed the release: "
            f"build {work.year} again (job year)."
        )
    rows = pq.read_metadata(folder / "rates.parquet").num_rows
    expected = work.lake.written(catalogue.PROTECTED_RATES, work.year).rows
    if rows != expected and not awaited(work.settings, work.year):  # else the table is of what awaits its signatures
        return failed(
            f"data/published/{work.year}/rates.parquet has {rows} rows, protected_rates {expected}: build "
            f"{work.year} again (job year)."
        )
    return passed(f"The files of data/published/{work.year} match their checksums; {rows} rows.")


CHECKS = [
    checks_of(
        catalogue.PROTECTED_RATES,
        [
            Check(
                "nothing_hidden_shows",
                "No figure is published that the disclosure rule hides, and those that are published are the statistic's.",
                nothing_hidden_shows,
                blocking=True,
            ),
            Check(
                "disclosure_audit",
                "Nobody can work out a hidden small number from everything that is published of the year.",
                disclosure_audit,
                blocking=True,
            ),
            Check(
                "sensitivity_audit",
                "Nobody can work out a small number from what other thresholds than six would give.",
                sensitivity_audit,
                blocking=True,
            ),
            Check(
                "revisions_audit",
                "Nobody can do so from this release and the earlier ones of the year together.",
                revisions_audit,
                blocking=True,
            ),
        ],
        then=clear,
    ),
    checks_of(
        "published_year",
        [Check("release_checksums", "The released files match their checksums.", release_checksums, blocking=True)],
    ),
]
