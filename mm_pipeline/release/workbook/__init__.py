"""The workbook: the released tables down to the municipality, with cover, contents, notes and fiche, in one language.

Laid out as the UK Government Analysis Function asks (*Releasing statistics in spreadsheets*; *Symbols in tables*): one table
a sheet, its title in A1, no merged cell, no blank row, a shorthand instead of an empty cell. ``pages`` holds the tables and
their cells, ``sheets`` the layout, ``table_sheet`` their writing, ``texts/workbook.json`` the words. Not in the workbook:
sectors, and the breakdowns of arrondissements and municipalities (CSV and Parquet have them).
"""

import json
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
from xlsxwriter import Workbook

from mm_pipeline.release.codelists import LABELS, LANGUAGES
from mm_pipeline.release.history import Release
from mm_pipeline.release.interval import FEW_BENEFICIARIES, FEW_PATIENTS
from mm_pipeline.release.workbook import sheets
from mm_pipeline.release.workbook.pages import pages

_TEXTS = json.loads((Path(__file__).parents[1] / "texts" / "workbook.json").read_text("utf-8"))

_PLAIN = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
"""Options of xlsxwriter to write a text as a text, whatever it looks like."""


def write_workbook(
    path: Path,
    *,
    rates: pa.Table,
    standardised: pa.Table,
    sensitivity: pa.Table,
    fiche: Mapping[str, Mapping[str, Any]],
    release: Release,
    labels: Mapping[str, Any] = LABELS,
    language: str = "en",
) -> None:
    """Write the workbook of all years to ``path``, with its titles, headings and notes in ``language`` (fr, nl, de, en).

    ``rates``, ``standardised``, ``sensitivity``: the released tables (columns of ``schemas``). Rates are per 10 000, not
    rounded, and shown with one decimal. A suppressed figure is ``[c]``, another missing one ``[z]``; ``[u]`` marks a rate to
    be interpreted with care. ``fiche``: language -> the fiche as in ``metadata.fiche``, a sheet for each language. A table
    without rows is left out. The same input gives the same bytes.
    """
    words = {other: _in(other, _TEXTS) for other in LANGUAGES}
    here = words[language]
    said = {
        "number": release.number,
        "date": release.date,
        "years": release.span,
        "few_patients": FEW_PATIENTS,
        "few_beneficiaries": FEW_BENEFICIARIES,
        **{name: fiche[language][name] for name in ("title", "code", "citation")},
    }
    mark = {other: [facts["notice"]] if facts["notice"] else [] for other, facts in fiche.items()}

    book = Workbook(path.as_posix(), options={**_PLAIN, "in_memory": True})
    book.set_properties(
        {
            "title": said["title"],
            "subject": said["code"],
            "author": here["publisher"],
            "company": here["publisher"],
            "comments": " ".join(mark[language]),
            "created": datetime.combine(release.date, time()),
        }
    )
    sheets.write_cover(book, here, said, mark[language], fiche[language]["description"])

    of_notes = [
        (here["reference"].format(number=number), text.format(**said))
        for number, text in enumerate(here["note_texts"].values(), start=1)
    ]
    made = {here["notes"]["sheet"]: sheets.text_sheet("notes", of_notes, here, here["notes"], mark[language])}
    for number, page in enumerate(pages(rates, standardised, sensitivity, _in(language, labels), language), start=1):
        name = f"{number} {here['tables'][page.name]['sheet']}"
        made[name] = sheets.table_sheet(page, here, said | {"table": number}, mark[language])
    for other, facts in fiche.items():
        frame = {**words[other]["fiche"], "title": facts["title"]}
        rows = sheets.fiche_rows(facts, other)
        made[frame["sheet"]] = sheets.text_sheet(f"fiche_{other}", rows, words[other], frame, mark[other])
    sheets.write_all(book, here, made, mark[language])
    book.close()


def _in(language: str, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Texts in one language, from texts with languages as their innermost keys."""
    return {
        key: below[language] if set(below) == set(LANGUAGES) else _in(language, below) for key, below in texts.items()
    }
