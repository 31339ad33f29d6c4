"""What a total is worth, what revisions need, and what is left to someone who runs the protection again himself."""

import time
from collections.abc import Iterator
from itertools import islice, product

import numpy as np
import pandas as pd

from mm_pipeline.dimensions import AGE_GROUP_OF, CATEGORIES, COUNTS, KEY, LEVELS
from mm_pipeline.disclosure.audit import audit
from mm_pipeline.disclosure.primary_rule import sensitive
from mm_pipeline.disclosure.protect import protect, protect_revision
from mm_pipeline.disclosure.revision import as_published, disclosed
from mm_pipeline.disclosure.system import with_rates

WORTHS = (1, 3, 10, 30, 100, 150)
SHARES = (0.001, 0.004, 0.01, 0.02)
"""Of the persons of the table: how many are new in a simulated revision."""
MOST_TABLES = 1_000
"""Of a municipality that has more tables to try than this, none is tried."""
MOST_MUNICIPALITIES = 50

Row = list[object]


def worths(rates: pd.DataFrame, threshold: int) -> Iterator[Row]:
    """A row for each worth of a total: what is visible then, and what the audit finds."""
    for worth in WORTHS:
        table = protect(rates, threshold, total_worth=worth)
        is_total, municipality = table["dimension"] == "total", table["level"] == "municipality"
        age_groups = municipality & (table["dimension"] == "age_group")
        parts = (municipality & is_total, table["level"] == "sector", age_groups)
        visible = [f"{(table.loc[part, 'status'] == 'published').mean():.1%}" for part in parts]
        violations = audit(table, threshold).violations
        yield [str(worth), *visible, int((table["status"] == "suppressed").sum()), len(violations)]


# --- revisions -------------------------------------------------------------------------------------------------------


def with_people(rates: pd.DataFrame, people: int, seed: int = 1) -> pd.DataFrame:
    """The rates with so many further persons, spread as those who are there; as many of them patients as beside them."""
    random = np.random.default_rng(seed)
    finest = LEVELS[max(map(LEVELS.index, rates["level"]))]
    there = rates[(rates["level"] == finest) & (rates["dimension"] == "total")]
    new = there.sample(people, replace=True, weights="beneficiaries", random_state=random).reset_index(drop=True)
    new["patients"] = (random.random(people) * new["beneficiaries"] < new["patients"]).astype(int)
    new["beneficiaries"] = 1
    country = rates[rates["level"] == LEVELS[0]]
    for name in ("sex", "preferential", "age_class"):
        of_country = country[country["dimension"] == name]
        drawn = of_country.sample(people, replace=True, weights="beneficiaries", random_state=random)
        new[name] = drawn["category"].to_numpy()
    new["age_group"] = new["age_class"].map(AGE_GROUP_OF)
    new["total"] = "total"
    parent = rates.drop_duplicates(["level", "area_code"]).set_index(["level", "area_code"])["parent_code"]
    area, further = new["area_code"], []
    for level in reversed(LEVELS[: LEVELS.index(finest) + 1]):
        keyed = new.assign(level=level, area_code=area)
        further += [
            keyed.assign(dimension=name, category=keyed[name]).groupby(KEY)[COUNTS].sum() for name in CATEGORIES
        ]
        area = area.map(parent[level])
    keys = pd.MultiIndex.from_frame(rates[KEY])
    counts = rates[COUNTS] + pd.concat(further).reindex(keys, fill_value=0).to_numpy()
    return with_rates(rates.assign(**counts))


