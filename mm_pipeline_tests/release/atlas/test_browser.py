"""The page in a real browser: from a file and from a web server, with the mouse, the keyboard and a phone."""

import csv
import functools
import importlib.util
import io
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mm_pipeline.release.atlas import write_atlas
from mm_pipeline_tests.release.atlas import world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or importlib.util.find_spec("playwright") is None,
        reason="needs chromium (apt-get install chromium) and playwright",
    ),
]
with_axe = pytest.mark.skipif(
    importlib.util.find_spec("axe_playwright_python") is None, reason="needs axe-playwright-python"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "atlas"
    folder.mkdir()
    write_atlas(folder, **world.arguments())
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@dataclass
class Reader:
    """Somebody who looks at a page. ``complaints``: what the console said; ``requests``: what was asked for."""

    page: Any
    address: str
    complaints: list[str]
    requests: list[str]

    def open(self, view: str = "") -> Any:
        """A view as a link gives it, "year=2004&level=province"; in English where it does not say."""
        self.page.goto(f"{self.address}#{view}" if "lang=" in view else f"{self.address}#{view}&lang=en")
        self.page.locator("#ranking tbody tr").first.wait_for()
        return self.page

    def open_anew(self, view: str) -> Any:
        """As ``open``, but never as a change of the page that is open."""
        self.page.goto("about:blank")
        return self.open(view)

    def download(self, button: str) -> tuple[str, bytes]:
        with self.page.expect_download() as started:
            self.page.locator(button).click()
        return started.value.suggested_filename, Path(started.value.path()).read_bytes()


@pytest.fixture(scope="module")
def contexts(chromium: Any) -> Callable[..., Any]:
    """Browser contexts, made once for each set of options: making one takes longer than opening a page."""
    made: dict[str, Any] = {}

    def context(**options: Any) -> Any:
        options = {"viewport": DESKTOP, "locale": "en-GB", "reduced_motion": "reduce"} | options
        if repr(options) not in made:
            made[repr(options)] = chromium.new_context(**options)
        return made[repr(options)]

    return context


@pytest.fixture
def reader_of(contexts: Callable[..., Any]) -> Iterator[Callable[..., Reader]]:
    pages = []

    def make(address: str, **options: Any) -> Reader:
        page = contexts(**options).new_page()
        pages.append(page)
        page.set_default_timeout(10_000)
        reader = Reader(page, address, [], [])
        page.on("pageerror", lambda error: reader.complaints.append(str(error)))
        page.on("console", lambda m: reader.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("request", lambda request: reader.requests.append(request.url))
        return reader

    yield make
    for page in pages:
        page.close()


@pytest.fixture
def reader(reader_of: Callable[..., Reader], folder: Path) -> Iterator[Reader]:
    """Of the page as a file."""
    reader = reader_of((folder / "index.html").as_uri())
    yield reader
    assert not reader.complaints


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder.parent))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/atlas/"
        http.shutdown()


def areas_on_map(page: Any) -> dict[str, tuple[str, str]]:
    """Code -> (status, fill) of what is drawn."""
    paths = page.locator("#map .areas path").evaluate_all(
        "paths => paths.map(path => [path.dataset.code, path.dataset.status, path.getAttribute('fill')])"
    )
    return {code: (status, fill) for code, status, fill in paths}


def ranking(page: Any) -> list[str]:
    return page.locator("#ranking tbody tr").evaluate_all("rows => rows.map(row => row.dataset.code)")


# --- It is there


def test_first_view_is_the_latest_year_by_municipality_and_asks_for_nothing(reader):
    page = reader.open()
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert set(areas_on_map(page)) == set(world.PLACES)
    assert page.locator("#area-name").inner_text() == "Belgium"
    assert page.evaluate("performance.getEntriesByName('atlas-drawn')[0].startTime") < 2000
    assert {url.split("#")[0] for url in reader.requests} <= {reader.address, "about:blank"}
    assert page.title() == "[Synthetic data] Patients of community health centres"


