"""The public texts, all of them: each language writes numbers and punctuation in its own way, and a thing has one name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mm_pipeline.release

LANGUAGES = ("fr", "nl", "de", "en")
FOLDER = Path(mm_pipeline.release.__file__).parent
FILES = ("texts/fiche.json", "texts/workbook.json", "texts/labels.json", "atlas/texts.json")

WRONG = {
    "fr": {
        "a colon, semicolon, question or exclamation mark without a no-break space": r"(?<!\u00a0)[:;?!](?!\w)|[ \w][;?!]",
        "a quotation mark without a no-break space": r"«(?!\u00a0)|(?<!\u00a0)»",
        "thousands without a no-break space": r"\b\d{1,3}(?!\u00a0)[ .,]\d{3}\b|\b10000\b",
        "a percentage without a no-break space": r"(?<!\u00a0)%",
        "a term that has another name": r"\bNIS\b|[Ll]imite inf|[Ll]imite sup|standard de 2013|population européenne|"
        r"par 10\s000|[Éé]dition|synthéti",
    },
    "nl": {
        "thousands without a full stop": r"\b\d{1,3}[\s,]\d{3}\b|\b10000\b",
        "a percentage with a space": r"\d\s%",
        "a term that has another name": r"standaardbevolking van|[Ee]ditie|[Ss]yntheti|\"",
    },
    "de": {
        "thousands without a full stop": r"\b\d{1,3}[\s,]\d{3}\b|\b10000\b",
        "a percentage without a no-break space": r"\d[ ]?%",
        "a term that has another name": r"Verlässlich|Standardbevölkerung von|europäischen? Standard|Europastandard|"
        r"[Jj]e 10\.000|Ausgabe|[Ss]yntheti|maison médicale|(?<!„)Maisons? médicale|(?<!medizinisches )\bHaus\b|\bHäuser|\"",
    },
    "en": {
        "thousands without a comma": r"\b\d{1,3}[\s.]\d{3}\b|\b10000\b",
        "a percentage with a space": r"\d\s%",
        "a term that has another name": r"[Ee]dition|\"",
    },
}


def texts(content: Any, language: str = "", path: str = "") -> Iterator[tuple[str, str, str]]:
    """Language, place and text of whatever stands below the key of a language."""
    for key, below in content.items() if isinstance(content, dict) else enumerate(content):
        here, place = (key if key in LANGUAGES else language), f"{path}/{key}"
        if not isinstance(below, str):
            yield from texts(below, here, place)
        elif here:
            # Of a placeholder, what it stands for is what counts.
            yield here, place, re.sub(r"\{[^}]*\}", "X", below)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_writes_numbers_punctuation_and_terms_in_one_way(file: str, language: str) -> None:
    said = [one for one in texts(json.loads((FOLDER / file).read_text("utf-8"))) if one[0] == language]
    assert said
    faults = [
        f"{place}: {rule}: {text!r}"
        for rule, pattern in WRONG[language].items()
        for _, place, text in said
        if re.search(pattern, text)
    ]
    assert not faults, "\n".join(faults)
