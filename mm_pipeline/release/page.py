"""The public page: one HTML file that opens by double click, without a network.

The trend of the country and the regions, and the rate of every area down to the municipality. It holds only what
``rates.parquet`` of the series holds, and the names of areas.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

import pyarrow as pa
import pyarrow.compute as pc

from mm_pipeline.atomic import replacing

_LEVELS = ["country", "region", "province", "arrondissement", "municipality"]
_TEMPLATE = Path(__file__).with_name("page.html")


def write_page(folder: Path, series: pa.Table, names: Mapping[str, str]) -> Path:
    """Write ``index.html`` from the released rates of all years (columns of ``catalogue.RELEASED_RATES``).

    ``names``: area code -> name; a code without a name is shown as it is.
    """
    totals = series.filter((pc.field("dimension") == "total") & pc.field("level").isin(_LEVELS))
    areas: dict[str, dict[str, list[float | int | None]]] = {}
    for row in totals.select(["level", "area_code", "year", "rate_per_10000", "beneficiaries"]).to_pylist():
        rate = row["rate_per_10000"]
        by_year = areas.setdefault(f"{row['level']} {row['area_code']}", {})
        by_year[str(row["year"])] = [None if rate is None else round(rate, 2), row["beneficiaries"]]
    content = {
        "years": sorted(pc.unique(series["year"]).to_pylist()),
        "names": dict(names),
        "synthetic": bool(pc.any(series["synthetic"]).as_py()),
        "areas": areas,
    }
    data = json.dumps(content, separators=(",", ":"), sort_keys=True).replace("</", "<\\/")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "index.html"
    with replacing(target, mode=0o644) as temporary:
        page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(data=data)
        temporary.write_text(page, encoding="utf-8")
    return target
