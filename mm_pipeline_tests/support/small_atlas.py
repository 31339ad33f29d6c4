"""A country of six square municipalities to make pages of: small enough to count, and with everything that happens.

Two regions, two provinces and arrondissements, four years (sectors in the last two). ``11005`` ends after the second
year and has no outline; ``11006`` takes its place. ``62002`` is suppressed in the last year, with its number of people
shown, and so are some sectors, without; nobody lives in ``62003`` in the first year. One name is meant to break a page.
"""

import datetime
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from shapely import unary_union
from shapely.geometry import box

from mm_pipeline.reference.outlines import Outlines
from mm_pipeline.release.history import Release
from mm_pipeline.release.interval import needs_care, wilson

YEARS = (2003, 2004, 2005, 2006)
BREAKS_A_PAGE = "</script><script>document.title='broken'</script><!--"
AGES = ("0-17", "18-24", "25-44", "45-64", "65-74", "75-84", "85+")
COUNTED = ["year", "level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients", "status"]
CELLS = {
    "total": ("total",),
    "sex": ("F", "M"),
    "age_group": ("0-17", "18-64", "65+"),
    "preferential": ("0", "1"),
    "age_class": AGES,
}

# level, code, parent, names fr/nl/de/en, first and last year, where its square is
AREAS: list[tuple[str, str, str, tuple[str, str, str, str], int, int]] = [
    ("country", "BE", "", ("Belgique", "België", "Belgien", "Belgium"), 2003, 2006),
    ("region", "02000", "BE", ("Région flamande", "Vlaams Gewest", "Flämische Region", "Flemish Region"), 2003, 2006),
    ("region", "03000", "BE", ("Région wallonne", "Waals Gewest", "Wallonische Region", "Walloon Region"), 2003, 2006),
    ("province", "10000", "02000", ("Province d'Anvers", "Provincie Antwerpen", "Provinz Antwerpen", ""), 2003, 2006),
    ("province", "60000", "03000", ("Province de Liège", "Provincie Luik", "Provinz Lüttich", ""), 2003, 2006),
    ("arrondissement", "11000", "10000", ("Arr. d'Anvers", "Arr. Antwerpen", "Bez. Antwerpen", ""), 2003, 2006),
    ("arrondissement", "62000", "60000", ("Arr. de Liège", "Arr. Luik", "Bez. Lüttich", ""), 2003, 2006),
    ("municipality", "11002", "11000", ("Anvers", "Antwerpen", "Antwerpen", "Antwerp"), 2003, 2006),
    ("municipality", "11005", "11000", ("Boom", "Boom", "Boom", "Boom"), 2003, 2004),
    ("municipality", "11006", "11000", ("Bornem", "Bornem", "Bornem", "Bornem"), 2005, 2006),
    ("municipality", "11007", "11000", (BREAKS_A_PAGE,) * 4, 2003, 2006),
    ("municipality", "62001", "62000", ("Liège", "Luik", "Lüttich", "Liège"), 2003, 2006),
    ("municipality", "62002", "62000", ("Seraing", "Seraing", "Seraing", "Seraing"), 2003, 2006),
    ("municipality", "62003", "62000", ("Herstal", "Herstal", "Herstal", "Herstal"), 2003, 2006),
]
MUNICIPALITIES = [area for area in AREAS if area[0] == "municipality"]
PLACES = {"11002": (0, 1), "11006": (1, 1), "11007": (2, 1), "62001": (0, 0), "62002": (1, 0), "62003": (2, 0)}
RATES = {"11002": 0.012, "11005": 0.02, "11006": 0.004, "11007": 0.0, "62001": 0.17, "62002": 0.03, "62003": 0.06}
SECTORS = [
    ("sector", f"{code}A{number}0-", code, (f"Quartier {number}",) * 4, 2005, 2006)
    for _, code, *_, last in MUNICIPALITIES
    if last >= 2005
    for number in range(4)
]
RELEASE = Release(3, datetime.date(2026, 9, 1), YEARS, synthetic=True)
FICHE: dict[str, dict[str, Any]] = {
    language: {
        "title": f"Titre {language} & <b>",
        "description": "Description.",
        "remarks": ["Une.", "Deux."],
        "method": "n / N",
        "citation": "Citation.",
    }
    for language in ("fr", "nl", "de", "en")
}


