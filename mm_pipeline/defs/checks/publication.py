"""Checks of the publication: nothing that must be hidden shows or can be worked out, and the released files are the ones
that were made."""

import time

import pandas as pd
import pyarrow.parquet as pq

from mm_pipeline import schemas
from mm_pipeline.defs.assets.protection import TABLES, evidence, sensitivity_totals
from mm_pipeline.defs.checks.framework import Outcome, check, failed, not_applicable, passed, warning
from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.dimensions import COUNTS, KEY, LEVELS, UNASSIGNED, UNKNOWN_SECTOR
from mm_pipeline.disclosure.audit import Audit, audit
from mm_pipeline.disclosure.audit.release import VERSIONS
from mm_pipeline.disclosure.audit.sensitivity import audit_sensitivity
from mm_pipeline.disclosure.postponement import unit_of
from mm_pipeline.disclosure.revision import SHOWS, as_published, releases_of, threshold_counts, thresholds_of
from mm_pipeline.errors import OperatorError
from mm_pipeline.operations.sign_off import awaited
from mm_pipeline.release.files import broken_checksums

_NAMED = 5
"""How many cells a message names."""

_of_protected = check(schemas.PROTECTED_RATES, blocking=True, metadata=lambda work: {TABLES: evidence(work)})


@_of_protected
def nothing_hidden_shows(work: YearContext) -> Outcome:
    """No figure is published that the disclosure rule hides, and those that are published are the statistic's.

    The rule read again, apart from the code that protects, on the protected table against the confidential one.
    """
    threshold = work.settings.disclosure_threshold
    shown = work.read(schemas.PROTECTED_RATES).to_pandas()
    true = _with_rates(releases_of(work.read(schemas.DISCLOSED_RATES).to_pandas())[-1])
    both = shown.merge(true, on=KEY, suffixes=("", "_true"), how="left")
    suppressed, published = (both["status"] == status for status in ("suppressed", "published"))
    people = both["beneficiaries_true"]
    problems = {
        "cells are neither published nor suppressed": ~(suppressed | published),
        "sensitive cells are published": _sensitive(both["patients_true"], people, threshold) & ~suppressed,
        "suppressed cells still show patients or a rate": suppressed
        & both[["patients", "rate_per_10000", "rate_percent"]].notna().any(axis=1),
        "cells show a number of beneficiaries below the threshold": _few(people, threshold)
        & both["beneficiaries"].notna(),
        "unknown-sector rows are published": both["area_code"].str.endswith(UNKNOWN_SECTOR),
        "published cells differ from the statistic": _differs(both, "beneficiaries", among=published | suppressed)
        | _differs(both, "patients", "rate_per_10000", "rate_percent", among=published),
        "cells are not in the statistic": people.isna(),
        "cells are remembered otherwise than they show": (
            both[list(SHOWS.values())].to_numpy() != both[list(SHOWS)].notna().to_numpy()
        ).any(axis=1),
        "cells are there twice": both.duplicated(KEY),
    }
    found = [f"{int(rows.sum())} {what}" for what, rows in problems.items() if rows.any()]
    expected = len(true) - true["area_code"].str.endswith(UNKNOWN_SECTOR).sum()
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


