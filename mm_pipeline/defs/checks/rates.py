"""Checks of the rates: do the figures add up, and do they look like the statistic?"""

import json
import math
from importlib import resources
from itertools import pairwise
from typing import Any

import pandas as pd
from ibis import _

from mm_pipeline import schemas
from mm_pipeline.defs.checks.expectations import broken_rules
from mm_pipeline.defs.checks.framework import Outcome, check, doubtful, failed, not_applicable, passed, warning
from mm_pipeline.defs.metadata import markdown_table
from mm_pipeline.defs.year_context import YearContext
from mm_pipeline.dimensions import AGE_GROUP_OF, BREAKDOWNS, COUNTS, FIRST_SECTOR_YEAR, KEY, LEVELS, REGION_NAMES
from mm_pipeline.statistic import sensitivity
from mm_pipeline.statistic.rates import dimensions_of

NATIONAL_SIZE = (9_000_000, 14_000_000)
"""Beneficiaries of a year that can be the whole country; the published figures mean nothing for anything else."""

RATE_TOLERANCE = 1e-6

MANY_BENEFICIARIES = 20
"""A municipality with fewer beneficiaries may have none a year later."""

_NAMED = 5
"""How many municipalities a message names."""

COMPARED_FROM = 100
"""Patients from which a hidden rate is compared: that it changed by less than a tenth still leaves them many values."""


def _rates(work: YearContext, year: int | None = None) -> pd.DataFrame:
    return work.lake.read(work.backend, schemas.SECTOR_RATES, year or work.year).to_pandas()


@check(schemas.SECTOR_RATES, blocking=True)
def rates_in_range(work: YearContext) -> Outcome:
    """Areas, categories, counts and rates are legal, and no cell is there twice (suite sector_rates)."""
    frame = _rates(work)
    if frame.empty:
        return failed(
            f"The table has no row: materialise sector_rates for {work.year} again, and report it if it stays."
        )
    key = frame[KEY].fillna("?")
    frame["cell"] = key["level"].str.cat(key[KEY[1:]], sep=" ")
    frame["is_complete"] = frame[[*KEY, *COUNTS]].notna().all(axis=1)
    share = frame["patients"] / frame["beneficiaries"].where(frame["beneficiaries"] != 0)
    frame["rates_are_of_counts"] = _same(frame["rate_per_10000"], 10_000 * share)
    frame["rates_are_of_counts"] &= _same(frame["rate_percent"], 100 * share)
    if broken := broken_rules(frame, "sector_rates", row="cell"):
        return failed(
            f"{' '.join(broken)} The table is not what the definition gives: materialise sector_rates for {work.year} "
            "again, and report it if it stays."
        )
    return passed("All cells have a legal area, category, count and rate, and no cell is there twice.")


def _same(rates: pd.Series, expected: pd.Series) -> pd.Series:
    return ((rates - expected).abs() < RATE_TOLERANCE) | (rates.isna() & expected.isna())


@check(schemas.SECTOR_RATES, blocking=True)
def numerator_within_denominator(work: YearContext) -> Outcome:
    """In every cell the patients are among the beneficiaries."""
    frame = _rates(work)
    wrong = frame[(frame["patients"] > frame["beneficiaries"]) | (frame["patients"] < 0)]
    if wrong.empty:
        return passed("In all cells the patients are among the beneficiaries.")
    places = wrong["level"] + " " + wrong["area_code"] + ", " + wrong["dimension"] + " " + wrong["category"]
    return failed(
        f"{len(wrong)} cells have more patients than beneficiaries ({'; '.join(places.head(10))}). Were forfaits and "
        "beneficiaries extracted with the same pseudonyms? Correct the delivery and materialise the year again."
    )


