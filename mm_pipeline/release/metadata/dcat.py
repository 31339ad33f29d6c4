"""``dcat.jsonld``: the record by which a catalogue harvests the release (DCAT-AP 3.0, JSON-LD).

The file holds its own context, so that it is read without a network. The address where the release will be served is a
setting; without it addresses are relative to the file itself.
"""

from collections.abc import Iterable, Mapping
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

_HEALTH = {"fr": "Santé", "nl": "Gezondheid", "de": "Gesundheit", "en": "Health"}
"""Labels of the theme in the EU vocabulary."""

_LANGUAGES = {"fr": "FRA", "nl": "NLD", "de": "DEU", "en": "ENG"}

FORMATS = {
    ".csv": ("CSV", "text/csv"),
    ".parquet": ("PARQUET", "application/vnd.apache.parquet"),
    ".xlsx": ("XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
"""Suffix of a data file -> EU file type, media type. Each such file at the top of the folder is a distribution."""


def dcat(folder: Path, release: Release, fiches: Mapping[str, Fiche], *, base_url: str = "") -> str:
    """The text of ``dcat.jsonld`` for the folder of the series with its data files. ``base_url``: its address, or empty."""
    base = {"@base": f"{base_url.rstrip('/')}/{NAME}"} if base_url else {}
    data = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in FORMATS]
    titles = _texts((language, fiche["title"]) for language, fiche in fiches.items())
    descriptions = _texts(
        (language, " ".join(filter(None, (fiche["notice"], fiche["description"]))))
        for language, fiche in fiches.items()
    )
    languages = [_of("dct:LinguisticSystem", f"{_EU}/language/{code}") for code in _LANGUAGES.values()]
    modified = _typed("date", release.date.isoformat())
    dataset = {
        **_of("dcat:Dataset", "#dataset"),
        "dct:identifier": next(iter(fiches.values()))["code"],
        "dct:title": titles,
        "dct:description": descriptions,
        "dcat:keyword": _texts((language, word) for language, fiche in fiches.items() for word in fiche["keywords"]),
        "dct:publisher": {"@id": "#publisher"},
        "dcat:theme": {**_of("skos:Concept", f"{_EU}/data-theme/HEAL"), "skos:prefLabel": _texts(_HEALTH.items())},
        "dct:spatial": _of("dct:Location", f"{_EU}/country/BEL"),
        "dct:temporal": {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": _typed("date", f"{min(release.years)}-01-01"),
            "dcat:endDate": _typed("date", f"{max(release.years)}-12-31"),
        },
        "dcat:temporalResolution": _typed("duration", "P1Y"),
        "dct:accrualPeriodicity": _of("dct:Frequency", f"{_EU}/frequency/ANNUAL"),
        "dct:language": languages,
        "dct:accessRights": _of("dct:RightsStatement", f"{_EU}/access-right/PUBLIC"),
        "dcat:version": str(release.number),
        "dct:modified": modified,
        "foaf:page": _of("foaf:Document", "fiche.html"),
        "dcat:distribution": [_distribution(path, fiches) for path in data],
    }
    catalogue = {
        **_of("dcat:Catalog", "#catalogue"),
        "dct:title": titles,
        "dct:description": descriptions,
        "dct:publisher": {**_of("foaf:Agent", "#publisher"), "foaf:name": PUBLISHER},
        "dct:language": languages,
        "dct:modified": modified,
        "dcat:dataset": dataset,
    }
    return json_text({"@context": {**base, **_CONTEXT}, **catalogue})


def _distribution(path: Path, fiches: Mapping[str, Fiche]) -> dict[str, Any]:
    file_type, media_type = FORMATS[path.suffix]
    return {
        **_of("dcat:Distribution", f"#{path.name}"),
        "dct:title": _texts((of, with_colon(of, fiche["title"], path.name)) for of, fiche in fiches.items()),
        "dcat:accessURL": _of("rdfs:Resource", path.name),
        "dcat:downloadURL": _of("rdfs:Resource", path.name),
        "dct:format": _of("dct:MediaTypeOrExtent", f"{_EU}/file-type/{file_type}"),
        "dcat:mediaType": _of("dct:MediaType", f"{_IANA}/{media_type}"),
        "dcat:byteSize": _typed("nonNegativeInteger", str(path.stat().st_size)),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": _of("spdx:ChecksumAlgorithm", "spdx:checksumAlgorithm_sha256"),
            "spdx:checksumValue": _typed("hexBinary", sha256(path)),
        },
    }


def _of(kind: str, name: str) -> dict[str, Any]:
    return {"@id": name, "@type": kind}


def _typed(kind: str, value: str) -> dict[str, str]:
    return {"@type": f"xsd:{kind}", "@value": value}


def _texts(texts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"@language": language, "@value": text} for language, text in texts]
