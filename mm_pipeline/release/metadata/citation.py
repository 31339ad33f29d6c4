"""``CITATION.cff``: how to cite the release, for reference managers and repositories (Citation File Format 1.2.0)."""

import json

from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata.fiche import Fiche

PUBLISHER = "IMA_AIM"
"""Spelt as in the recommended citation of the source fiche."""


def citation(release: Release, fiche: Fiche) -> str:
    """The text of ``CITATION.cff``. ``fiche``: in the language of the file.

    For synthetic data, title and message say that they must not be cited as figures. Scalars are JSON, which is YAML.
    """
    fields = {
        "cff-version": "1.2.0",
        "message": fiche["citation"],
        "type": "dataset",
        "title": fiche["title"],
        "abstract": " ".join(filter(None, (fiche["notice"], fiche["description"], fiche["availability"]))),
        "authors": [{"name": PUBLISHER}],
        "identifiers": [{"type": "other", "value": fiche["code"], "description": "code of the statistic in the Atlas"}],
        "keywords": fiche["keywords"],
        "version": str(release.number),
        "date-released": release.date.isoformat(),
    }
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())