@check(schemas.SECTOR_RATES, blocking=True)
def sector_coverage(work: YearContext) -> Outcome:
    """From 2005 on, the sectors of every municipality add up to it, those unknown (ZZZZ) included."""
    if work.year < FIRST_SECTOR_YEAR:
        return not_applicable(f"sectors are published from {FIRST_SECTOR_YEAR} on.")
    frame = _rates(work)
    frame = frame[frame["dimension"] == "total"]
    municipalities = frame[frame["level"] == "municipality"].groupby("area_code")[COUNTS].sum()
    sectors = frame[frame["level"] == "sector"].groupby("parent_code")[COUNTS].sum()
    inhabited = municipalities[municipalities["beneficiaries"] > 0]
    if inhabited.empty:
        return not_applicable("no municipality has beneficiaries; see municipalities_assigned.")
    without = inhabited.index.difference(sectors.index)
    unequal = _differing(municipalities, sectors).difference(without)
    if without.empty and unequal.empty:
        return passed(f"The sectors of all {len(inhabited)} municipalities with beneficiaries add up to them.")
    return failed(
        f"{len(without)} municipalities have no sector and {len(unequal)} are not the sum of their sectors "
        f"({', '.join([*without, *unequal][:10])}). Materialise beneficiary_counts and sector_rates for {work.year} "
        "again, and report it if it stays."
    )


@check(schemas.SECTOR_RATES, blocking=True)
def levels_add_up(work: YearContext) -> Outcome:
    """Every level adds up to the one above."""
    frame = _rates(work)
    keys = ["dimension", "category"]
    wrong: list[str] = []
    for above, below in pairwise(LEVELS[:5]):
        shared = frame[frame["dimension"].isin(dimensions_of(below))]
        parents = shared[shared["level"] == above].groupby(["area_code", *keys])[COUNTS].sum()
        children = shared[shared["level"] == below].groupby(["parent_code", *keys])[COUNTS].sum()
        children.index = children.index.set_names(["area_code", *keys])
        if above == "country":
            rest = parents.sub(children, fill_value=0)
            if not _are_the_unassigned(work, rest):
                wrong.append("country BE")
        else:
            areas = _differing(parents, children).get_level_values("area_code").unique()
            wrong += [f"{above} {area}" for area in areas]
    if not wrong:
        return passed("Every level adds up to the one above (the country also holds those without a municipality).")
    return failed(
        f"{len(wrong)} areas are not the sum of the areas below: {', '.join(wrong[:10])}. Materialise sector_rates for "
        f"{work.year} again, and report it if it stays."
    )


@check(schemas.SECTOR_RATES, blocking=True)
def breakdowns_add_up(work: YearContext) -> Outcome:
    """Every breakdown adds up to its area."""
    frame = _rates(work)
    area = ["level", "area_code"]
    totals = frame[frame["dimension"] == "total"].groupby(area)[COUNTS].sum()
    wrong: list[str] = []
    for dimension in BREAKDOWNS:
        carrying = totals[[dimension in dimensions_of(level) for level in totals.index.get_level_values("level")]]
        sums = frame[frame["dimension"] == dimension].groupby(area)[COUNTS].sum()
        wrong += [f"{dimension} of {level} {code}" for level, code in _differing(carrying, sums)]
    classes = frame[frame["dimension"] == "age_class"].assign(category=lambda rows: rows["category"].map(AGE_GROUP_OF))
    class_sums = classes.groupby([*area, "category"])[COUNTS].sum()
    with_classes = frame["level"].isin([level for level in LEVELS if "age_class" in dimensions_of(level)])
    group_rows = frame[(frame["dimension"] == "age_group") & with_classes].groupby([*area, "category"])[COUNTS].sum()
    wrong += [f"age group {group} of {level} {code}" for level, code, group in _differing(group_rows, class_sums)]
    if not wrong:
        return passed("Every breakdown adds up to its area, and the age classes to the age groups.")
    return failed(
        f"{len(wrong)} breakdowns do not add up: {', '.join(wrong[:10])}. Materialise sector_rates for {work.year} "
        "again, and report it if it stays."
    )


def _differing(totals: pd.DataFrame, sums: pd.DataFrame) -> pd.Index:
    """Where the two differ; what only one of them has is held against 0."""
    difference = totals.sub(sums, fill_value=0)
    return difference.index[(difference != 0).any(axis=1)]


