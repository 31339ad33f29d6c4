"""The files of the atlas: ``index.html`` with everything but the sectors, which it loads by arrondissement.

Not here: how figures and outlines are packed (``figures``, ``paths``), and what the page does with them (``*.js``). The page
loads nothing from elsewhere: a content security policy in its head forbids it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mm_pipeline.reference.outlines import Outlines
from mm_pipeline.release.atlas.figures import packed_level, packed_standardised
from mm_pipeline.release.atlas.paths import frame, svg_paths
from mm_pipeline.release.codelists import ABOVE_SECTORS, LABELS
from mm_pipeline.release.history import Release
from mm_pipeline.release.interval import FEW_BENEFICIARIES, FEW_PATIENTS, Z
from mm_pipeline.release.metadata.citation import PUBLISHER

_HERE = Path(__file__).parent
_VENDOR = _HERE / "vendor"

_LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
_SCRIPTS = ("core.js", "map.js", "charts.js", "table.js", "search.js", "download.js", "atlas.js")
_FONTS = {"inter": "inter.woff2", "source-serif": "source-serif.woff2"}


def write_atlas(
    folder: Path,
    *,
    rates: pa.Table,
    standardised: pa.Table,
    areas: pd.DataFrame,
    outlines: Mapping[int, Outlines],
    fiche: Mapping[str, Mapping[str, Any]],
    release: Release,
) -> None:
    """Write the page into an empty folder.

    ``rates``, ``standardised``: the released tables of all years (columns of ``schemas``). ``areas``: the code list of areas
    (first_year, last_year, level, area_code, parent_code, label_fr, label_nl, label_de, label_en). ``outlines``: by year;
    years of the same vintage share them, and they are written once. ``fiche``: language -> title, description, remarks
    (list), method (a paragraph a line), citation.

    The files are ``index.html``, ``LICENSES.txt`` and ``sectors/<code of an arrondissement>.js``. They share a token, so
    that the page takes no sectors that were written with other content, whatever their release.
    """
    columns = ["year", "level", "area_code", "parent_code", "dimension", "category", "beneficiaries", "patients"]
    table = rates.select(columns).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    years = list(release.years)
    vintages = {outline.year: outline for _, outline in sorted(outlines.items())}
    position = {year: place for place, year in enumerate(vintages)}
    levels = [level for level in ABOVE_SECTORS if (table["level"] == level).any()]
    above = [
        {name: outline.areas[name] for name in ABOVE_SECTORS if name in outline.areas} for outline in vintages.values()
    ]
    places = dict(_places(table))
    content = {
        "release": {"number": release.number, "date": release.date.isoformat(), "synthetic": release.synthetic},
        "publisher": PUBLISHER,
        "years": years,
        "levels": {
            level: packed_level(table[table["level"] == level], areas[areas["level"] == level], years)
            for level in levels
        },
        "standardised": {
            level: packed_standardised(rows, years) for level, rows in standardised.to_pandas().groupby("level")
        },
        "outlines": [
            {
                "year": outline.year,
                "source": outline.source,
                "finest": list(outline.areas)[-1],
                "paths": {level: svg_paths(shapes) for level, shapes in drawn.items()},
            }
            for outline, drawn in zip(vintages.values(), above, strict=True)
        ],
        "outlines_of_year": [position[outlines[year].year] if year in outlines else None for year in years],
        "frame": frame(shape for drawn in above for shapes in drawn.values() for shape in shapes.values()),
        "places": sorted(places),
        "interval": {"z": Z, "patients": FEW_PATIENTS, "beneficiaries": FEW_BENEFICIARIES},
        "labels": LABELS,
        "texts": json.loads(_text("texts.json")),
        "fiche": fiche,
    }
    sector_names = areas[areas["level"] == "sector"]
    parts: dict[str, str] = {}
    for place, rows in sorted(places.items()):
        codes = set(rows["area_code"])
        drawn = [
            {code: shape for code, shape in outline.areas.get("sector", {}).items() if code in codes}
            for outline in vintages.values()
        ]
        packed = packed_level(rows, sector_names[sector_names["area_code"].isin(codes)], years)
        parts[place] = _json({"place": place, **packed, "outlines": list(map(svg_paths, drawn))})
    data, digest = _json(content), hashlib.sha256()
    for text in (data, *parts.values(), *map(_text, _SCRIPTS)):
        digest.update(text.encode())
    token = digest.hexdigest()[:16]
    _write(folder / "index.html", page(data, token))
    _write(folder / "LICENSES.txt", _text("vendor/LICENSES.txt"))
    for place, text in parts.items():
        _write(folder / "sectors" / f"{place}.js", f'receiveSectors("{token}", {text});\n')


def page(data: str, token: str) -> str:
    """The HTML file that shows ``data`` (JSON) with the sectors of the same ``token``."""
    scripts = [_text(name) for name in (*_LIBRARIES, *_SCRIPTS)]
    fonts = {name: base64.b64encode((_VENDOR / file).read_bytes()).decode() for name, file in _FONTS.items()}
    style = re.sub(r"font:([\w-]+)", lambda font: f"data:font/woff2;base64,{fonts[font[1]]}", _text("atlas.css"))
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    # "</script" would end a script. None has it: in JSON it is escaped, and a test holds our own scripts to it.
    parts = {
        # These scripts, and the sectors beside the page (``file:`` if opened by double click).
        "policy": f"default-src 'none'; script-src 'self' file: {allowed}; style-src 'unsafe-inline'; font-src data:; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        "style": style,
        "data": data,
        "token": token,
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], _text("index.html"))


def _places(table: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """The rows of sectors by arrondissement, each with all years of the sectors that ever were in it."""
    municipalities = table[(table["level"] == "municipality") & (table["dimension"] == "total")]
    place = municipalities.set_index(["year", "area_code"])["parent_code"].rename("place")
    sectors = table[table["level"] == "sector"].join(place, on=["year", "parent_code"])
    for code, rows in sectors.groupby("place"):
        yield str(code), sectors[sectors["area_code"].isin(rows["area_code"].unique())]


def _json(content: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(text.encode())
