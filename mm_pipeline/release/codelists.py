"""Code lists: the codes of the released tables with their labels in French, Dutch, German and English."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mm_pipeline.dimensions import FLANDERS

LANGUAGES = ("fr", "nl", "de", "en")

LABELS: Mapping[str, Any] = json.loads(Path(__file__).with_name("texts").joinpath("labels.json").read_text("utf-8"))
"""Code list -> code -> language -> label; categories are keyed by dimension first."""

ABOVE_SECTORS = tuple(LABELS["level"])[:-1]
"""The levels from the country down to the municipality."""

_COLUMNS = [f"label_{language}" for language in LANGUAGES]
_TEXTS = ["level", "area_code", "parent_code", *_COLUMNS]

_ENGLISH = {
    ("country", "BE"): "Belgium",
    ("region", "02000"): "Flemish Region",
    ("region", "03000"): "Walloon Region",
    ("region", "04000"): "Brussels-Capital Region",
    ("province", "04000"): "Brussels-Capital",
    ("province", "10000"): "Province of Antwerp",
    ("province", "20001"): "Province of Flemish Brabant",
    ("province", "20002"): "Province of Walloon Brabant",
    ("province", "30000"): "Province of West Flanders",
    ("province", "40000"): "Province of East Flanders",
    ("province", "50000"): "Province of Hainaut",
    ("province", "60000"): "Province of Liège",
    ("province", "70000"): "Province of Limburg",
    ("province", "80000"): "Province of Luxembourg",
    ("province", "90000"): "Province of Namur",
}


def area_codes(areas: pa.Table, year: int) -> pd.DataFrame:
    """The code list ``area`` of one year. Columns as in :func:`over_years`.

    ``areas``: the area table of the year (``level``, ``area_code``, ``parent_code``, ``name_fr``, ``name_nl``, ``name_de``).
    REFNIS has no English names: those of the country, the regions and the provinces are given here; areas below have
    the Dutch name in Flanders and the French one elsewhere.
    """
    frame = areas.to_pandas().rename(columns=lambda name: name.replace("name_", "label_"))
    parent = dict(zip(frame["area_code"], frame["parent_code"], strict=True))

    def is_flemish(code: str) -> bool:
        while code and code != FLANDERS:
            above = parent.get(code, "")
            code = "" if above == code else above
        return code == FLANDERS

    local = frame["label_nl"].where(frame["area_code"].map(is_flemish), frame["label_fr"])
    keys = zip(frame["level"], frame["area_code"], local, strict=True)
    english = [_ENGLISH.get((level, code), name) for level, code, name in keys]
    return over_years([frame.assign(label_en=english, first_year=year, last_year=year)])


def over_years(years: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The code lists ``area`` of several years in one, a row for each period with the same code, parent and names.

    Columns ``first_year``, ``last_year``, ``level``, ``area_code``, ``parent_code``, ``label_fr``, ``label_nl``,
    ``label_de``, ``label_en``.
    """
    both = pd.concat(years).sort_values([*_TEXTS, "first_year"], ignore_index=True)
    # A missing year begins a new period.
    is_new = both[_TEXTS].ne(both[_TEXTS].shift()).any(axis=1) | both["first_year"].ne(both["last_year"].shift() + 1)
    times = both.groupby(is_new.cumsum(), sort=False).agg(
        first_year=("first_year", "first"),
        last_year=("last_year", "last"),
        **{name: (name, "first") for name in _TEXTS},
    )
    rank = times["level"].map(list(LABELS["level"]).index)
    return (
        times.assign(rank=rank).sort_values(["rank", "area_code", "first_year"], ignore_index=True).drop(columns="rank")
    )


def in_reading_order(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows in the order of these columns, of which ``level``, ``dimension`` and ``rule`` are in that of their lists."""
    ranks = table.select(keys)
    for place, key in enumerate(keys):
        if key in ("level", "dimension", "rule"):
            ranks = ranks.set_column(place, key, pc.index_in(table[key], pa.array(list(LABELS[key]))))
    return table.take(pc.sort_indices(ranks, [(key, "ascending") for key in keys]))


def read_area_codes(file: Path) -> pd.DataFrame:
    """Read a code list ``area`` that :func:`write_codelists` wrote."""
    texts: dict[str, type] = dict.fromkeys(_TEXTS, str)
    return pd.read_csv(file, dtype={"first_year": int, "last_year": int, **texts}, keep_default_na=False)


def write_codelists(folder: Path, areas: pd.DataFrame) -> None:
    """Write ``<code list>.csv`` for each code list, ``areas`` as ``area.csv``: commas, UTF-8."""
    folder.mkdir()
    for name, codes in LABELS.items():
        _codelist(name, codes).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    areas.to_csv(folder / "area.csv", index=False, lineterminator="\n")


def _codelist(name: str, codes: Mapping[str, Any]) -> pd.DataFrame:
    if name == "category":
        parts = [_codelist(dimension, inner).assign(dimension=dimension) for dimension, inner in codes.items()]
        return pd.concat(parts)[["dimension", "code", *_COLUMNS]]
    rows = [[code, *(labels[language] for language in LANGUAGES)] for code, labels in codes.items()]
    return pd.DataFrame(rows, columns=["code", *_COLUMNS])