def _are_the_unassigned(work: YearContext, rest: pd.DataFrame) -> bool:
    """Whether the country less its regions (``rest``) is those without a municipality, counted again."""
    counts = work.read(schemas.BENEFICIARY_COUNTS)
    beneficiaries = counts.filter(_.municipality_code.isnull()).beneficiaries.sum().fill_null(0).execute()
    known = counts.filter(_.municipality_code.notnull()).select("municipality_code").distinct()
    patients = work.read(schemas.ATTRIBUTED_PATIENTS).filter(_.is_beneficiary).anti_join(known, "municipality_code")
    totals = rest[rest.index.get_level_values("dimension") == "total"].sum()
    return (
        totals["beneficiaries"] == beneficiaries
        and totals["patients"] == patients.count().execute()
        and bool(((rest["patients"] >= 0) & (rest["patients"] <= rest["beneficiaries"])).all())
    )


@check(schemas.SECTOR_RATES, hold_limit=0)
def municipalities_have_beneficiaries(work: YearContext) -> Outcome:
    """No municipality with beneficiaries in the year before, or new since, is without any: one holds the year."""
    before = work.year - 1
    if not work.lake.is_usable(schemas.SECTOR_RATES, before):
        return not_applicable(f"{before} has not been built, so there is nothing to compare with.")
    now, then = (_of_municipalities(_rates(work, year)) for year in (work.year, before))
    # A few people of a small place may well be gone, and a place where nobody lived may have nobody.
    empty = now.index[(now == 0) & (then.reindex(now.index, fill_value=MANY_BENEFICIARIES) >= MANY_BENEFICIARIES)]
    if not len(empty):
        return passed(f"Every municipality has beneficiaries, as in {before}.")
    more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
    return doubtful(
        work,
        f"No beneficiary lives in {', '.join(empty[:_NAMED])}{more}, where some did in {before}, or which is new since. Is "
        f"a part of the delivery missing, or are its codes those of another year than 31 December {work.year}?",
        len(empty),
    )


def _of_municipalities(frame: pd.DataFrame) -> "pd.Series[int]":
    """Beneficiaries by code of the municipality."""
    rows = frame[(frame["level"] == "municipality") & (frame["dimension"] == "total")]
    return rows.drop_duplicates("area_code").set_index("area_code")["beneficiaries"].sort_index()


_against_others = check(schemas.SECTOR_RATES, after=(schemas.PROTECTED_RATES,), step="sector_rates_against_others")
"""Apart from the other checks of its table, on which protected_rates waits."""


@check(schemas.PROTECTED_RATES, hold_limit=2)
def regional_change(work: YearContext) -> Outcome:
    """The rate of the country and the regions changed plausibly in a year (suite regional_change); a factor of 2 holds it.

    The true rates are compared and the released ones told: a hidden one only counts where it rests on many patients.
    """
    before = work.year - 1
    if not work.lake.is_usable(schemas.SECTOR_RATES, before):
        return not_applicable(f"{before} has not been built, so there is nothing to compare with.")
    now, then = (_top(_rates(work, year)) for year in (work.year, before))
    shown_now, shown_then = (_shown(work, year) for year in (work.year, before))
    compared = [
        area
        for area in then.index
        if then["rate_per_10000"][area] > 0
        and ((area in shown_now and area in shown_then) or then["patients"][area] >= COMPARED_FROM)
    ]
    if not compared:
        return not_applicable(f"neither the country nor a region has enough patients in {before} to compare with.")
    ratios = now["rate_per_10000"].reindex(compared).fillna(0) / then["rate_per_10000"][compared]
    frame = pd.DataFrame({"area": [REGION_NAMES[area] for area in compared], "ratio": ratios.round(6).tolist()})
    shown = {f"per 10 000 in {before}": shown_then, str(work.year): shown_now}
    table = markdown_table(
        [
            {"area": name, **{when: _told(rates.get(area), 1) for when, rates in shown.items()}}
            for area, name in REGION_NAMES.items()
        ]
    )
    factor = max(ratio if ratio >= 1 else 1 / ratio if ratio else math.inf for ratio in ratios)
    broken = broken_rules(frame, "regional_change", row="area")
    if broken or factor > work.hold_limit:
        said = " ".join(broken) or "the rate of the country or of a region changed."
        return doubtful(work, f"Against {before}: {said}", factor, rates=table)
    return passed(f"The rates of the country and the regions changed plausibly against {before}.", rates=table)


