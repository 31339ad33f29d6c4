"""The fiche of the statistic in four languages: every field of the agency's own fiche, filled in for this release.

The texts are in ``texts/fiche.json``: the French follows the source, the others are translations. There are no links, as
the addresses of the pages that the source links to are not known here.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from mm_pipeline.release.codelists import LANGUAGES
from mm_pipeline.release.history import Release
from mm_pipeline.release.interval import FEW_BENEFICIARIES, FEW_PATIENTS
from mm_pipeline.release.metadata import json_text

_TEXTS_DIR = Path(__file__).parent.parent / "texts"
_TEXTS: Mapping[str, Any] = json.loads(_TEXTS_DIR.joinpath("fiche.json").read_text(encoding="utf-8"))
_PAGE = _TEXTS_DIR / "fiche.html"
_SAID = ("codification", "remarks", "frequency", "smallest_level", "method", "availability", "citation", "last_update")
"""Fields that are texts, in their order."""

Fiche = Mapping[str, Any]
"""The fiche in one language.

Its fields in the order in which they are shown, with their names in ``labels``: ``title``, ``description``,
``codification``, ``remarks`` (list), ``frequency``, ``smallest_level``, ``method`` (a paragraph a line), ``availability``,
``citation``, ``last_update``, ``code``, ``source_variables`` and ``equivalent_variables`` (lists of ``code`` and
``label``), ``keywords`` (list). Before them ``language``, ``synthetic``, ``notice`` (on synthetic data; else empty) and
``labels``.
"""


def heading(language: str, *, synthetic: bool) -> dict[str, Any]:
    """The fields that do not depend on the release: ``title``, ``description``, ``keywords``. Synthetic data are marked."""
    texts = _TEXTS["languages"][language]
    mark = f" – {texts['synthetic_mark']}" if synthetic else ""
    notice = f" {texts['notice']}" if synthetic else ""
    return {
        "title": texts["title"] + mark,
        "description": texts["description"] + notice,
        "keywords": [*texts["keywords"], *([texts["synthetic_mark"]] if synthetic else [])],
    }


def with_colon(language: str, name: str, text: str) -> str:
    """``name: text``, with the space before the colon that French has."""
    said: str = _TEXTS["languages"][language]["colon"].format(name, text)
    return said


def fiche(release: Release, minimum_forfaits: int, disclosure_threshold: int) -> dict[str, Fiche]:
    """The fiche of the release by language (fr, nl, de, en).

    ``minimum_forfaits``: forfaits from which a patient counts; ``disclosure_threshold``: smallest number of people shown.
    """
    numbers = {
        "threshold": minimum_forfaits,
        "disclosure": disclosure_threshold,
        "few_patients": FEW_PATIENTS,
        "few_beneficiaries": FEW_BENEFICIARIES,
        "years": release.span,
        "number": release.number,
    }
    return {language: _fiche(language, release, numbers) for language in LANGUAGES}


def fiche_files(fiches: Mapping[str, Fiche]) -> dict[str, str]:
    """The texts of ``fiche.<language>.json`` and of ``fiche.html`` (all languages in one page), by file name."""
    files = {f"fiche.{language}.json": json_text(content) for language, content in fiches.items()}
    return files | {"fiche.html": _page(fiches)}


def _fiche(language: str, release: Release, numbers: Mapping[str, Any]) -> Fiche:
    texts = _TEXTS["languages"][language]
    days = {"date": release.date, "text_date": datetime.date.fromisoformat(_TEXTS["text_date"])}
    dates = {name: texts["date"].format(year=day.year, month=day.month, day=day.day) for name, day in days.items()}

    def said(name: str) -> Any:
        """The text, or the list of texts, with the numbers and dates of this release."""
        text = texts[f"synthetic_{name}" if name == "citation" and release.synthetic else name]
        paragraphs = [
            Template(part).substitute(numbers, **dates) for part in ([text] if isinstance(text, str) else text)
        ]
        return paragraphs if name == "remarks" else "\n".join(paragraphs)

    def coded(name: str) -> list[dict[str, str]]:
        return [{"code": code, "label": label} for code, label in texts[name].items()]

    return {
        "language": texts["language"],
        "synthetic": release.synthetic,
        "notice": texts["notice"] if release.synthetic else "",
        "labels": texts["labels"],
        **heading(language, synthetic=release.synthetic),
        "description": texts["description"],
        **{name: said(name) for name in _SAID},
        "code": _TEXTS["code"],
        **{name: coded(name) for name in ("source_variables", "equivalent_variables")},
    }


def _page(fiches: Mapping[str, Fiche]) -> str:
    languages = "".join(
        f'<a href="#{code}" lang="{code}" hreflang="{code}">{escape(content["language"])}</a>'
        for code, content in fiches.items()
    )
    sections = "\n".join(_section(code, content) for code, content in fiches.items())
    first = next(iter(fiches.values()))
    of_first = {name: escape(first[name]) for name in ("code", "title")}
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(of_first, languages=languages, sections=sections)


def _section(code: str, content: Fiche) -> str:
    notice = f'<p class="synthetic">{escape(content["notice"])}</p>\n' if content["notice"] else ""
    fields = "\n".join(
        f"<dt>{escape(label)}</dt><dd>{_field(content[name])}</dd>"
        for name, label in content["labels"].items()
        if name != "title"
    )
    title = f"<h2>{escape(content['title'])}</h2>"
    return f'<section id="{code}" lang="{code}">\n{title}\n{notice}<dl>\n{fields}\n</dl>\n</section>'


def _field(value: str | Sequence[str | Mapping[str, str]]) -> str:
    if isinstance(value, str):
        return "".join(f"<p>{escape(paragraph)}</p>" for paragraph in value.split("\n"))
    items = (
        escape(item) if isinstance(item, str) else f"<code>{escape(item['code'])}</code> {escape(item['label'])}"
        for item in value
    )
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
