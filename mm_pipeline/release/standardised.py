"""Age-standardised rates: the rate an area would have with the ages of the European Standard Population.

Direct standardisation from the published rates of the age classes alone, so that it tells nothing more than these. An
area with a hidden class has none.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mm_pipeline.dimensions import COUNTS, LEVELS_WITH_AGE_CLASSES
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

_AREA = ["year", "level", "area_code"]


def standardised(rates: pa.Table) -> pa.Table:
    """Age-standardised rates of released rates, one row an area and year. Columns of ``schemas.RELEASED_STANDARDISED``.

    The interval is Dobson's (*Confidence intervals for weighted sums of Poisson parameters*, Statistics in Medicine 10,
    1991) with binomial in place of Poisson counts: the Wilson interval of the crude number of patients, scaled by the
    ratio of the standard errors of the standardised and the crude rate. With an area's own ages as standard it is the
    Wilson interval of its rate. It is empty where no class has both patients and others, and the rate itself where
    nobody lives in a class.
    """
    rates = rates.filter(pc.field("level").isin(LEVELS_WITH_AGE_CLASSES))
    totals = rates.filter(pc.field("dimension") == "total")
    areas = pd.MultiIndex.from_frame(totals.select(_AREA).to_pandas())
    classes = rates.filter(pc.field("dimension") == "age_class")
    cells = classes.select([*_AREA, "category", *COUNTS, "status"]).to_pandas().set_index([*_AREA, "category"])

    def of_classes(name: str) -> pd.DataFrame:
        """A column with a row for each area, a column for each age class."""
        return cells[name].unstack("category").reindex(index=areas, columns=[*STANDARD_POPULATION])

    hidden = (of_classes("status") != "published").any(axis=1).to_numpy()
    people, patients = (of_classes(name).to_numpy(float) for name in COUNTS)
    shares = direct(np.where(hidden[:, None], np.nan, patients), people)
    table = totals.drop_columns(["status"])
    table = table.append_column("status", pa.array(np.where(hidden, "suppressed", "published"), pa.string()))
    for end, share in zip(("", "_lower", "_upper"), shares, strict=True):
        column = pa.array(10_000 * share, pa.float64(), from_pandas=True)
        table = table.append_column(f"standardised_per_10000{end}", column)
    return table.select(RELEASED_STANDARDISED.column_names).cast(RELEASED_STANDARDISED.schema)


def direct(patients: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised shares and the ends of their intervals; NaN where unknown. A row per area, a column per age class."""
    weight = np.array(list(STANDARD_POPULATION.values())) / sum(STANDARD_POPULATION.values())
    with np.errstate(divide="ignore", invalid="ignore"):
        share = patients / people
        value = (weight * share).sum(axis=1)
        variance = (weight**2 * share * (1 - share) / people).sum(axis=1)
        variance_of_count = (people * share * (1 - share)).sum(axis=1)
        scale = np.sqrt(variance / variance_of_count)
    count, all_people = patients.sum(axis=1), people.sum(axis=1)
    lower, upper = (np.clip(value + scale * (end * all_people - count), 0, 1) for end in wilson(count, all_people))
    return value, lower, upper
