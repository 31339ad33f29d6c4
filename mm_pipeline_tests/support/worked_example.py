"""The worked example of `docs/definition_example.md`: fourteen persons, two houses, one other practice, the year 2024.

What belongs here: the deliveries as constants, and the figures that follow from them, worked by hand with the
definition on the table and nothing else. They are literals on purpose: no figure below may be computed. Persons, houses
and amounts are invented; the areas are real.
"""

import re

YEAR = 2024

AREAS = [
    {"level": level, "area_code": area_code, "parent_code": parent_code}
    for level, area_code, parent_code in (
        ("country", "BE", ""),
        ("region", "02000", "BE"),
        ("region", "03000", "BE"),
        ("region", "04000", "BE"),
        ("province", "10000", "02000"),
        ("province", "60000", "03000"),
        ("province", "04000", "04000"),
        ("arrondissement", "11000", "10000"),
        ("arrondissement", "62000", "60000"),
        ("arrondissement", "21000", "04000"),
        ("municipality", "11002", "11000"),
        ("municipality", "62063", "62000"),
        ("municipality", "21004", "21000"),
        ("sector", "11002A00-", "11002"),
        ("sector", "11002A01-", "11002"),
        ("sector", "62063A00-", "62063"),
        ("sector", "62063A01-", "62063"),
        ("sector", "62063A02-", "62063"),
        ("sector", "21004A001", "21004"),
        ("sector", "21004A01-", "21004"),
    )
]

# --- the deliveries ---------------------------------------------------------------------------------------------------

BILLED = {
    # person, house: the quantities billed from January to December, one row for each
    ("A", "MM1"): "1  1  1      1  1  1    1    1  1  1  1  1",
    ("B", "MM2"): "1  1  1      1  1  1    .    .  .  .  .  .",
    ("C", "MM1"): "1  1  1      1  1  .    .    .  .  .  .  .",
    ("D", "MM2"): "1  1  1-1+1  1  1  1+1  1-1  .  .  .  .  .",
    ("E", "MM1"): ".  .  .      .  .  .    1    1  1  1  1  1-1",
    ("F", "MM1"): "1  1  1      .  .  .    .    .  .  .  .  .",
    ("F", "MM2"): ".  .  1      1  1  1    .    .  .  .  .  .",
    ("G", "MM1"): "1  1  1      .  .  .    .    .  .  .  .  .",
    ("G", "MM2"): ".  .  .      .  .  .    .    .  .  1  1  1",
    ("H", "MM1"): "1  1  1      1  1  1    1    1  1  1  1  1",
    ("I", "MM1"): ".  .  .    1-1  .  .    .    .  .  .  .  .",
    ("I", "MM2"): ".  .  .      .  1  1    1    1  1  1  1  1",
    ("J", "MM2"): "1  1  1      1  1  1    1    1  1  .  .  .",
    ("K", "MM1"): ".  .  .      .  .  .    1    1  1  1  1  1",
    ("L", "MM2"): ".  1  1      1  1  1    1    1  1  1  1  .",
    ("M", "MM1"): ".  .  .      .  1  1    1    1  1  1  1  1",
}
AMOUNTS = {"MM1": "18.52", "MM2": "21.07"}


def _forfait_rows(person: str, house: str, year_of_cells: str) -> list[dict[str, str]]:
    rows = []
    for month, cell in enumerate(year_of_cells.split(), start=1):
        for quantity in re.findall(r"[+-]?\d+", cell):
            sign = "-" if quantity.startswith("-") else ""
            rows.append(
                {
                    "patient_id": person,
                    "house_id": house,
                    "service_date": f"{YEAR}-{month:02}-01",
                    "nomenclature_code": "109616",
                    "quantity": quantity.lstrip("+"),
                    "amount_eur": sign + AMOUNTS[house],
                }
            )
    return rows


