"""A small released folder, real in every file but small: what the metadata is made about and held against."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from mm_pipeline.release.codelists import area_codes, write_codelists
from mm_pipeline.release.files import write_table
from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata.fiche import Fiche, fiche
from mm_pipeline.schemas import RELEASED_RATES, RELEASED_SENSITIVITY, RELEASED_STANDARDISED
from mm_pipeline_tests.support.protected import AREAS, released, row

TABLES = (RELEASED_RATES, RELEASED_STANDARDISED, RELEASED_SENSITIVITY)

NAMES = {"area_name_fr": "Bruxelles", "area_name_nl": "Brussel", "area_name_de": "Brüssel", "synthetic": True}
BRUSSELS = {"year": 2024, "level": "region", "area_code": "04000", "parent_code": "BE", **NAMES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three tables in three formats and the code lists; suppressed cells, a zero, nobody, a sector without a name."""
    rates = released(
        row("country", "BE"),
        row("country", "BE", "age_class", "85+", patients=None, people=None),
        row("region", "04000", parent="BE", patients=0),
        row("region", "04000", "sex", "F", parent="BE", patients=None),
        row("municipality", "11002", parent="10000", patients=0, people=0),
        row("municipality", "11002", "preferential", "0", parent="10000", patients=1000),
        row("sector", "11002E122", parent="11002"),
        row("sector", "11002A00-", parent="11002", patients=None, people=None),
    )
    standardised = [
        BRUSSELS
        | {
            "rate_per_10000": 950.25,
            "standardised_per_10000": 940.0,
            "standardised_per_10000_lower": 1e-05,
            "standardised_per_10000_upper": 980.5,
            "status": "published",
        },
        BRUSSELS | {"level": "province", "parent_code": "04000", "status": "suppressed"},
    ]
    sensitivity = [
        BRUSSELS | {"rule": "at_least", "threshold": 6, "beneficiaries": 1000, "patients": 50, "status": "published"},
        BRUSSELS | {"rule": "exactly", "threshold": 6, "beneficiaries": 1000, "status": "suppressed"},
    ]
    write_table(tmp_path, RELEASED_RATES, [rates])
    for shape, rows in ((RELEASED_STANDARDISED, standardised), (RELEASED_SENSITIVITY, sensitivity)):
        full = [dict.fromkeys(shape.column_names) | row for row in rows]
        write_table(tmp_path, shape, [pa.Table.from_pylist(full, schema=shape.schema)])
    write_codelists(tmp_path / "codelists", area_codes(AREAS, 2024))
    return tmp_path


@pytest.fixture
def release() -> Release:
    return Release(number=3, date=datetime.date(2026, 9, 5), years=(2023, 2024), synthetic=False)


@pytest.fixture
def fiches(release: Release) -> Mapping[str, Fiche]:
    return fiche(release, 6, 5)
