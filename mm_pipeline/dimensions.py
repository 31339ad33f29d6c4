"""Levels, breakdowns and their categories, and the codes that stand for an area: defined once.

To add a breakdown, begin with ``CATEGORIES`` (``CONTRIBUTING.md``).
"""

LEVELS = ("country", "region", "province", "arrondissement", "municipality", "sector")
"""From the largest areas to the smallest."""
LEVELS_WITH_AGE_CLASSES = LEVELS[:4]
"""Municipalities have the age groups, sectors no breakdown at all."""

COUNTRY = "BE"
FLANDERS, WALLONIA, BRUSSELS = "02000", "03000", "04000"
REGION_NAMES = {COUNTRY: "Belgium", FLANDERS: "Flanders", WALLONIA: "Wallonia", BRUSSELS: "Brussels"}
"""Country and regions as messages call them."""

UNKNOWN_SECTOR = "ZZZZ"
"""``<NIS5>ZZZZ`` is a person of the municipality whose sector is unknown."""
UNASSIGNED = "unassigned"
"""Level and code of the beneficiaries without a known municipality: they count in the country only."""
LEVEL_ABOVE = {**dict(zip(LEVELS[1:], LEVELS, strict=False)), UNASSIGNED: LEVELS[0]}
"""Level -> the level of its ``parent_code``."""

AGE_GROUPS = {
    "0-17": ("0-17",),
    "18-64": ("18-24", "25-44", "45-64"),
    "65+": ("65-74", "75-84", "85+"),
}
"""The three age groups of the release and the classes they add up."""
AGE_GROUP_OF = {age_class: group for group, classes in AGE_GROUPS.items() for age_class in classes}
AGE_CLASSES = tuple(AGE_GROUP_OF)
"""Age at 31 December: year - birth year."""
AGE_CLASS_STARTS = (18, 25, 45, 65, 75, 85)

CATEGORIES = {
    "total": ("total",),
    "sex": ("M", "F"),
    "age_group": tuple(AGE_GROUPS),
    "age_class": AGE_CLASSES,
    "preferential": ("0", "1"),
}
"""Dimension -> its categories."""
BREAKDOWNS = tuple(CATEGORIES)[1:]
"""The dimensions other than the total."""

CELL = ["municipality_code", "sector_code", "sex", "age_class", "preferential"]
"""What names a finest cell: every figure is a sum of these."""

FIRST_SECTOR_YEAR = 2005
"""Smallest area before: the municipality (source fiche)."""

KEY = ["level", "area_code", "dimension", "category"]
"""What names a cell."""
COUNTS = ["beneficiaries", "patients"]