FORFAITS = [row for (person, house), cells in BILLED.items() for row in _forfait_rows(person, house, cells)] + [
    # Would be the sixth month of C, but belongs to another year: quarantined.
    {
        "patient_id": "C",
        "house_id": "MM1",
        "service_date": "2025-01-02",
        "nomenclature_code": "109616",
        "quantity": "1",
        "amount_eur": "18.52",
    },
    # A consultation of N: another nomenclature code, ignored by rule.
    {
        "patient_id": "N",
        "house_id": "GP",
        "service_date": "2024-03-14",
        "nomenclature_code": "101032",
        "quantity": "1",
        "amount_eur": "30.00",
    },
]

BENEFICIARIES = [
    {
        "patient_id": patient_id,
        "birth_year": birth_year,
        "sex": sex,
        "preferential": preferential,
        "municipality_code": municipality_code,
        "sector_code": sector_code,
        "valid_from": valid_from,
    }
    for patient_id, birth_year, sex, preferential, municipality_code, sector_code, valid_from in (
        ("A", "1980", "F", "1", "62063", "62063A00-", ""),
        ("B", "2010", "M", "0", "11002", "11002A00-", ""),
        ("C", "1959", "M", "0", "62063", "62063A00-", ""),
        ("D", "1946", "F", "1", "11002", "11002A01-", ""),
        ("E", "2000", "M", "1", "62063", "62063A01-", ""),
        ("F", "1999", "F", "1", "21004", "21004A001", ""),
        ("G", "1939", "F", "1", "62063", "62063A01-", ""),
        ("H", "1975", "M", "0", "62063", "62063A00-", ""),
        ("I", "2007", "F", "0", "11002", "11002A00-", ""),
        ("J", "1990", "M", "0", "11002", "11002A00-", ""),
        ("J", "1990", "M", "0", "21004", "21004A01-", "2024-09-01"),
        ("K", "2024", "F", "1", "62063", "", "2024-05-20"),
        ("L", "1985", "M", "1", "999", "", ""),
        ("N", "1954", "M", "0", "21004", "62063A00-", ""),
    )
]

DMG = [
    {"patient_id": patient_id, "practice_id": practice_id}
    for patient_id, practice_id in (
        ("A", "MM1"),
        ("C", "MM1"),
        ("F", "MM1"),
        ("H", "GP"),
        ("I", "MM1"),
        ("K", "MM1"),
        ("N", "GP"),
    )
]

# --- the persons, worked by hand --------------------------------------------------------------------------------------

FORFAITS_OF = {
    "A": 12,
    "B": 6,
    "C": 5,
    "D": 6,
    "E": 5,
    "F": 6,
    "G": 6,
    "H": 12,
    "I": 8,
    "J": 9,
    "K": 6,
    "L": 10,
    "M": 8,
    "N": 0,
}
PATIENTS = {
    "A": (12, "MM1"),
    "B": (6, "MM2"),
    "D": (6, "MM2"),
    "F": (6, "MM2"),
    "G": (6, "MM2"),
    "J": (9, "MM2"),
    "K": (6, "MM1"),
    "L": (10, "MM2"),
    "M": (8, "MM1"),
}
NO_PATIENTS = {
    "C": "5 months",
    "E": "5 months",
    "H": "DMG at GP",
    "I": "DMG at MM1, where no month counts",
    "N": "0 months",
}
NOT_BENEFICIARIES = ("M",)
AGES = {
    "A": 44,
    "B": 14,
    "C": 65,
    "D": 78,
    "E": 24,
    "F": 25,
    "G": 85,
    "H": 49,
    "I": 17,
    "J": 34,
    "K": 0,
    "L": 39,
    "N": 70,
}
COUNTED_IN = {
    # person: municipality and sector; L in the country only
    "A": ("62063", "62063A00-"),
    "B": ("11002", "11002A00-"),
    "C": ("62063", "62063A00-"),
    "D": ("11002", "11002A01-"),
    "E": ("62063", "62063A01-"),
    "F": ("21004", "21004A001"),
    "G": ("62063", "62063A01-"),
    "H": ("62063", "62063A00-"),
    "I": ("11002", "11002A00-"),
    "J": ("21004", "21004A01-"),
    "K": ("62063", "62063ZZZZ"),
    "L": ("", ""),
    "N": ("21004", "21004ZZZZ"),
}