def _top(frame: pd.DataFrame) -> pd.DataFrame:
    """The totals of the country and the regions, by area."""
    top = frame[(frame["dimension"] == "total") & frame["level"].isin(["country", "region"])]
    return top.drop_duplicates("area_code").set_index("area_code")


def _shown(work: YearContext, year: int) -> dict[str, float]:
    """Rate per 10 000 of the country and the regions, where ``protected_rates`` shows it."""
    if not work.lake.is_usable(schemas.PROTECTED_RATES, year):
        return {}
    frame = work.lake.read(work.backend, schemas.PROTECTED_RATES, year).to_pandas()
    return _top(frame)["rate_per_10000"].dropna().to_dict()


def _told(rate: float | None, digits: int) -> float | str:
    return "not shown" if rate is None else round(rate, digits)


@_against_others
def published_figures(work: YearContext) -> Outcome:
    """National and regional rates agree with the published ones, where there are any."""
    file = resources.files("mm_pipeline.defs.checks") / "published_figures.json"
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    published = facts["rate_percent"].get(str(work.year))
    if published is None:
        return not_applicable(f"no figure published for {work.year} is known to the project.")
    top = _top(_rates(work))
    beneficiaries = top.loc[top["level"] == "country", "beneficiaries"].iloc[0]
    if not NATIONAL_SIZE[0] <= beneficiaries <= NATIONAL_SIZE[1]:
        return not_applicable(
            "the delivery is not of the size of the country (demonstration data of another scale?), so the published "
            "figures say nothing about it."
        )
    found, shown = top["rate_percent"].fillna(0), _shown(work, work.year)
    rows, away = [], []
    for area, rate in published.items():
        own = _told(shown[area] / 100 if area in shown else None, 2)
        rows.append({"area": REGION_NAMES[area], "published %": rate, "here %": own})
        if round(abs(round(found.get(area, 0.0), 2) - rate), 2) > facts["tolerance_percentage_points"]:
            away.append(f"{REGION_NAMES[area]} ({own}; published {rate} %)")
    if away:
        return warning(
            f"Away from the published rate by more than {facts['tolerance_percentage_points']} percentage points: "
            f"{', '.join(away)}. Is the extract complete, and are DMG and beneficiaries of the same year?",
            figures=markdown_table(rows),
        )
    return passed("The rates agree with the published figures.", figures=markdown_table(rows))


@check(schemas.THRESHOLD_COUNTS, blocking=True, after=(schemas.SECTOR_RATES,))
def thresholds_agree(work: YearContext) -> Outcome:
    """At the threshold of the statistic the counts are those of sector_rates, and they fall as it rises."""
    main = work.settings.minimum_forfaits
    counts = work.read(schemas.THRESHOLD_COUNTS).to_pandas()
    rates = _rates(work)
    totals = rates[rates["level"].isin(sensitivity.LEVELS) & (rates["dimension"] == "total")]
    by_area = counts.sort_values("threshold").groupby(["level", "area_code"])
    problems = {
        "have not each number of forfaits from 1 to 12 once": by_area["threshold"]
        .agg(list)
        .map(lambda found: found != list(range(1, 13))),
        "have more patients at a higher threshold": ~by_area["patients"].agg(lambda n: n.is_monotonic_decreasing),
        "have several numbers of beneficiaries": by_area["beneficiaries"].nunique() > 1,
    }
    keys = ["level", "area_code", *COUNTS]
    both = counts[counts["threshold"] == main][keys].merge(totals[keys], how="outer", indicator=True)
    problems["are not in both tables with the same counts"] = both.groupby(["level", "area_code"])["_merge"].agg(
        lambda side: (side != "both").any()
    )
    for what, is_wrong in problems.items():
        if is_wrong.any():
            areas = ", ".join(code for _, code in is_wrong[is_wrong].index)
            return failed(
                f"{areas} {what}: threshold_counts and sector_rates do not go together. Materialise both for {work.year} "
                "again, and report it if it stays."
            )
    return passed(f"Each of {by_area.ngroups} areas has twelve thresholds, and at {main} the patients of sector_rates.")
