"""Manifests of any content: refused in words, or what they announce is really so."""

import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from ibis.backends.duckdb import Backend

from mm_pipeline.errors import DeliveryError
from mm_pipeline.ingest import manifest
from mm_pipeline_tests.properties.fuzz.cases import chance, hold_message, json_text, mutated, run
from mm_pipeline_tests.support.ingestion import Ingestion, files_of
from mm_pipeline_tests.support.pipeline import settings_for

DMG = b"patient_id,practice_id\nP1,G1\nP2,\n"
CASES = 900


@pytest.fixture(scope="module")
def ingestion(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Ingestion:
    ingestion = Ingestion(backend, settings_for(tmp_path_factory.mktemp("fuzz manifests")))
    ingestion.put("dmg.csv", DMG)
    return ingestion


def manifest_of(random: Random) -> bytes:
    content: dict[str, Any] = {
        "extracted_on": "2021-02-01",
        "version": random.choice(("1", 2, "2021-02-01T12:00:00")),
        "synthetic": random.choice((True, False)),
        "sample": random.choice((1, 0.02)),
        "files": {
            "dmg.csv": {"rows": random.choice((2, 2, 2, 3)), "sha256": hashlib.sha256(DMG).hexdigest()},
            "forfaits.csv.gz": {"rows": 10},
        },
    }
    text = json_text(random, content, random.choice((0.0, 0.02, 0.1))).encode()
    return mutated(random, text, most=2) if chance(random, 0.5) else text


def test_manifest(ingestion: Ingestion, report: Callable[[str], None]) -> None:
    def case(random: Random) -> str:
        data = manifest_of(random)
        ingestion.put(manifest.NAME, data)
        try:
            found = manifest.read(ingestion.folder)
        except DeliveryError as error:
            hold_message(error)
            return "refused"
        for text in (found.version, found.extracted_on, *found.files):
            assert text.isprintable()
            assert len(text) <= 255
        assert 0 < found.sample <= 1
        return ingested(ingestion, data) if chance(random, 0.5) else "readable"

    counts = run("test_manifest", CASES, case, report)
    assert counts.total() == 1 or counts.keys() >= {"refused", "holds", "does not hold"}


def ingested(ingestion: Ingestion, data: bytes) -> str:
    """Take the delivery with this manifest; it must be so, as Python's own reader has it, if it is taken."""
    before = files_of(ingestion.settings.lake_dir)
    files = json.loads(data.decode("utf-8-sig")).get("files", {})
    announced = files.get("dmg.csv", {})
    others = ("forfait", "beneficiarie", "contribution")  # whose own sets look for them
    holds = (
        all(name == "dmg.csv" or name.lower().startswith(others) for name in files)
        and announced.get("rows") in (None, 2)
        and (announced.get("sha256") or "").lower()
        in (
            "",
            hashlib.sha256(DMG).hexdigest(),
        )
    )
    try:
        account = ingestion.ingest("dmg")
    except DeliveryError as error:
        assert not holds
        hold_message(error)
        assert files_of(ingestion.settings.lake_dir) == before
        return "does not hold"
    assert holds
    assert (account.kept, account.quarantined) == (1, 1)
    return "holds"