# --- the figures, worked by hand --------------------------------------------------------------------------------------

TOTALS = {
    # level, area: parent, beneficiaries, patients
    ("country", "BE"): ("", 13, 8),
    ("region", "02000"): ("BE", 3, 2),
    ("region", "03000"): ("BE", 6, 3),
    ("region", "04000"): ("BE", 3, 2),
    ("province", "10000"): ("02000", 3, 2),
    ("province", "60000"): ("03000", 6, 3),
    ("province", "04000"): ("04000", 3, 2),
    ("arrondissement", "11000"): ("10000", 3, 2),
    ("arrondissement", "62000"): ("60000", 6, 3),
    ("arrondissement", "21000"): ("04000", 3, 2),
    ("municipality", "11002"): ("11000", 3, 2),
    ("municipality", "62063"): ("62000", 6, 3),
    ("municipality", "21004"): ("21000", 3, 2),
    ("sector", "11002A00-"): ("11002", 2, 1),
    ("sector", "11002A01-"): ("11002", 1, 1),
    ("sector", "62063A00-"): ("62063", 3, 1),
    ("sector", "62063A01-"): ("62063", 2, 1),
    ("sector", "62063A02-"): ("62063", 0, 0),
    ("sector", "62063ZZZZ"): ("62063", 1, 1),
    ("sector", "21004A001"): ("21004", 1, 1),
    ("sector", "21004A01-"): ("21004", 1, 1),
    ("sector", "21004ZZZZ"): ("21004", 1, 0),
}
BREAKDOWNS = {
    # level, area, dimension, category: beneficiaries, patients
    ("country", "BE", "sex", "M"): (7, 3),
    ("country", "BE", "sex", "F"): (6, 5),
    ("country", "BE", "age_group", "0-17"): (3, 2),
    ("country", "BE", "age_group", "18-64"): (6, 4),
    ("country", "BE", "age_group", "65+"): (4, 2),
    ("country", "BE", "age_class", "0-17"): (3, 2),
    ("country", "BE", "age_class", "18-24"): (1, 0),
    ("country", "BE", "age_class", "25-44"): (4, 4),
    ("country", "BE", "age_class", "45-64"): (1, 0),
    ("country", "BE", "age_class", "65-74"): (2, 0),
    ("country", "BE", "age_class", "75-84"): (1, 1),
    ("country", "BE", "age_class", "85+"): (1, 1),
    ("country", "BE", "preferential", "0"): (6, 2),
    ("country", "BE", "preferential", "1"): (7, 6),
    ("municipality", "62063", "sex", "M"): (3, 0),
    ("municipality", "62063", "sex", "F"): (3, 3),
    ("municipality", "62063", "age_group", "0-17"): (1, 1),
    ("municipality", "62063", "age_group", "18-64"): (3, 1),
    ("municipality", "62063", "age_group", "65+"): (2, 1),
    ("municipality", "62063", "preferential", "0"): (2, 0),
    ("municipality", "62063", "preferential", "1"): (4, 3),
}
RATES_PER_10000 = {
    # level, area: 10 000 x patients / beneficiaries, to one decimal
    ("country", "BE"): "6153.8",
    ("region", "02000"): "6666.7",
    ("region", "03000"): "5000.0",
    ("region", "04000"): "6666.7",
}
ACCOUNTING = {
    # dataset: delivered, kept, ignored by rule, quarantined
    "forfaits": (111, 109, 1, 1),
    "beneficiaries": (14, 13, 1, 0),
    "dmg": (7, 7, 0, 0),
}
