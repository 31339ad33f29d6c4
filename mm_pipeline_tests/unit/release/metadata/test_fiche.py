"""The fiche: every field of the source in four languages, true of the release, and a page that opens by double click."""

import dataclasses
import json
import re
import shutil
from html import unescape

import pytest

from mm_pipeline.release.metadata.fiche import LANGUAGES, fiche, fiche_files, heading
from mm_pipeline_tests.support.protected import MADE_UP

FIELDS = {  # of the source fiche, in its order; the title has no label there
    "title": "Titre",
    "description": "Description",
    "codification": "Codification",
    "remarks": "Remarques",
    "frequency": "Fréquence et timing de la mise à jour",
    "smallest_level": "Le plus petit niveau géographique disponible",
    "method": "Méthode de calcul",
    "availability": "Disponible",
    "citation": "Référence recommandée",
    "last_update": "Dernière mise à jour des métadonnées",
    "code": "Code",
    "source_variables": "Variable(s) source(s)",
    "equivalent_variables": "Variable(s) équivalente(s)",
    "keywords": "Mots clés",
}
EQUIVALENT = ["003_005", "003_006", "003_001", "003_015", "003_011", "003_012", "003_014"]
LISTS = ("remarks", "source_variables", "equivalent_variables", "keywords")


def plain(value: object) -> str:
    """All texts of a fiche, or of a part of it, with ordinary spaces."""
    if isinstance(value, dict):
        return "\n".join(map(plain, value.values()))
    return "\n".join(map(plain, value)) if isinstance(value, list) else str(value).replace("\u00a0", " ")


def test_the_fields_and_french_names_of_the_source(fiches):
    assert fiches["fr"]["labels"] == FIELDS
    assert list(fiches) == list(LANGUAGES) == ["fr", "nl", "de", "en"]


@pytest.mark.parametrize("language", LANGUAGES)
class TestEachLanguage:
    def test_has_every_field(self, fiches, language):
        content = fiches[language]
        assert list(content["labels"]) == list(FIELDS)
        for name in FIELDS:
            assert content[name], name
            assert isinstance(content[name], list) == (name in LISTS), name

    def test_says_as_much_as_french(self, fiches, language):
        for name in LISTS:
            assert len(fiches[language][name]) == len(fiches["fr"][name]), name
        assert fiches[language]["method"].count("\n") == fiches["fr"]["method"].count("\n")

    def test_shares_no_sentence_with_another(self, fiches, language):
        for other in set(LANGUAGES) - {language}:
            for name in (
                "title",
                "description",
                "codification",
                "frequency",
                "smallest_level",
                "method",
                "availability",
            ):
                assert fiches[language][name] != fiches[other][name], (name, other)
            assert not set(fiches[language]["remarks"]) & set(fiches[other]["remarks"])

    def test_names_code_and_variables(self, fiches, language):
        content = fiches[language]
        assert content["code"] == "stat_003_007_At"
        assert [entry["code"] for entry in content["source_variables"]] == ["FF_MH"]
        assert [entry["code"] for entry in content["equivalent_variables"]] == [f"stat_{code}" for code in EQUIVALENT]

    def test_tells_the_definition(self, fiches, language):
        content = plain(fiches[language])
        for fact in (
            {"fr": "10 000", "nl": "10.000", "de": "10.000", "en": "10,000"}[language],
            "109616",
            "≥ 6",
            "2013",
            {"fr": "95 %", "nl": "95%", "de": "95-%", "en": "95%"}[language],
            "2003",
            "2005",
            "Q3",
            "t−2",
        ):
            assert fact in content, fact

    def test_says_the_thresholds_that_hold(self, release, language):
        content = plain(fiche(release, 7, 10)[language])
        assert "≥ 7" in content
        assert re.search(r"(moins de|minder dan|weniger als|fewer than) 10 pers", content, re.IGNORECASE)
        assert not re.search(r"(au moins|minstens|mindestens|at least) 6", content)

    def test_has_no_placeholder_and_no_address(self, fiches, language):
        assert not re.search(r"[${}]|https?:|www\.", plain(fiches[language]))

    def test_is_dated_and_numbered(self, fiches, language):
        date = {"fr": "5/09/2026", "nl": "5/09/2026", "de": "05.09.2026", "en": "2026-09-05"}[language]
        assert date in fiches[language]["last_update"]
        assert re.search(r"(version|versie|Version|release) 3 ", fiches[language]["last_update"])
        assert fiches[language]["citation"].startswith(f"IMA_AIM ({date}), stat_003_007, Atlas IMA_AIM")
        assert "2023–2024" in fiches[language]["availability"]

    def test_real_figures_are_not_called_synthetic(self, fiches, language):
        assert fiches[language]["notice"] == ""
        assert not re.search(MADE_UP, plain(fiches[language]), re.IGNORECASE)

    def test_synthetic_figures_are_not_to_be_cited(self, release, language):
        content = fiche(dataclasses.replace(release, synthetic=True), 6, 5)[language]
        warning = {"fr": "à ne pas citer", "nl": "niet als echte cijfers te citeren", "de": "nicht als echte Zahlen"}
        assert warning.get(language, "not to be cited as real figures") in content["citation"]
        assert "IMA_AIM (5" not in content["citation"]
        assert "IMA_AIM (2026" not in content["citation"]
        for text in (content["notice"], content["title"], heading(language, synthetic=True)["description"]):
            assert re.search(MADE_UP, text, re.IGNORECASE), text


def test_files_are_json_and_a_page(fiches):
    files = fiche_files(fiches)
    assert sorted(files) == ["fiche.de.json", "fiche.en.json", "fiche.fr.json", "fiche.html", "fiche.nl.json"]
    for language in LANGUAGES:
        assert json.loads(files[f"fiche.{language}.json"]) == fiches[language]
    assert files == fiche_files(fiches)


def test_the_page_holds_everything_and_needs_nothing(fiches):
    page = fiche_files(fiches)["fiche.html"]
    assert not re.search(r"<script|https?:|src=|url\(", page)
    for language in LANGUAGES:
        section = re.search(rf'<section id="{language}" lang="{language}">(.*?)</section>', page, re.DOTALL)
        assert section
        shown = unescape(re.sub(r"<[^>]*>", "\n", section[1]))
        for name, label in fiches[language]["labels"].items():
            value = fiches[language][name]
            texts = value.split("\n") if isinstance(value, str) else [*map(label_of, value)]
            assert name == "title" or label in shown
            for text in texts:
                assert text in shown, (language, name)


def label_of(item: str | dict[str, str]) -> str:
    return item if isinstance(item, str) else item["label"]


def test_the_page_escapes_its_texts(fiches):
    page = fiche_files({"fr": fiches["fr"] | {"title": "<b>&</b>", "remarks": ["<i>"], "notice": "<u>"}})["fiche.html"]
    assert not re.search("<[biu]>", page)
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in page


@pytest.mark.slow
def test_the_page_is_accessible_and_shows_one_language_at_a_time(release, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium")
    page_file = tmp_path / "fiche.html"
    files = fiche_files(fiche(dataclasses.replace(release, synthetic=True), 6, 5))
    page_file.write_text(files["fiche.html"], encoding="utf-8")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as session:
        browser = session.chromium.launch(executable_path=chromium, args=arguments)
        for width in (320, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.goto(page_file.as_uri())
            for language in LANGUAGES:
                page.click(f'nav a[lang="{language}"]')
                assert page.locator("section:visible").evaluate_all("all => all.map(one => one.id)") == [language]
                assert page.locator("section:visible .synthetic").is_visible()
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert axe.Axe().run(page).response["violations"] == []
        browser.close()