def revisions(rates: pd.DataFrame, threshold: int) -> Iterator[Row]:
    """A row for each simulated revision: what waits, what is newly hidden and shown, and what both releases give away."""
    is_country = rates["level"] == LEVELS[0]
    first = protect(rates, threshold)
    earlier = disclosed(rates, first)
    for share in SHARES:
        people = round(share * int(rates.loc[is_country & (rates["dimension"] == "total"), "beneficiaries"].item()))
        revised = with_people(rates, people)
        started = time.process_time()
        protection = protect_revision(revised, threshold, [earlier])
        seconds = time.process_time() - started
        both = first.merge(protection.table, on=KEY, suffixes=("_before", ""))
        is_hidden, was_hidden = both["status"] == "suppressed", both["status_before"] == "suppressed"
        releases = as_published([earlier, disclosed(protection.rates, protection.table)])
        counts = [int((is_hidden & ~was_hidden).sum()), int((~is_hidden & was_hidden).sum())]
        violations = len(audit(releases, threshold).violations)
        yield [f"{share:.1%}", people, len(protection.postponed), *counts, violations, f"{seconds:.1f}"]


# --- whoever runs the protection again -------------------------------------------------------------------------------


def rerun(blocks: Iterator[tuple[str, pd.DataFrame]], threshold: int) -> Row:
    """What is learnt of hidden sectors by trying every table that could be under a published one, and keeping those that
    the protection would publish like that.

    Of each municipality, with its sectors and nothing else: what protects the levels above does not trouble this attacker,
    and he is told how many live in the unknown sector. Counted are sectors whose n or N - n is small.
    """
    tried = narrowed = exact = known = 0
    with_tables = ((block, tables) for _, block in blocks if (tables := _tables(block, threshold)))
    for block, tables in islice(with_tables, MOST_MUNICIPALITIES):
        seen = _hidden(block, protect(block, threshold))
        possible = [table for table in tables if _hidden(table, protect(table, threshold)).equals(seen)]
        for cell in np.flatnonzero(seen & (block["level"] == "sector")):
            truth, people = int(block["patients"].iat[cell]), int(block["beneficiaries"].iat[cell])
            if not (0 < truth < threshold or 0 < people - truth < threshold):
                continue
            values = {int(table["patients"].iat[cell]) for table in possible}
            tried += 1
            exact += len(values) == 1
            narrowed += len(values) < threshold
            small = sensitive(np.array(sorted(values)), np.full(len(values), people), threshold)
            known += bool(small.all())
    shares = [f"{count / max(tried, 1):.0%}" for count in (exact, narrowed, known)]
    return [tried, *shares]


def _hidden(rates: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """Of each row whether its patients are hidden in the protected ``table``; an unknown sector always is."""
    published = table.set_index(KEY)["status"]
    return published.reindex(pd.MultiIndex.from_frame(rates[KEY])).ne("published").reset_index(drop=True)


def _tables(block: pd.DataFrame, threshold: int) -> list[pd.DataFrame]:
    """All tables of a municipality that an attacker must hold possible; none if there are too many, or none to try."""
    table = protect(block, threshold)
    if table["beneficiaries"].isna().any() or table.loc[table["level"] == "municipality", "patients"].isna().any():
        return []
    is_residual = block["area_code"].str.endswith("ZZZZ")
    hidden = _hidden(block, table)
    if hidden.equals(is_residual):
        return []
    # Where an inhabited sector is shown, a hidden one is not 0; otherwise zeros are hidden as well (R2).
    shows = (~hidden & (block["level"] == "sector") & (block["beneficiaries"] > 0)).any()
    at = np.flatnonzero(hidden)
    together = int(block["patients"].iloc[at].sum())
    ranges = [
        range(int(shows and not residual), min(most, together) + 1)
        for most, residual in zip(block["beneficiaries"].iloc[at], is_residual.iloc[at], strict=True)
    ]
    if np.prod([len(each) for each in ranges[:-1]], dtype=float) > MOST_TABLES:
        return []
    found = []
    for values in product(*ranges[:-1]):
        last = together - sum(values)
        if last in ranges[-1]:
            patients = block["patients"].to_numpy().copy()
            patients[at] = [*values, last]
            found.append(block.assign(patients=patients))
    return found
