"""Checks of the rates: do the figures add up, and do they look like the statistic?"""

import json
from importlib import resources
from itertools import pairwise
from typing import Any

import pandas as pd

from mm_pipeline import catalogue
from mm_pipeline.assets.common import Step, markdown_table
from mm_pipeline.checks.expectations import broken_rules
from mm_pipeline.checks.framework import Check, Outcome, checks_of, failed, not_applicable, passed, warning
from mm_pipeline.statistic.cells import FIRST_SECTOR_YEAR
from mm_pipeline.statistic.rates import AGE_GROUPS, LEVELS

NATIONAL_SIZE = (9_000_000, 14_000_000)
"""Beneficiaries of a year that can be the whole country; the published figures mean nothing for anything else."""

_REGION_NAMES = {"BE": "Belgium", "02000": "Flanders", "03000": "Wallonia", "04000": "Brussels"}


def _rates(work: Step, year: int | None = None) -> pd.DataFrame:
    return work.lake.read(work.backend, catalogue.SECTOR_RATES, year or work.year).to_pandas()


def rates_in_range(work: Step) -> Outcome:
    frame = _rates(work)
    frame["key"] = frame["level"] + "/" + frame["area_code"] + "/" + frame["dimension"] + "/" + frame["category"]
    if broken := broken_rules(frame, "sector_rates"):
        return failed(
            f"{' '.join(broken)} The table is not what the definition gives: materialise sector_rates for {work.year} "
            "again, and report it if it stays."
        )
    return passed(f"All {len(frame)} cells have a legal area, category, count and rate, and no cell is there twice.")


def numerator_within_denominator(work: Step) -> Outcome:
    frame = _rates(work)
    wrong = frame[(frame["patients"] > frame["beneficiaries"]) | (frame["patients"] < 0)]
    if wrong.empty:
        return passed(f"In all {len(frame)} cells the patients are among the beneficiaries.")
    return failed(
        f"{len(wrong)} cells have more patients than beneficiaries ({_places(wrong)}). Were forfaits and beneficiaries "
        "extracted with the same pseudonyms? Correct the delivery and materialise the year again."
    )


def sector_coverage(work: Step) -> Outcome:
    """From 2005 on every municipality with beneficiaries has sectors, and they add up with ZZZZ to it."""
    if work.year < FIRST_SECTOR_YEAR:
        return not_applicable(f"sectors are published from {FIRST_SECTOR_YEAR} on.")
    frame = _rates(work)
    frame = frame[frame["dimension"] == "total"]
    counts = ["beneficiaries", "patients"]
    municipalities = frame[frame["level"] == "municipality"].set_index("area_code")[counts]
    sectors = frame[frame["level"] == "sector"].groupby("parent_code")[counts].sum()
    inhabited = municipalities[municipalities["beneficiaries"] > 0]
    without = inhabited.index.difference(sectors.index)
    unequal = municipalities.index[(municipalities != sectors.reindex(municipalities.index).fillna(0)).any(axis=1)]
    if without.empty and unequal.empty:
        return passed(f"The sectors of all {len(inhabited)} municipalities with beneficiaries add up to them.")
    return failed(
        f"{len(without)} municipalities have no sector and {len(unequal)} are not the sum of their sectors "
        f"({', '.join([*without, *unequal][:10])}). Materialise beneficiary_counts and sector_rates for {work.year} "
        "again, and report it if it stays."
    )


def levels_add_up(work: Step) -> Outcome:
    """Each level adds up to the one above; below the country, the unassigned are missing."""
    frame = _rates(work)
    keys = ["dimension", "category"]
    counts = ["beneficiaries", "patients"]
    wrong: list[str] = []
    for above, below in pairwise(LEVELS[:5]):
        parents = frame[frame["level"] == above].set_index(["area_code", *keys])[counts].sort_index()
        children = frame[frame["level"] == below].groupby(["parent_code", *keys])[counts].sum()
        children.index = children.index.set_names(["area_code", *keys])
        shared = parents.index
        if below == "municipality":  # no age classes there
            shared = shared[shared.get_level_values("dimension") != "age_class"]
        difference = parents.loc[shared] - children.reindex(shared).fillna(0)
        bad = (difference < 0).any(axis=1) if above == "country" else (difference != 0).any(axis=1)
        wrong += [f"{above} {area}" for area in difference.index[bad].get_level_values("area_code").unique()]
    if not wrong:
        return passed("Every level adds up to the one above (the country also holds those without a municipality).")
    return failed(
        f"{len(wrong)} areas are not the sum of the areas below: {', '.join(wrong[:10])}. Materialise sector_rates for "
        f"{work.year} again, and report it if it stays."
    )


