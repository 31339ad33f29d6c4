"""The folder of a year, ``<year>/``: its tables, code lists, data dictionary and checksums.

Not here: what is in them (the other modules), where the folder is, and switching it in one step (the assets).
"""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mm_pipeline.release.codelists import write_codelists
from mm_pipeline.release.files import write_checksums, write_table
from mm_pipeline.release.metadata import json_text
from mm_pipeline.release.metadata.datapackage import datapackage
from mm_pipeline.release.metadata.provenance import Made
from mm_pipeline.release.standardised import standardised
from mm_pipeline.schemas import RELEASED_RATES, RELEASED_SENSITIVITY, RELEASED_STANDARDISED

TABLES = (RELEASED_RATES, RELEASED_STANDARDISED, RELEASED_SENSITIVITY)
SOURCES = "sources.json"
"""File of what the year was made from, for the provenance of the series."""
AREAS = "codelists/area.csv"


def write_year(
    folder: Path, year: int, *, rates: pa.Table, sensitivity: pa.Table, areas: pd.DataFrame, made: Made
) -> None:
    """Write the release of a year into an empty folder.

    ``rates``, ``sensitivity``: released tables (columns of ``schemas``). ``areas``: the code list of areas
    (:func:`~mm_pipeline.release.codelists.area_codes`).
    """
    for shape, table in zip(TABLES, (rates, standardised(rates), sensitivity), strict=True):
        write_table(folder, shape, [table])
    write_codelists(folder / "codelists", areas)
    (folder / SOURCES).write_text(json_text(asdict(made)), encoding="utf-8")
    synthetic = bool(rates["synthetic"][0])
    package = datapackage(folder, TABLES, years=[year], synthetic=synthetic)
    (folder / "datapackage.json").write_text(package, encoding="utf-8")
    write_checksums(folder)