def _with_rates(counts: pd.DataFrame) -> pd.DataFrame:
    """The rates, worked out again."""
    people = counts["beneficiaries"].where(counts["beneficiaries"] > 0)
    return counts.assign(
        rate_per_10000=counts["patients"] * 10_000.0 / people, rate_percent=counts["patients"] * 100.0 / people
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
        different |= (mine != other) & ~(mine.isna() & (other.isna() | (column == "beneficiaries")))
    return different & among


@_of_protected
def disclosure_audit(work: YearContext) -> Outcome:
    """Nobody can work out a hidden small number from everything that is published of the year."""
    started, threshold = time.monotonic(), work.settings.disclosure_threshold
    try:
        result = audit(work.read(schemas.PROTECTED_RATES).to_pandas(), threshold)
    except OperatorError as error:
        return failed(f"{error} Nothing of {work.year} may be published; report it.")
    seconds = round(time.monotonic() - started, 1)
    if len(result.violations):
        return failed(
            f"{_broken(result, threshold)} Nothing of {work.year} may be published; report it.", seconds=seconds
        )
    narrowest = result.summary["narrowest"].min()
    return passed(
        f"Whoever knows all that is published of {work.year} cannot tell that a hidden figure is below {threshold}, nor "
        f"narrow one that could be to fewer than {threshold} values.",
        hidden_cells=int(result.summary["hidden"].sum()),
        narrowest_interval="none" if pd.isna(narrowest) else int(narrowest),
        seconds=seconds,
        visibility=markdown_table(result.readable()),
    )


@_of_protected
def sensitivity_audit(work: YearContext) -> Outcome:
    """Nobody can work out a small number from what other thresholds than six would give.

    And what it shows is what was counted.
    """
    threshold = work.settings.disclosure_threshold
    shown = work.read(schemas.PROTECTED_SENSITIVITY).to_pandas()
    totals = sensitivity_totals(work.read(schemas.PROTECTED_RATES).to_pandas())
    earlier = None
    if work.lake.has(schemas.SHOWN_SENSITIVITY, work.year):
        earlier = work.read(schemas.SHOWN_SENSITIVITY).to_pandas()
    wrong = audit_sensitivity(shown, totals, work.settings.minimum_forfaits, threshold, earlier)
    counts = threshold_counts(thresholds_of(work.read(schemas.DISCLOSED_RATES).to_pandas()))
    at_least = shown[(shown["rule"] == "at_least") & shown["patients"].notna()]
    if not len(counts):  # what is postponed is not known: then no threshold shows but that of the statistic
        at_least = at_least[at_least["threshold"] != work.settings.minimum_forfaits]
    counted = counts[counts["level"].isin(["country", "region"])].set_index(["area_code", "threshold"])["patients"]
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


@_of_protected
def revisions_audit(work: YearContext) -> Outcome:
    """Nobody can do so from this release and the earlier ones of the year together."""
    kept = work.read(schemas.DISCLOSED_RATES).to_pandas()
    releases = releases_of(kept)
    if len(releases) == 1:
        return not_applicable(f"no earlier release of {work.year} is known that differs from this one.")
    started, threshold = time.monotonic(), work.settings.disclosure_threshold
    published = as_published(releases)
    try:
        result = audit(published, threshold)
        seconds = round(time.monotonic() - started, 1)
        if not len(result.violations):
            return passed(f"Nor can anybody who has all releases of {work.year}.", seconds=seconds)
        before = audit(published[1:], threshold).violations
    except OperatorError as error:
        return failed(f"The releases of {work.year} together: {error} Nothing may be published; report it.")
    text = f"Together with an earlier release: {_broken(result, threshold)}"
    if kept["threshold"].min() < threshold:
        return warning(
            f"{text} An earlier release was made with a lower threshold, which cannot be taken back.", seconds=seconds
        )
    unknown = [*KEY, "figure", *VERSIONS]
    violations, known = (pd.MultiIndex.from_frame(table[unknown]) for table in (result.violations, before))
    if violations.isin(known).all():
        return warning(f"{text} The earlier ones gave them away already, which cannot be taken back.", seconds=seconds)
    return failed(
        f"{text} Nothing of {work.year} may be published. If areas were renamed, came or went since the last release, their "
        "changes cannot wait: set MM_REVISION_MAY_HIDE=country for this year and build it again. Otherwise report it.",
        seconds=seconds,
    )


@_of_protected
def postponed_changes(work: YearContext) -> Outcome:
    """What is released is what was counted; changes that would tell of single persons wait.

    Every arrondissement is as it is now or as it was released, the rest sums.
    """
    kept = releases_of(work.read(schemas.DISCLOSED_RATES).to_pandas())
    # With everything postponed the table is an earlier release, and no new one.
    released = kept if _is_public(work, kept[-1]) else kept[:-1]
    counted = work.read(schemas.SECTOR_RATES).to_pandas()
    now, before = (table.set_index(KEY)[COUNTS] for table in (kept[-1], counted))
    if now.sort_index().equals(before.sort_index()):
        return passed(f"All that was counted of {work.year} is in the table.")
    now_units, counted_units, *released_units = (_units(table) for table in (kept[-1], counted, *released))
    waiting = [unit for unit in sorted({*now_units, *counted_units}) if not _same(unit, now_units, counted_units)]
    strange = [unit for unit in waiting if not any(_same(unit, now_units, units) for units in released_units)]
    if strange or not _adds_up(kept[-1]):
        where = f"arrondissement {', '.join(strange)}" if strange else "the sums of the arrondissements"
        return failed(
            f"{where}: neither what was counted of {work.year} nor what was released before. Materialise protected_rates "
            "again, and report it if it stays."
        )
    return warning(
        f"Changes wait in {', '.join(waiting)}: shown by themselves they would tell of single persons. These stay as they "
        "were released, and the sums above leave their changes out. Nothing is to be done: the next delivery brings them, "
        "if it may. To release them now and hide figures of provinces, regions or the country for it: MM_REVISION_MAY_HIDE.",
        waiting=len(waiting),
    )


def _same(unit: str, units: dict[str, pd.DataFrame], others: dict[str, pd.DataFrame]) -> bool:
    return unit in units and unit in others and units[unit].equals(others[unit])


def _is_public(work: YearContext, table: pd.DataFrame) -> bool:
    """Whether what a remembered table shows has been released already."""
    has_releases = work.lake.has(schemas.RELEASES, work.year)
    return has_releases and table["digest"].iat[0] in set(work.read(schemas.RELEASES).to_pandas()["digest"])


def _units(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The counts of each arrondissement with all that is in it, and of those without a municipality."""
    unit = unit_of(table, "arrondissement")
    country, regions = (table[table["level"] == level] for level in ("country", "region"))
    kind = ["dimension", "category"]
    rest = country.set_index(kind)[COUNTS] - regions.groupby(kind)[COUNTS].sum()
    units = {code: rows.set_index(KEY)[COUNTS].sort_index() for code, rows in table.groupby(unit) if code}
    return units | {UNASSIGNED: rest.sort_index()}


def _adds_up(table: pd.DataFrame) -> bool:
    """Whether provinces and regions are the sums of what is in them."""
    kind = ["dimension", "category"]
    for above, below in (("province", "arrondissement"), ("region", "province")):
        sums = table[table["level"] == below].groupby(["parent_code", *kind])[COUNTS].sum()
        whole = table[table["level"] == above].set_index(["area_code", *kind])[COUNTS].sort_index()
        if not whole.equals(sums.rename_axis(whole.index.names).sort_index()):
            return False
    return True


@_of_protected
def totals_stay_visible(work: YearContext) -> Outcome:
    """A revision hides no figure of the country, a region or a province that was shown."""
    kept = releases_of(work.read(schemas.DISCLOSED_RATES).to_pandas())
    if len(kept) == 1 or _is_public(work, kept[-1]):
        return not_applicable(f"no earlier release of {work.year} is known that differs from this one.")
    now, before = (table.set_index(KEY) for table in kept[-1:-3:-1])
    above = LEVELS[: LEVELS.index(work.settings.revision_may_hide)]
    shown = list(SHOWS.values())
    both = before[shown].join(now[shown].add_suffix("_now"), how="left")
    lost = both[[f"{name}_now" for name in shown]].eq(False).to_numpy() & both[shown].to_numpy()
    cells = both.index[lost.any(axis=1) & both.index.get_level_values("level").isin(above)]
    if len(cells):
        return failed(
            f"{len(cells)} figures of {', '.join(sorted(set(cells.get_level_values('level'))))} were shown by the last "
            f"release of {work.year} and would be hidden now, {' '.join(cells[0])} among them. Nothing was released. Was "
            "MM_DISCLOSURE_THRESHOLD raised, or did the areas change? If they are to be hidden: set MM_REVISION_MAY_HIDE to "
            "their level and build the year again."
        )
    return passed("What was shown of the country, the regions and the provinces still is.")


def _broken(result: Audit, threshold: int) -> str:
    """How many figures break the promise, and where; not what they could be."""
    rows = result.violations
    cells = rows[[*KEY, "figure"]].astype(str).agg("/".join, axis=1)
    more = f" and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
    return (
        f"{len(rows)} hidden figures can be told to be below {threshold}, or narrowed to fewer than {threshold} values, "
        f"from what is published: {', '.join(cells[:_NAMED])}{more}."
    )


@check("published_year", blocking=True)
def release_checksums(work: YearContext) -> Outcome:
    """The released files match their checksums."""
    folder = work.settings.published_dir / str(work.year)
    if not folder.exists():
        waiting = awaited(work.settings, work.year)
        waits = "build the year (job year)"
        if waiting:
            waits = "it is held" if waiting.is_held else "it awaits its signatures"
        return not_applicable(f"nothing of {work.year} is public: {waits}.")
    if broken := broken_checksums(folder):
        return failed(
            f"data/published/{work.year}: {', '.join(broken)} not as in SHA256SUMS. Somebody changed the release: "
            f"build {work.year} again (job year)."
        )
    rows = pq.read_metadata(folder / "rates.parquet").num_rows
    expected = work.lake.written(schemas.PROTECTED_RATES, work.year).rows
    if rows != expected and not awaited(work.settings, work.year):  # else the table is of what awaits its signatures
        return failed(
            f"data/published/{work.year}/rates.parquet has {rows} rows, protected_rates {expected}: build "
            f"{work.year} again (job year)."
        )
    return passed(f"The files of data/published/{work.year} match their checksums; {rows} rows.")