def code_list() -> pd.DataFrame:
    rows = [(first, last, level, code, parent, *names) for level, code, parent, names, first, last in AREAS + SECTORS]
    names = ["fr", "nl", "de", "en"]
    columns = ["first_year", "last_year", "level", "area_code", "parent_code", *(f"label_{name}" for name in names)]
    return pd.DataFrame(rows, columns=columns)


def counts(code: str, year: int, size: int) -> tuple[int, int]:
    """Some people and patients, the same every time."""
    people = size * (40 + sum(map(ord, code)) % 17) + 3 * (year - 2003)
    return people, round(people * RATES.get(code[:5], 0.05) * (1 + (year - 2003) / 10))


def rates() -> pa.Table:
    rows = []
    for (level, code, parent, _, first, last), year in product(AREAS + SECTORS, YEARS):
        if not first <= year <= last:
            continue
        for dimension, categories in CELLS.items():
            if (level == "sector" and dimension != "total") or (level == "municipality" and dimension == "age_class"):
                continue
            for category in categories:
                size = {"sector": 2, "municipality": 100, "country": 4000}.get(level, 1000) // len(categories)
                people, patients = counts(code, year, size)
                hidden = (code == "62002" and year == YEARS[-1]) or (level == "sector" and 1 <= patients < 5)
                if code == "62003" and year == YEARS[0]:
                    people, patients = 0, 0
                rows.append(
                    {
                        "year": year,
                        "level": level,
                        "area_code": code,
                        "parent_code": parent,
                        "dimension": dimension,
                        "category": category,
                        "beneficiaries": None if hidden and level == "sector" else people,
                        "patients": None if hidden else patients,
                        "status": "suppressed" if hidden else "published",
                    }
                )
    return with_rates(pd.DataFrame(rows))


def with_rates(frame: pd.DataFrame) -> pa.Table:
    """The columns that follow from the counts, as the release has them, in place of those that may be there."""
    frame = frame[COUNTED]
    people, patients = (frame[column].to_numpy(float) for column in ("beneficiaries", "patients"))
    rate = np.divide(10_000 * patients, people, out=np.full(len(frame), np.nan), where=people > 0)
    lower, upper = (10_000 * end for end in wilson(patients, people))
    care = np.where(needs_care(patients, people), "care", "reliable")
    table = pa.Table.from_pandas(frame.astype({"beneficiaries": "Int64", "patients": "Int64"}), preserve_index=False)
    for name, values in (("rate_per_10000", rate), ("rate_per_10000_lower", lower), ("rate_per_10000_upper", upper)):
        table = table.append_column(name, pa.array(values, from_pandas=True))
    return table.append_column("reliability", pa.array(np.where(np.isnan(rate), None, care), pa.string()))


def standardised() -> pa.Table:
    """The country, and a province that has none because an age class is hidden."""
    rows = [
        ("country", "BE", 512.346, 500.001, 525.0, "published"),
        ("province", "60000", None, None, None, "suppressed"),
    ]
    names = ["level", "area_code", *(f"standardised_per_10000{end}" for end in ("", "_lower", "_upper")), "status"]
    return pa.Table.from_pylist(
        [{"year": year, **dict(zip(names, row, strict=True))} for year in YEARS for row in rows]
    )


def outlines(year: int | None = 2006) -> dict[int, Outlines]:
    """The same vintage for all years, as squares of a tenth of a degree."""
    squares = {code: box(4 + x / 10, 50.5 + y / 10, 4.1 + x / 10, 50.6 + y / 10) for code, (x, y) in PLACES.items()}
    parents = {code: parent for _, code, parent, *_ in AREAS}
    levels: dict[str, dict[str, Any]] = {"municipality": squares}
    for level, below in (("arrondissement", "municipality"), ("province", "arrondissement"), ("region", "province")):
        shapes = levels[below]
        codes = {parents[code] for code in shapes}
        levels[level] = {code: unary_union([s for c, s in shapes.items() if parents[c] == code]) for code in codes}
    levels["sector"] = {
        f"{code}A{number}0-": box(west + number * 0.025, south, west + number * 0.025 + 0.025, north)
        for code, (west, south, _, north) in ((code, square.bounds) for code, square in squares.items())
        for number in range(4)
    }
    shared = Outlines(year, levels, "Squares, CC BY 4.0")
    return dict.fromkeys(YEARS, shared)


def arguments(**changes: Any) -> dict[str, Any]:
    """What ``write_atlas`` takes, for this country."""
    given = {
        "rates": rates(),
        "standardised": standardised(),
        "areas": code_list(),
        "outlines": outlines(),
        "fiche": FICHE,
        "release": RELEASE,
    }
    return given | changes
