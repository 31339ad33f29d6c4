"""Age-standardised rates: the rate an area would have with the ages of the European Standard Population.

Direct standardisation from the published rates of the age classes alone, so that it tells nothing more than these. An
area with a hidden class has none.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mm_pipeline.dimensions import LEVELS_WITH_AGE_CLASSES
from mm_pipeline.release.interval import wilson
from mm_pipeline.schemas import RELEASED_STANDARDISED

STANDARD_POPULATION = {
    "0-17": 19_300,
    "18-24": 8_200,
    "25-44": 26_500,
    "45-64": 26_500,
    "65-74": 10_500,
    "75-84": 6_500,
    "85+": 2_500,
}
"""European Standard Population 2013, in persons of 100 000.

Source: Eurostat, *Revision of the European Standard Population*, 2013. It is published by groups of five years; 15 to 19
(5 500) is divided evenly over its years of age.
"""


def standardised(rates: pa.Table) -> pa.Table:
    """Age-standardised rates, one row an area and year. Columns of ``schemas.RELEASED_STANDARDISED``.

    ``rates``: released rates.

    The interval is Dobson's (*Confidence intervals for weighted sums of Poisson parameters*, Statistics in Medicine 10,
    1991) with binomial in place of Poisson counts: the Wilson interval of the crude number of patients, scaled by the
    ratio of the standard errors of the standardised and the crude rate. With an area's own ages as standard it is the
    Wilson interval of its rate. It is empty where no class has both patients and others, and the rate itself where
    nobody lives in a class.
    """
    rates = rates.filter(pc.field("level").isin(LEVELS_WITH_AGE_CLASSES))
    totals = rates.filter(pc.field("dimension") == "total")
    shape = (len(totals), len(STANDARD_POPULATION))
    patients, people, is_shown = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    row_of = {key: row for row, key in enumerate(_keys(totals))}
    for number, age_class in enumerate(STANDARD_POPULATION):
        cells = rates.filter((pc.field("dimension") == "age_class") & (pc.field("category") == age_class))
        rows = [row_of[key] for key in _keys(cells)]
        patients[rows, number], people[rows, number] = (_floats(cells, name) for name in ("patients", "beneficiaries"))
        is_shown[rows, number] = pc.equal(cells["status"], "published").to_numpy()
    hidden: NDArray[np.bool_] = ~np.all(is_shown, axis=1)
    value, lower, upper = direct(np.where(hidden[:, None], np.nan, patients), people)
    columns = {
        "standardised_per_10000": value,
        "standardised_per_10000_lower": lower,
        "standardised_per_10000_upper": upper,
    }
    table = totals.drop_columns(["status"]).append_column("status", _status(hidden))
    for name, share in columns.items():
        table = table.append_column(name, pa.array(10_000 * share, pa.float64(), from_pandas=True))
    return table.select(RELEASED_STANDARDISED.column_names).cast(RELEASED_STANDARDISED.schema)


def direct(patients: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised shares and the ends of their intervals; NaN where unknown.

    ``patients`` and ``people``: a row per area, a column per age class.
    """
    weight = np.array(list(STANDARD_POPULATION.values())) / sum(STANDARD_POPULATION.values())
    with np.errstate(divide="ignore", invalid="ignore"):
        share = patients / people
        value = (weight * share).sum(axis=1)
        variance = (weight**2 * share * (1 - share) / people).sum(axis=1)
        variance_of_count = (people * share * (1 - share)).sum(axis=1)
        scale = np.sqrt(variance / variance_of_count)
    count, all_people = patients.sum(axis=1), people.sum(axis=1)
    lower, upper = (end * all_people for end in wilson(count, all_people))
    return (
        value,
        np.clip(value + scale * (lower - count), 0, 1),
        np.clip(value + scale * (upper - count), 0, 1),
    )


def _keys(table: pa.Table) -> list[tuple[int, str, str]]:
    return list(zip(*(table[name].to_pylist() for name in ("year", "level", "area_code")), strict=True))


def _floats(table: pa.Table, name: str) -> np.ndarray:
    return table[name].cast(pa.float64()).to_numpy()


def _status(hidden: np.ndarray) -> pa.Array:
    return pa.array(np.where(hidden, "suppressed", "published"), pa.string())