def test_the_page_works_from_a_web_server_with_its_sectors(reader_of, server):
    reader = reader_of(server + "index.html")
    page = reader.open("level=sector&place=62000")
    assert len(areas_on_map(page)) == 12
    asked = {url.removeprefix(server).split("#")[0] for url in reader.requests if url.startswith("http")}
    assert asked == {"index.html", "sectors/62000.js?3"}
    assert reader.complaints == []


def test_synthetic_figures_are_marked_and_real_ones_are_not(reader, reader_of, tmp_path):
    banner = reader.open().locator("#synthetic")
    assert banner.is_visible()
    assert "Synthetic data" in banner.text_content()
    write_atlas(tmp_path, **world.arguments(release=replace(world.RELEASE, synthetic=False)))
    real = reader_of((tmp_path / "index.html").as_uri())
    page = real.open()
    assert not page.locator("#synthetic").is_visible()
    assert page.title() == "Patients of community health centres"
    name, content = real.download("#csv")
    assert name == "community-health-centres_Municipalities_2006.csv"
    assert b"ynthetic data" not in content


def test_rates_and_intervals_are_those_of_the_release(reader):
    page = reader.open("level=sector&place=62000")
    page.evaluate("loadSectors('11000')")
    page.wait_for_function("BY_LEVEL.sector.length === 24")
    shown = page.evaluate("""() => Object.fromEntries([...AREAS.values()].flatMap(area => DATA.years.flatMap(year =>
        Object.keys(area.counts).map(cell => [`${year} ${area.key} ${cell}`, figure(area, year, cell)]))))""")
    shown = {key: value for key, value in shown.items() if value["status"] != "absent"}
    rows = world.rates().to_pylist()
    assert len(shown) == len(rows)
    for row in rows:
        seen = shown["{year} {level}.{area_code} {dimension}.{category}".format(**row)]
        for key, column in (("rate", ""), ("lower", "_lower"), ("upper", "_upper")):
            expected = row[f"rate_per_10000{column}"]
            assert seen.get(key) == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9))
        assert seen.get("N") == row["beneficiaries"]
        assert seen.get("n") == row["patients"]
        assert seen.get("care") == {"care": True, "reliable": False, None: None}[row["reliability"]]
        if row["status"] == "suppressed":
            assert seen["status"] == "suppressed"


# --- The map


def test_suppressed_is_hatched_and_what_has_no_figure_is_blank(reader):
    page = reader.open("year=2006")
    areas = areas_on_map(page)
    assert areas["62002"] == ("suppressed", "url(#hatch)")
    assert areas["11007"] == ("published", "#ffffcc")
    assert areas["62001"] == ("published", "#0c2c84")
    assert areas_on_map(reader.open("year=2003"))["62003"] == ("empty", "url(#blank)")
    assert areas_on_map(reader.open("year=2003"))["11006"] == ("absent", "url(#blank)")


def test_classes_stay_the_same_over_the_years(reader):
    page = reader.open()
    legend = page.locator("#legend").inner_text()
    colours = {}
    for year in world.YEARS:
        page = reader.open(f"year={year}")
        assert page.locator("#legend").inner_text() == legend
        colours[year] = areas_on_map(page)["62003"][1]
    assert colours == {2003: "url(#blank)", 2004: "#1d91c0", 2005: "#1d91c0", 2006: "#1d91c0"}


def test_areas_without_an_outline_are_counted_and_in_the_table(reader):
    page = reader.open("year=2003")
    assert page.locator("#map-note").inner_text().startswith("1 of 6 have a figure in 2003 but no outline")
    assert "11005" in ranking(page)
    assert "11005" not in areas_on_map(page)
    assert not reader.open("year=2006").locator("#map-note").is_visible()


def test_the_slider_and_the_levels_change_map_and_table(reader):
    page = reader.open()
    page.locator("#year").focus()
    page.keyboard.press("Home")
    assert page.locator("#year-shown").inner_text() == "2003"
    assert areas_on_map(page)["62002"][0] == "published"
    page.get_by_label("Provinces").check()
    assert set(areas_on_map(page)) == {"10000", "60000"} == set(ranking(page))
    page.get_by_label("Group", exact=True).select_option("sex.F")
    assert page.locator("#map-title").inner_text() == "Provinces · 2003 · Women"
    page.get_by_label("Group", exact=True).select_option("standardised")
    assert areas_on_map(page) == {"10000": ("absent", "url(#blank)"), "60000": ("suppressed", "url(#hatch)")}