def breakdowns_add_up(work: Step) -> Outcome:
    """The categories of each breakdown add up to the area's total, and the age classes to the age groups."""
    frame = _rates(work)
    counts = ["beneficiaries", "patients"]
    area = ["level", "area_code"]
    totals = frame[frame["dimension"] == "total"].set_index(area)[counts].sort_index()
    wrong: list[str] = []
    for dimension in ("sex", "age_group", "preferential", "age_class"):
        sums = frame[frame["dimension"] == dimension].groupby(area)[counts].sum()
        bad = (sums != totals.reindex(sums.index)).any(axis=1)
        wrong += [f"{dimension} of {level} {code}" for level, code in sums.index[bad]]
    groups = {class_: group for group, classes in AGE_GROUPS.items() for class_ in classes}
    classes = frame[frame["dimension"] == "age_class"].assign(category=lambda rows: rows["category"].map(groups))
    class_sums = classes.groupby([*area, "category"])[counts].sum()
    group_rows = frame[frame["dimension"] == "age_group"].set_index([*area, "category"])[counts]
    bad = (class_sums != group_rows.reindex(class_sums.index)).any(axis=1)
    wrong += [f"age group {group} of {level} {code}" for level, code, group in class_sums.index[bad]]
    if not wrong:
        return passed("Every breakdown adds up to its area, and the age classes to the age groups.")
    return failed(
        f"{len(wrong)} breakdowns do not add up: {', '.join(wrong[:10])}. Materialise sector_rates for {work.year} "
        "again, and report it if it stays."
    )


def regional_change(work: Step) -> Outcome:
    before = work.year - 1
    if not work.lake.has(catalogue.SECTOR_RATES, before):
        return not_applicable(f"{before} has not been built, so there is nothing to compare with.")
    now, then = (_top_rates(_rates(work, year)) for year in (work.year, before))
    frame = pd.DataFrame({"area": list(now), "ratio": [_ratio(now[area], then.get(area)) for area in now]}).dropna()
    if frame.empty:
        return not_applicable("no region has a rate in both years.")
    table = markdown_table(
        [
            {
                "area": _REGION_NAMES[area],
                f"per 10 000 in {before}": round(then[area], 1),
                str(work.year): round(now[area], 1),
            }
            for area in frame["area"]
        ]
    )
    if broken := broken_rules(frame, "regional_change"):
        return warning(f"Against {before}: {' '.join(broken)}", rates=table)
    return passed(f"The rate of the country and of each region changed plausibly against {before}.", rates=table)


def _ratio(now: float, then: float | None) -> float | None:
    return now / then if then else None


def _top_rates(frame: pd.DataFrame) -> dict[str, float]:
    """Rate per 10 000 of the country and the regions, where it rests on enough people to be spoken of."""
    top = frame[(frame["dimension"] == "total") & frame["level"].isin(["country", "region"]) & (frame["patients"] >= 5)]
    return dict(zip(top["area_code"], top["rate_per_10000"].tolist(), strict=True))


def published_figures(work: Step) -> Outcome:
    """National and regional rates against those the agency published (``published_figures.json``)."""
    facts: dict[str, Any] = json.loads(
        (resources.files("mm_pipeline.checks") / "published_figures.json").read_text(encoding="utf-8")
    )
    published = facts["rate_percent"].get(str(work.year))
    if published is None:
        return not_applicable(f"no figure published for {work.year} is known to the project.")
    frame = _rates(work)
    beneficiaries = int(
        frame.loc[(frame["level"] == "country") & (frame["dimension"] == "total"), "beneficiaries"].iloc[0]
    )
    if not NATIONAL_SIZE[0] <= beneficiaries <= NATIONAL_SIZE[1]:
        return not_applicable(
            "the delivery is not of the size of the country (demonstration data of another scale?), so the published "
            "figures say nothing about it."
        )
    found = _top_rates(frame)
    rows, away = [], []
    for area, rate in published.items():
        own = round(found.get(area, 0.0) / 100, 2)
        rows.append({"area": _REGION_NAMES[area], "published %": rate, "here %": own})
        if abs(own - rate) > facts["tolerance_percentage_points"]:
            away.append(f"{_REGION_NAMES[area]} {own} % (published {rate} %)")
    if away:
        return warning(
            f"Away from the published rate by more than {facts['tolerance_percentage_points']} percentage points: "
            f"{', '.join(away)}. Is the extract complete, and are DMG and beneficiaries of the same year?",
            figures=markdown_table(rows),
        )
    return passed("The rates agree with the published figures.", figures=markdown_table(rows))


def _places(rows: pd.DataFrame) -> str:
    places = (rows["level"] + " " + rows["area_code"] + ", " + rows["dimension"] + " " + rows["category"]).head(10)
    return "; ".join(places)


CHECKS = [
    checks_of(
        catalogue.SECTOR_RATES,
        [
            Check(
                "rates_in_range",
                "Areas, categories, counts and rates are legal, and no cell is there twice (suite sector_rates).",
                rates_in_range,
                blocking=True,
            ),
            Check(
                "numerator_within_denominator",
                "In every cell the patients are among the beneficiaries.",
                numerator_within_denominator,
                blocking=True,
            ),
            Check(
                "sector_coverage",
                "From 2005 on, the sectors of every municipality add up to it, those unknown (ZZZZ) included.",
                sector_coverage,
                blocking=True,
            ),
            Check("levels_add_up", "Every level adds up to the one above.", levels_add_up, blocking=True),
            Check("breakdowns_add_up", "Every breakdown adds up to its area.", breakdowns_add_up, blocking=True),
            Check(
                "regional_change",
                "The rate of the country and the regions changed plausibly in a year (suite regional_change).",
                regional_change,
            ),
            Check(
                "published_figures",
                "National and regional rates agree with the published ones, where there are any.",
                published_figures,
            ),
        ],
    )
]
