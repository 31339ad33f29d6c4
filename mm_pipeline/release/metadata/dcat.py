"""``dcat.jsonld``: the record by which a catalogue harvests the release (DCAT-AP 3.0, JSON-LD).

The file holds its own context, so that it is read without a network. The address where the release will be served is a
setting; without it addresses are relative to the file itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mm_pipeline.files.checksum import sha256
from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata import json_text
from mm_pipeline.release.metadata.citation import PUBLISHER
from mm_pipeline.release.metadata.fiche import Fiche, with_colon

NAME = "dcat.jsonld"

_EU = "http://publications.europa.eu/resource/authority"
_IANA = "http://www.iana.org/assignments/media-types"

_CONTEXT: Mapping[str, str] = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

_HEALTH = [
    {"@language": language, "@value": label}
    for language, label in {"fr": "Santé", "nl": "Gezondheid", "de": "Gesundheit", "en": "Health"}.items()
]
"""Labels of the theme in the EU vocabulary."""

_LANGUAGES = {"fr": "FRA", "nl": "NLD", "de": "DEU", "en": "ENG"}

FORMATS = {
    ".csv": ("CSV", "text/csv"),
    ".parquet": ("PARQUET", "application/vnd.apache.parquet"),
    ".xlsx": ("XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
"""Suffix of a data file -> EU file type, media type. Each such file at the top of the folder is a distribution."""


def dcat(folder: Path, release: Release, fiches: Mapping[str, Fiche], *, base_url: str = "") -> str:
    """The text of ``dcat.jsonld`` for the folder of the series, whose data files must be there already.

    ``base_url``: the address where that folder is served; empty: addresses are relative.
    """
    base = {"@base": f"{base_url.rstrip('/')}/{NAME}"} if base_url else {}
    distributions = [
        _distribution(path, fiches) for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in FORMATS
    ]
    publisher = {"@id": "#publisher", "@type": "foaf:Agent", "foaf:name": PUBLISHER}
    titles = _in_languages(fiches, "title")
    descriptions = [
        {"@language": language, "@value": " ".join(filter(None, (fiche["notice"], fiche["description"])))}
        for language, fiche in fiches.items()
    ]
    dataset = {
        "@id": "#dataset",
        "@type": "dcat:Dataset",
        "dct:identifier": next(iter(fiches.values()))["code"],
        "dct:title": titles,
        "dct:description": descriptions,
        "dcat:keyword": [
            {"@language": language, "@value": word} for language, fiche in fiches.items() for word in fiche["keywords"]
        ],
        "dct:publisher": {"@id": "#publisher"},
        "dcat:theme": {"@id": f"{_EU}/data-theme/HEAL", "@type": "skos:Concept", "skos:prefLabel": _HEALTH},
        "dct:spatial": {"@id": f"{_EU}/country/BEL", "@type": "dct:Location"},
        "dct:temporal": {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": _typed("date", f"{min(release.years)}-01-01"),
            "dcat:endDate": _typed("date", f"{max(release.years)}-12-31"),
        },
        "dcat:temporalResolution": _typed("duration", "P1Y"),
        "dct:accrualPeriodicity": {"@id": f"{_EU}/frequency/ANNUAL", "@type": "dct:Frequency"},
        "dct:language": _language_systems(),
        "dct:accessRights": {"@id": f"{_EU}/access-right/PUBLIC", "@type": "dct:RightsStatement"},
        "dcat:version": str(release.number),
        "dct:modified": _typed("date", release.date.isoformat()),
        "foaf:page": {"@id": "fiche.html", "@type": "foaf:Document"},
        "dcat:distribution": distributions,
    }
    catalogue = {
        "@id": "#catalogue",
        "@type": "dcat:Catalog",
        "dct:title": titles,
        "dct:description": descriptions,
        "dct:publisher": publisher,
        "dct:language": _language_systems(),
        "dct:modified": _typed("date", release.date.isoformat()),
        "dcat:dataset": dataset,
    }
    return json_text({"@context": {**base, **_CONTEXT}, **catalogue})


def _distribution(path: Path, fiches: Mapping[str, Fiche]) -> dict[str, Any]:
    file_type, media_type = FORMATS[path.suffix]
    return {
        "@id": f"#{path.name}",
        "@type": "dcat:Distribution",
        "dct:title": [
            {"@language": language, "@value": with_colon(language, fiche["title"], path.name)}
            for language, fiche in fiches.items()
        ],
        "dcat:accessURL": _resource(path.name),
        "dcat:downloadURL": _resource(path.name),
        "dct:format": {"@id": f"{_EU}/file-type/{file_type}", "@type": "dct:MediaTypeOrExtent"},
        "dcat:mediaType": {"@id": f"{_IANA}/{media_type}", "@type": "dct:MediaType"},
        "dcat:byteSize": _typed("nonNegativeInteger", str(path.stat().st_size)),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256", "@type": "spdx:ChecksumAlgorithm"},
            "spdx:checksumValue": _typed("hexBinary", sha256(path)),
        },
    }


def _in_languages(fiches: Mapping[str, Fiche], field: str) -> list[dict[str, str]]:
    return [{"@language": language, "@value": fiche[field]} for language, fiche in fiches.items()]


def _language_systems() -> list[dict[str, str]]:
    return [{"@id": f"{_EU}/language/{code}", "@type": "dct:LinguisticSystem"} for code in _LANGUAGES.values()]


def _resource(name: str) -> dict[str, str]:
    return {"@id": name, "@type": "rdfs:Resource"}


def _typed(kind: str, value: str) -> dict[str, str]:
    return {"@type": f"xsd:{kind}", "@value": value}
