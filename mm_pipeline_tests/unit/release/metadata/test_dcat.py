"""The catalogue record: JSON-LD that needs no network, with the properties that DCAT-AP 3.0 asks for."""

import dataclasses
import hashlib
import json
import re

import pytest
from rdflib import RDF, Graph, Literal, Namespace, URIRef
from rdflib.namespace import DCTERMS, FOAF, SKOS

from mm_pipeline.release.history import Release
from mm_pipeline.release.metadata.dcat import dcat
from mm_pipeline.release.metadata.fiche import fiche
from mm_pipeline_tests.support.protected import MADE_UP

DCAT, SPDX = Namespace("http://www.w3.org/ns/dcat#"), Namespace("http://spdx.org/rdf/terms#")
XSD_DATE = URIRef("http://www.w3.org/2001/XMLSchema#date")
EU = "http://publications.europa.eu/resource/authority"
BASE = "https://example.org/stat_003_007/"

MANDATORY = {  # DCAT-AP 3.0: of each class, the properties of which there must be at least one
    DCAT.Catalog: [DCTERMS.title, DCTERMS.description, DCTERMS.publisher, DCAT.dataset],
    DCAT.Dataset: [DCTERMS.title, DCTERMS.description],
    DCAT.Distribution: [DCAT.accessURL],
    FOAF.Agent: [FOAF.name],
    SKOS.Concept: [SKOS.prefLabel],
    SPDX.Checksum: [SPDX.algorithm, SPDX.checksumValue],
}
RECOMMENDED = [
    *(DCAT.distribution, DCAT.keyword, DCAT.theme, DCAT.version, DCTERMS.publisher, DCTERMS.spatial, DCTERMS.temporal),
    *(DCTERMS.accrualPeriodicity, DCTERMS.identifier, DCTERMS.language, DCTERMS.modified, DCTERMS.accessRights),
]


@pytest.fixture
def graph(folder, release, fiches) -> Graph:
    (folder / "stat_003_007.xlsx").write_bytes(b"a workbook")
    return Graph().parse(data=dcat(folder, release, fiches, base_url=BASE), format="json-ld")


def dataset(graph: Graph) -> URIRef:
    (found,) = graph.subjects(RDF.type, DCAT.Dataset)
    return found


def test_mandatory_properties(graph):
    for kind, properties in MANDATORY.items():
        things = list(graph.subjects(RDF.type, kind))
        assert things, kind
        for thing in things:
            for wanted in properties:
                assert (thing, wanted, None) in graph, (thing, wanted)


def test_of_the_dataset(graph):
    it = dataset(graph)
    for wanted in RECOMMENDED:
        assert (it, wanted, None) in graph, wanted
    for wanted in (DCTERMS.title, DCTERMS.description, DCAT.keyword):
        assert {text.language for text in graph.objects(it, wanted)} == {"fr", "nl", "de", "en"}
    assert graph.value(it, DCAT.theme) == URIRef(f"{EU}/data-theme/HEAL")
    assert graph.value(it, DCTERMS.spatial) == URIRef(f"{EU}/country/BEL")
    assert graph.value(it, DCTERMS.accrualPeriodicity) == URIRef(f"{EU}/frequency/ANNUAL")
    assert graph.value(it, DCTERMS.accessRights) == URIRef(f"{EU}/access-right/PUBLIC")
    assert graph.value(it, DCAT.version) == Literal("3")
    assert graph.value(it, DCTERMS.modified) == Literal("2026-09-05", datatype=XSD_DATE)
    time = graph.value(it, DCTERMS.temporal)
    assert graph.value(time, DCAT.startDate) == Literal("2023-01-01", datatype=XSD_DATE)
    assert graph.value(time, DCAT.endDate) == Literal("2024-12-31", datatype=XSD_DATE)
    assert graph.value(graph.value(it, DCTERMS.publisher), FOAF.name) == Literal("IMA_AIM")


def test_a_distribution_for_each_file_of_data(graph, folder):
    of_file = {str(graph.value(one, DCAT.downloadURL)): one for one in graph.objects(dataset(graph), DCAT.distribution)}
    tables = [
        f"{table}.{kind}"
        for table in ("rates", "standardised", "sensitivity")
        for kind in ("csv", "excel.csv", "parquet")
    ]
    assert sorted(of_file) == sorted(BASE + name for name in [*tables, "stat_003_007.xlsx"])
    for address, one in of_file.items():
        content = (folder / address.removeprefix(BASE)).read_bytes()
        assert int(graph.value(one, DCAT.byteSize)) == len(content)
        checksum = graph.value(one, SPDX.checksum)
        # rdflib shows hexBinary in capitals
        assert str(graph.value(checksum, SPDX.checksumValue)).lower() == hashlib.sha256(content).hexdigest()
        assert graph.value(checksum, SPDX.algorithm) == SPDX.checksumAlgorithm_sha256
    parquet = of_file[f"{BASE}rates.parquet"]
    assert graph.value(parquet, DCTERMS["format"]) == URIRef(f"{EU}/file-type/PARQUET")
    iana = "http://www.iana.org/assignments/media-types"
    assert graph.value(parquet, DCAT.mediaType) == URIRef(f"{iana}/application/vnd.apache.parquet")
    assert graph.value(of_file[f"{BASE}rates.excel.csv"], DCAT.mediaType) == URIRef(f"{iana}/text/csv")


def test_without_an_address_everything_is_relative_to_the_file(folder, release, fiches):
    text = dcat(folder, release, fiches)
    assert "@base" not in json.loads(text)["@context"]
    for address in (BASE, BASE.rstrip("/")):
        context = json.loads(dcat(folder, release, fiches, base_url=address))["@context"]
        assert context["@base"] == f"{BASE}dcat.jsonld"
    served = Graph().parse(data=text, format="json-ld", publicID=f"{BASE}dcat.jsonld")
    named = Graph().parse(data=dcat(folder, release, fiches, base_url=BASE.rstrip("/")), format="json-ld")
    assert set(served.objects(None, DCAT.downloadURL)) == set(named.objects(None, DCAT.downloadURL))
    assert dataset(served) == dataset(named) == URIRef(f"{BASE}dcat.jsonld#dataset")


def test_the_context_is_in_the_file(folder, release, fiches):
    context = json.loads(dcat(folder, release, fiches))["@context"]
    assert isinstance(context, dict)


def test_synthetic_data_are_marked_in_every_title(folder, release: Release):
    marked = dataclasses.replace(release, synthetic=True)
    graph = Graph().parse(data=dcat(folder, marked, fiche(marked, 6, 5), base_url=BASE), format="json-ld")
    titles = list(graph.objects(None, DCTERMS.title))
    assert len(titles) > 8
    assert all(re.search(MADE_UP, title) for title in titles)


def test_a_french_title_has_a_space_before_its_colon_and_no_other_has(graph):
    titles = {title.language: title for title in graph.objects(URIRef(f"{BASE}dcat.jsonld#rates.csv"), DCTERMS.title)}
    assert sorted(titles) == ["de", "en", "fr", "nl"]
    for language, title in titles.items():
        assert title.endswith("\u00a0: rates.csv") == (language == "fr")
        assert title.endswith(": rates.csv")
