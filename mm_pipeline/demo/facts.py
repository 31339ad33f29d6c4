"""Facts on the country: the published figures that the synthetic deliveries follow.

Facts and rounded figures only, with their sources; no logic but the interpolation between years. Municipalities and
arrondissements are those of 2018, the vintage whose codes live on in the codes of statistical sectors.
"""

from collections.abc import Mapping

#: Years that can be made: the first of the statistic, and the last that has its birth cohorts below.
FIRST_YEAR, LAST_YEAR = 2003, 2029

#: The vintage of ARRONDISSEMENTS, TOWNS and of the keys of MERGERS.
BASE_YEAR = 2018

#: Inhabitants by arrondissement, in thousands (Statbel, 1 January 2018, rounded; CC BY 4.0).
ARRONDISSEMENTS = {
    "11000": 1046, "12000": 343, "13000": 459, "21000": 1199, "23000": 632, "24000": 506, "25000": 401,
    "31000": 282, "32000": 51, "33000": 106, "34000": 289, "35000": 156, "36000": 152, "37000": 93, "38000": 62,
    "41000": 289, "42000": 200, "43000": 85, "44000": 557, "45000": 124, "46000": 250,
    "51000": 87, "52000": 431, "53000": 259, "54000": 76, "55000": 190, "56000": 152, "57000": 147,
    "61000": 113, "62000": 624, "63000": 287, "64000": 81, "71000": 427, "72000": 241, "73000": 203,
    "81000": 62, "82000": 48, "83000": 56, "84000": 63, "85000": 54, "91000": 111, "92000": 316, "93000": 66,
}  # fmt: skip

#: Inhabitants of the largest municipalities, in thousands (same source).
TOWNS = {
    "11002": 523, "44021": 260, "52011": 202, "62063": 197, "21004": 179, "21015": 133, "21001": 118, "31005": 118,
    "92094": 111, "24062": 101, "21012": 97, "53053": 95, "21009": 87, "12025": 86, "41002": 86, "21016": 82,
    "55022": 81, "71022": 78, "46021": 77, "34022": 76, "35013": 71, "57081": 70, "71016": 66, "62096": 64,
    "36015": 62, "54007": 58, "21018": 56, "21007": 56, "63079": 55, "21010": 52, "21013": 50, "21005": 48,
    "46003": 48, "42006": 46, "71004": 46, "13040": 44, "23088": 44, "23016": 42, "21019": 42, "12014": 42,
    "21006": 41, "46014": 41, "62051": 40, "71053": 40, "25014": 40, "13008": 40,
}  # fmt: skip

#: Insured persons per 100 inhabitants where that is not nearly all: staff of the European Union and of NATO and their
#: families in Brussels have an insurance of their own.
INSURED = {"21000": 95}

#: Municipality codes of BASE_YEAR -> their successors in the mergers and new codes of 2019 and of 2025.
MERGERS = {
    "12030": "12041", "12034": "12041", "44011": "44083", "44049": "44083", "44001": "44084", "44029": "44084",
    "44036": "44085", "44072": "44085", "44080": "44085", "45017": "45068", "45057": "45068", "55010": "51067",
    "55039": "51068", "55023": "51069", "52063": "55085", "52043": "55086", "54007": "57096", "54010": "57097",
    "55022": "58001", "56011": "58002", "56085": "58003", "56087": "58004", "71047": "72042", "72040": "72042",
    "72025": "72043", "72029": "72043",
    "11007": "11002", "23023": "23106", "23024": "23106", "23032": "23106", "37012": "37021", "37018": "37021",
    "37007": "37022", "37015": "37022", "44012": "44086", "44048": "44086", "44034": "44087", "44073": "44087",
    "46014": "46029", "44045": "46029", "44040": "44088", "44043": "44088", "46003": "46030", "46013": "46030",
    "11056": "46030", "73006": "73110", "73032": "73110", "73009": "73111", "73083": "73111", "71069": "71071",
    "71057": "71071", "71022": "71072", "73040": "71072", "82003": "82039", "82005": "82039",
}  # fmt: skip

#: Thousands of people ever insured in the period by year of birth, for each of the five years from the key on: those
#: alive at the end of 2002, born since, or arrived since. Fitted to Statbel's population by age of 2009 to 2022, so
#: that 10.35 million are insured in 2003 and 11.7 million in 2024.
COHORTS = {
    1905: 11, 1910: 12, 1915: 26, 1920: 55, 1925: 77, 1930: 91, 1935: 95, 1940: 102, 1945: 126, 1950: 139,
    1955: 153, 1960: 163, 1965: 161, 1970: 154, 1975: 151, 1980: 155, 1985: 158, 1990: 159, 1995: 153, 2000: 155,
    2005: 166, 2010: 171, 2015: 165, 2020: 162, 2025: 162,
}  # fmt: skip

#: Survivors of 100 000 born, by age (rounded from life tables of the period; linear in between).
SURVIVORS = {
    0: 100_000, 40: 98_300, 50: 96_500, 55: 94_900, 60: 92_400, 65: 88_700, 70: 83_400, 75: 75_700, 80: 63_500,
    85: 46_000, 90: 25_000, 95: 8_500, 100: 1_400, 105: 100, 110: 0,
}  # fmt: skip

#: Attributed patients per 10 000 beneficiaries, by region. Published (in whole tenths of a percent): 2014, 2019, 2020;
#: the others are set so that the country has its published 1.1, 1.3, 3.2, 4.7 and 5.3 %; after 2024 a guess.
RATES = {
    "02000": {2003: 42, 2005: 53, 2014: 138, 2015: 156, 2019: 218, 2020: 241, 2021: 258, 2024: 300, 2029: 370},
    "03000": {2003: 127, 2005: 155, 2014: 338, 2015: 370, 2019: 456, 2020: 475, 2021: 505, 2024: 565, 2029: 665},
    "04000": {2003: 395, 2005: 475, 2014: 1035, 2015: 1135, 2019: 1465, 2020: 1530, 2021: 1600, 2024: 1770, 2029: 2070},
}

#: Open houses by region. Published for the country: 67 in 2005, 71, 140 and 151; after 2015 towards about 250.
HOUSES = {
    "02000": {2003: 9, 2005: 10, 2006: 11, 2014: 27, 2015: 30, 2024: 58, 2029: 68},
    "03000": {2003: 30, 2005: 34, 2006: 36, 2014: 66, 2015: 70, 2024: 110, 2029: 126},
    "04000": {2003: 21, 2005: 23, 2006: 24, 2014: 47, 2015: 51, 2024: 82, 2029: 96},
}

#: Flanders, Wallonia, Brussels. A region as a number is its position here.
REGIONS = tuple(RATES)

#: People in a statistical sector: the mean, and sixteen sizes that give a median of about 350 when drawn evenly.
SECTOR_MEAN = 590
SECTOR_SIZES = (45, 81, 114, 148, 183, 223, 267, 318, 378, 450, 540, 656, 815, 1053, 1478, 2691)


def interpolate(figures: Mapping[int, int], at: int, unit: int = 1) -> int:
    """The figure at a year (or an age), in 1/``unit``: linear between the known ones, constant before the first."""
    later = min(known for known in figures if known >= at)
    earlier = max((known for known in figures if known <= at), default=later)
    low, high = figures[earlier] * unit, figures[later] * unit
    return low + (high - low) * (at - earlier) // max(later - earlier, 1)
