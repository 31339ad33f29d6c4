"""``CITATION.cff``: valid YAML with the keys that the format requires; synthetic data are not to be cited as figures."""

import dataclasses
import datetime

import yaml

from mm_pipeline.release.metadata.citation import citation
from mm_pipeline.release.metadata.fiche import fiche


def test_required_keys_and_values(release, fiches):
    content = yaml.safe_load(citation(release, fiches["en"]))
    assert {"cff-version", "message", "title", "authors"} <= set(content)
    assert content["cff-version"] == "1.2.0"
    assert content["type"] == "dataset"
    assert content["authors"] == [{"name": "IMA_AIM"}]
    assert content["version"] == "3"
    assert datetime.date.fromisoformat(content["date-released"]) == release.date
    assert content["message"] == fiches["en"]["citation"]
    assert "synthetic" not in citation(release, fiches["en"])


def test_synthetic_data(release):
    marked = dataclasses.replace(release, synthetic=True)
    content = yaml.safe_load(citation(marked, fiche(marked, 6, 5)["en"]))
    assert "not to be cited as real figures" in content["message"]
    assert "synthetic" in content["title"]


def test_any_text_stays_yaml(release, fiches):
    odd = 'a: "b" #c\n- d\\'
    content = yaml.safe_load(citation(release, {**fiches["en"], "title": odd}))
    assert content["title"] == odd
