"""Little protected tables, and the areas they are about."""

from typing import Any

import pyarrow as pa

from mm_pipeline.release.tables import released_rates
from mm_pipeline.schemas import PROTECTED_RATES

AREAS = pa.Table.from_pylist(
    [
        dict(zip(("level", "area_code", "parent_code", "name_fr", "name_nl", "name_de"), area, strict=True))
        for area in [
            ("country", "BE", "", "Belgique", "België", "Belgien"),
            ("region", "02000", "BE", "Région flamande", "Vlaams Gewest", "Flämische Region"),
            ("region", "04000", "BE", "Bruxelles", "Brussel", "Brüssel"),
            ("province", "04000", "04000", "Bruxelles", "Brussel", "Brüssel"),
            ("province", "10000", "02000", "Province d'Anvers", "Provincie Antwerpen", "Provinz Antwerpen"),
            ("municipality", "11002", "10000", "Anvers", "Antwerpen", "Antwerpen"),
        ]
    ]
)


def row(
    level: str,
    area: str,
    dimension: str = "total",
    category: str = "total",
    *,
    patients: int | None = 50,
    people: int | None = 1000,
    year: int = 2024,
    parent: str = "",
) -> dict[str, Any]:
    """A row of ``protected_rates``; without patients it is suppressed."""
    share = patients / people if patients is not None and people else None
    return {
        "year": year,
        "level": level,
        "area_code": area,
        "parent_code": parent,
        "dimension": dimension,
        "category": category,
        "beneficiaries": people,
        "patients": patients,
        "rate_per_10000": None if share is None else 10_000 * share,
        "rate_percent": None if share is None else 100 * share,
        "status": "suppressed" if patients is None else "published",
    }


def protected(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PROTECTED_RATES.schema)


def released(*rows: dict[str, Any], synthetic: bool = True) -> pa.Table:
    return released_rates(protected(*rows), AREAS, sector_vintage=2021, synthetic=synthetic)


MADE_UP = "fictives|fictieve|fiktive|synthetic"