def test_years_play_to_the_last_one_and_stop(reader):
    page = reader.open("year=2005")
    page.clock.install()
    page.locator("#play").click()
    assert page.locator("#play").get_attribute("aria-label") == "Stop"
    page.clock.run_for(2000)
    assert page.locator("#year-shown").inner_text() == "2006"
    page.clock.run_for(2000)
    assert page.locator("#play").get_attribute("aria-label") == "Play the years"


def test_an_area_is_chosen_by_click(reader):
    page = reader.open()
    page.locator("#map .areas path[data-code='62002']").click()
    assert page.locator("#area-name").inner_text() == "Seraing"
    assert "suppressed to protect individuals" in page.locator("#panel").inner_text()
    assert page.locator("#map .areas path[aria-selected=true]").get_attribute("data-code") == "62002"


def test_the_map_is_walked_and_chosen_with_the_keyboard(reader):
    page = reader.open("area=municipality.62001")
    assert page.locator("#map .areas path[tabindex='0']").count() == 1
    page.locator("#map .areas path[data-code='62001']").focus()
    focused = "document.activeElement.dataset.code"
    for key, code in (("ArrowRight", "62002"), ("ArrowUp", "11006"), ("ArrowLeft", "11002"), ("ArrowDown", "62001")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == code
    page.keyboard.press("ArrowLeft")  # there is nothing further west
    assert page.evaluate(focused) == "62001"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Seraing: Suppressed"
    assert page.locator("#map .focused").get_attribute("d")
    page.keyboard.press("Enter")
    assert page.locator("#area-name").inner_text() == "Seraing"
    assert page.evaluate(focused) == "62002"


def test_zooming_enlarges_and_goes_back(reader):
    page = reader.open()
    page.locator("#zoom-in").click()
    assert page.evaluate("atlasMap.scale") == 2
    page.locator("#zoom-reset").click()
    assert page.evaluate("atlasMap.scale") == 1


# --- A place


@pytest.mark.parametrize("words", ["luik", "LÜTTICH", "liege", "62001"])
def test_a_municipality_is_found_in_any_language_without_accents_or_by_its_code(reader, words):
    page = reader.open("level=province")
    search = page.get_by_role("combobox", name="Find a municipality")
    search.fill(words)
    assert search.get_attribute("aria-expanded") == "true"
    assert page.locator("#results [role=option]").first.get_attribute("data-key") == "municipality.62001"
    search.press("ArrowDown")
    assert search.get_attribute("aria-activedescendant") == "result-0"
    search.press("Enter")
    assert page.locator("#area-name").inner_text() == "Liège"
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert search.get_attribute("aria-expanded") == "false"


def test_what_is_not_found_says_so_and_escape_closes(reader):
    page = reader.open()
    page.locator("#search").fill("xyz")
    assert page.locator("#results").inner_text() == "No place of that name"
    page.locator("#search").press("Escape")
    assert not page.locator("#results").is_visible()


def test_a_place_shows_its_trend_against_its_province_and_the_country(reader):
    page = reader.open("area=municipality.62002&year=2005")
    assert page.locator(".key li").all_inner_texts() == ["Seraing", "Province de Liège", "Belgium"]
    page.locator("details[data-kind=trend] summary").click()
    rows = page.locator("details[data-kind=trend] tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [
        ["2003", "300.0"],
        ["2004", "330.6"],
        ["2005", "359.2"],
        ["2006", "Suppressed"],
    ]
    assert page.locator("#trend svg[role=img]").get_attribute("aria-label").startswith("Seraing, per 10,000")
    page.locator("details[data-kind=breakdown] summary").click()
    assert "65 years and over" in page.locator("details[data-kind=breakdown]").inner_text()


def test_a_place_of_another_time_says_when(reader):
    page = reader.open("area=municipality.11005&year=2006")
    assert "Does not exist in 2006 (2003 to 2004)" in page.locator("#panel").inner_text()


def test_a_name_is_shown_as_it_is(reader):
    page = reader.open("area=municipality.11007")
    assert page.locator("#area-name").inner_text() == world.BREAKS_A_PAGE
    assert page.title().endswith("Patients of community health centres")


def test_sectors_come_when_asked_for(reader):
    page = reader.open("area=municipality.62001")
    assert not any("sectors/" in url for url in reader.requests)
    page.locator("#to-sectors").click()
    page.locator("#map .areas path[data-code='62001A00-']").wait_for()
    assert len(areas_on_map(page)) == 12 == len(ranking(page))
    assert page.locator("#place").input_value() == "62000"
    page.locator("#place").select_option("11000")
    page.locator("#map .areas path[data-code='11006A00-']").wait_for()
    assert areas_on_map(page)["11006A00-"] == ("suppressed", "url(#hatch)")
    page.locator("#map .areas path[data-code='11002A00-']").click()
    assert page.locator("#area-name").inner_text() == "Quartier 0"
    again = reader.open_anew(page.url.split("#")[1])
    assert again.locator("#area-name").inner_text() == "Quartier 0"


def test_a_year_without_sectors_says_so(reader):
    page = reader.open("level=sector&place=62000")
    page.locator("#year").focus()
    page.keyboard.press("Home")
    assert page.locator("#map-note").inner_text() == "There are no figures by sector here in 2003."
    assert areas_on_map(page) == {}


def test_sectors_of_another_release_ask_for_a_reload(reader, reader_of, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "atlas")
    write_atlas(tmp_path / "atlas", **world.arguments(release=replace(world.RELEASE, number=4)))
    shutil.copy(folder / "index.html", tmp_path / "atlas")
    other = reader_of((tmp_path / "atlas" / "index.html").as_uri())
    page = other.open()
    page.get_by_role("radio", name="Sectors").click()
    page.get_by_text("please reload this page").first.wait_for()
    assert other.complaints == []


def test_a_page_alone_says_what_is_missing(reader_of, folder, tmp_path):
    shutil.copy(folder / "index.html", tmp_path)
    page = reader_of((tmp_path / "index.html").as_uri()).open("level=sector&place=62000")
    page.get_by_text("“sectors” is not beside this page").first.wait_for()
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert set(areas_on_map(page)) == set(world.PLACES)


def test_without_outlines_of_a_level_the_table_is_there(reader_of, tmp_path):
    outlines = world.outlines(None)[2006]
    provinces = replace(outlines, areas={"province": outlines.areas["province"]})
    write_atlas(tmp_path, **world.arguments(outlines=dict.fromkeys(world.YEARS, provinces)))
    page = reader_of((tmp_path / "index.html").as_uri()).open()
    assert page.locator("#map-title").inner_text() == "Provinces · 2006"
    page.get_by_label("Municipalities").check()
    assert page.locator("#map-note").inner_text().startswith("No outlines for this level")
    assert len(ranking(page)) == 6


def test_a_year_is_drawn_with_its_own_outlines(reader_of, tmp_path):
    later = world.outlines(2005)[2006]
    earlier = replace(later, year=2003, areas={"province": later.areas["province"]}, source="Provinces only")
    by_year = dict.fromkeys(world.YEARS[:2], earlier) | dict.fromkeys(world.YEARS[2:], later)
    write_atlas(tmp_path, **world.arguments(outlines=by_year))
    page = reader_of((tmp_path / "index.html").as_uri()).open("level=municipality&year=2004")
    assert areas_on_map(page) == {}
    assert page.locator("#map-source").inner_text() == "Outlines: Provinces only"
    page.locator("#year").press("ArrowRight")
    assert set(areas_on_map(page)) == set(world.PLACES)
    assert page.locator("#map-source").inner_text() == "Outlines: Squares, CC BY 4.0"


# --- Table, link, language


def test_the_table_is_sorted_by_its_heads(reader):
    page = reader.open("year=2005")
    assert ranking(page) == ["62001", "62003", "62002", "11002", "11006", "11007"]
    assert page.locator("th[data-key=rate]").get_attribute("aria-sort") == "descending"
    page.locator("th[data-key=rate] button").click()
    assert ranking(page)[0] == "11007"
    assert page.evaluate("document.activeElement.closest('th').dataset.key") == "rate"
    page.locator("th[data-key=name] button").press("Enter")
    assert ranking(page) == ["11007", "11002", "11006", "62003", "62001", "62002"]


def test_what_is_not_shown_stays_last_in_the_table(reader):
    for sort in ("rate", "-rate"):
        page = reader.open(f"level=sector&place=11000&sort={sort}")
        page.locator("#ranking tr.suppressed").first.wait_for()
        shown = page.locator("#ranking tbody tr").evaluate_all("rows => rows.map(row => row.className.trim())")
        assert shown == ["published"] * 4 + ["suppressed"] * 8


def test_a_place_chosen_in_the_table_takes_the_reader_to_its_panel(reader):
    page = reader.open("year=2005")
    page.locator("#ranking tbody tr[data-code='62003'] button").click()
    assert page.evaluate("document.activeElement.id") == "area-name"
    assert page.locator("#area-name").inner_text() == "Herstal"
    assert page.locator("#ranking tr.chosen").get_attribute("data-code") == "62003"
    page.locator("#to-country").click()
    assert page.evaluate("document.activeElement.id") == "area-name"


def test_a_link_restores_the_view(reader):
    view = "year=2004&level=arrondissement&area=arrondissement.62000&show=age_class.25-44&sort=name&lang=nl"
    page = reader.open(view)
    assert page.url.endswith(view)
    assert page.locator("#map-title").inner_text() == "Arrondissementen · 2004 · 25 tot 44 jaar"
    assert page.locator("#area-name").inner_text() == "Arr. Luik"
    assert page.locator("th[data-key=name]").get_attribute("aria-sort") == "ascending"
    page.get_by_label("Provincies").check()
    page.locator("th[data-key=beneficiaries] button").click()
    words = page.locator("main").inner_text()
    assert reader.open_anew(page.url.split("#")[1]).locator("main").inner_text() == words
    page.evaluate("location.hash = 'year=2003&level=region&lang=de'")
    page.get_by_text("Regionen · 2003").first.wait_for()


def test_a_link_with_nonsense_shows_the_first_view(reader):
    page = reader.open("year=1066&level=moon&area=x.1&show=y.z&sort=-&lang=en&place=0")
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert page.locator("#area-name").inner_text() == "Belgium"


def test_the_link_is_copied(reader_of, server):
    reader = reader_of(server + "index.html", permissions=["clipboard-read", "clipboard-write"])
    page = reader.open("year=2004")
    page.locator("#copy").click()
    page.get_by_role("button", name="Link copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


@pytest.mark.parametrize(
    ("locale", "language", "title"),
    [
        ("nl-BE", "nl", "Patiënten van wijkgezondheidscentra"),
        ("de-DE", "de", "Patienten der Maisons médicales"),
        ("it-IT", "fr", "Patients des maisons médicales"),
    ],
)
def test_the_language_is_that_of_the_browser_or_french(reader_of, folder, locale, language, title):
    page = reader_of((folder / "index.html").as_uri(), locale=locale).page
    page.goto((folder / "index.html").as_uri())
    assert page.locator("h1").inner_text() == title
    assert page.locator("html").get_attribute("lang") == language


def test_the_language_is_changed_with_its_numbers(reader):
    page = reader.open("area=municipality.62001")
    assert page.locator(".headline b").inner_text() == "2,209.8"
    page.get_by_role("button", name="Nederlands").click()
    assert page.locator("html").get_attribute("lang") == "nl"
    assert page.locator("#area-name").inner_text() == "Luik"
    assert page.locator(".headline b").inner_text() == "2.209,8"
    assert "lang=nl" in page.url
    assert page.evaluate("document.activeElement.lang") == "nl"


def test_without_javascript_there_is_a_message(reader_of, folder):
    page = reader_of("", java_script_enabled=False).page
    page.goto((folder / "index.html").as_uri())
    assert "Deze pagina heeft JavaScript nodig" in page.locator("body").inner_text()


# --- What is taken away


def test_the_table_is_downloaded_as_its_language_reads_it(reader):
    reader.open("year=2006&lang=fr")
    name, content = reader.download("#csv")
    assert name == "FICTIF_maisons-medicales_Communes_2006.csv"
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
    expected = {
        row["area_code"]: row
        for row in world.rates().to_pylist()
        if (row["year"], row["level"], row["dimension"]) == (2006, "municipality", "total")
    }
    assert {row["Code"] for row in rows} == set(expected)
    for row in rows:
        released = expected[row["Code"]]
        assert row["Patients"] == ("" if released["patients"] is None else str(released["patients"]))
        rate = released["rate_per_10000"]
        assert row["Pour 10\u00a0000"] == (
            "" if rate is None else f"{rate:.4f}".rstrip("0").rstrip(".").replace(".", ",")
        )
        assert row["Données fictives"] == "Données fictives"
    assert next(row for row in rows if row["Code"] == "11007")["Lieu"] == world.BREAKS_A_PAGE
    reader.open("year=2006&area=municipality.62002&lang=en")
    name, content = reader.download("#csv-trend")
    assert name == "SYNTHETIC_community-health-centres_Seraing.csv"
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [row["Per 10,000"] for row in rows if row["Code"] == "62002"] == ["300", "330.5785", "359.2009", ""]


def test_the_map_is_downloaded_as_drawing_and_picture(reader):
    reader.open("year=2006&area=municipality.62001")
    name, content = reader.download("#svg")
    assert name == "SYNTHETIC_community-health-centres_Municipalities_2006.svg"
    drawing = ElementTree.fromstring(content)
    words = " ".join(drawing.itertext())
    for said in (
        "SYNTHETIC DATA",
        "Municipalities · 2006",
        "edition 3 of 1 September 2026",
        "Squares, CC BY 4.0",
        "Suppressed",
    ):
        assert said in words
    fills = [path.get("fill") for path in drawing.iter("{http://www.w3.org/2000/svg}path")]
    assert "url(#hatch-map)" in fills
    assert re.search(rb'id="hatch-map"', content)
    name, content = reader.download("#png")
    assert name.endswith("2006.png")
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(content[16:20]) == 2000


# --- For everybody


@with_axe
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(reader_of, folder, screen):
    from axe_playwright_python.sync_playwright import Axe

    reader = reader_of((folder / "index.html").as_uri(), viewport=screen)
    axe = Axe()

    def look(view: str) -> None:
        violations = axe.run(reader.page).response["violations"]
        told = [
            (rule["id"], node["html"][:200], node.get("failureSummary"))
            for rule in violations
            for node in rule["nodes"]
        ]
        assert told == [], view

    page = reader.open("year=2005&area=municipality.62001")
    page.locator("details[data-kind=trend] summary").click()
    page.locator("details[data-kind=breakdown] summary").click()
    look("a municipality with its tables")
    page.locator("#search").fill("an")
    page.locator("#search").press("ArrowDown")
    look("search")
    reader.open("area=municipality.62002&year=2006&lang=fr")
    page.locator("#map .areas path[tabindex='0']").focus()
    look("a suppressed municipality, focus on the map")
    reader.open("level=sector&place=62000&area=sector.62001A00-&lang=de")
    look("sectors")
    reader.open("year=2003&area=municipality.11006&lang=nl")
    look("no figure, no outline")


def test_a_phone_shows_the_page_in_its_width(reader_of, folder):
    reader = reader_of((folder / "index.html").as_uri(), viewport=PHONE, has_touch=True)
    page = reader.open("area=municipality.62001&lang=nl")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.locator("#map .areas path[data-code='62003']").tap()
    assert page.locator("#area-name").inner_text() == "Herstal"
