"""The page in a real browser: from a file and from a web server, with the mouse, the keyboard and a phone."""

import csv
import functools
import importlib.util
import io
import itertools
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mm_pipeline.release.atlas.page import write_atlas
from mm_pipeline_tests.support import small_atlas

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LABELS = [f"label_{language}" for language in ("fr", "nl", "de", "en")]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = [
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
    write_atlas(folder, **small_atlas.arguments())
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def wait_until(page: Any, condition: str) -> None:
    """Not ``page.wait_for_function``, which asks within the page, by ``eval``: the page's policy forbids that."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(20)


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
        page.set_default_timeout(60_000)
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


def csv_rows(content: bytes, separator: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator))


# --- It is there


def test_first_view_is_the_latest_year_by_municipality_and_asks_for_nothing(reader):
    page = reader.open()
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert set(areas_on_map(page)) == set(small_atlas.PLACES)
    assert page.locator("#area-name").inner_text() == "Belgium"
    assert page.evaluate("performance.getEntriesByName('atlas-drawn')[0].startTime") < 2000
    assert {url.split("#")[0] for url in reader.requests} <= {reader.address, "about:blank"}
    assert page.title() == "[Synthetic data] Patients of community health centres"


def test_the_page_works_from_a_web_server_with_its_sectors(reader_of, server):
    reader = reader_of(server + "index.html")
    page = reader.open("level=sector&place=62000")
    assert len(areas_on_map(page)) == 12
    asked = {url.removeprefix(server).split("#")[0] for url in reader.requests if url.startswith("http")}
    assert {re.sub(r"\?\w{16}$", "?token", address) for address in asked} == {"index.html", "sectors/62000.js?token"}
    assert reader.complaints == []


def test_synthetic_figures_are_marked_and_real_ones_are_not(reader, reader_of, tmp_path):
    banner = reader.open().locator("#synthetic")
    assert banner.is_visible()
    assert "Synthetic data" in banner.text_content()
    write_atlas(tmp_path, **small_atlas.arguments(release=replace(small_atlas.RELEASE, synthetic=False)))
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
    wait_until(page, "BY_LEVEL.sector.length === 24")
    shown = page.evaluate("""() => Object.fromEntries([...AREAS.values()].flatMap(area => DATA.years.flatMap(year =>
        Object.keys(area.counts).map(cell => [`${year} ${area.key} ${cell}`, figure(area, year, cell)]))))""")
    shown = {key: value for key, value in shown.items() if value["status"] != "absent"}
    rows = small_atlas.rates().to_pylist()
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
    assert areas["11007"] == ("published", "#e9dcf0")  # nobody: neither the lowest class nor the paper
    assert areas["11002"] == ("published", "#7fcdbb")
    assert areas["62001"] == ("published", "#0c2c84")
    assert areas_on_map(reader.open("year=2003"))["62003"] == ("empty", "url(#blank)")
    assert areas_on_map(reader.open("year=2003"))["11006"] == ("absent", "url(#blank)")


def test_zero_is_a_colour_of_its_own_in_map_and_legend(reader):
    page = reader.open()
    ground = page.locator("#map .ground path").first.get_attribute("fill")
    colours = page.evaluate("[NOBODY, ...COLOURS, '#ffffff', getComputedStyle(document.body).backgroundColor]")
    assert len({*colours, ground}) == len(colours) + 1
    swatch = page.locator("#legend .swatch").first
    assert swatch.evaluate("box => getComputedStyle(box).backgroundColor") == "rgb(233, 220, 240)"
    assert swatch.evaluate("box => getComputedStyle(box).borderTopWidth") == "1px"
    assert swatch.evaluate("box => box.getBoundingClientRect().height") > 8


def test_figures_are_tabular_and_the_hyphens_of_names_are_not(reader):
    page = reader.open("area=municipality.62001")
    numeric = "element => getComputedStyle(element).fontVariantNumeric"
    for place in ("#ranking tbody th", "#area-name", "#panel .kicker", "#about p"):
        assert page.locator(place).first.evaluate(numeric) == "normal", place
    for place in ("#ranking tbody .number", "#panel .facts dd", "#year-shown"):
        assert page.locator(place).first.evaluate(numeric) == "tabular-nums", place


def test_the_classes_do_not_overlap_in_words(reader):
    legend = reader.open().locator("#legend .class span").all_inner_texts()
    assert legend == ["0", "<\u00a050", "50–<100", "100–<200", "200–<400", "400–<800", "800–<1,600", "≥\u00a01,600"]


@pytest.fixture(scope="module")
def small_numbers(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with rates of 0 to 4 per 10 000, and of many places that are to be read with care."""
    folder, frame = tmp_path_factory.mktemp("small numbers"), small_atlas.rates().to_pandas()
    few = frame["area_code"].isin(["11006", "62003"])
    frame.loc[few & (frame["beneficiaries"] > 0), ["beneficiaries", "patients"]] = [30_000, 3]
    write_atlas(folder, **small_atlas.arguments(rates=small_atlas.with_rates(frame)))
    return (folder / "index.html").as_uri()


def test_the_labels_of_an_axis_say_where_its_lines_are(reader_of, tmp_path):
    """Of rates below 4 the lines are half a unit apart."""
    frame = small_atlas.rates().to_pandas()
    frame[["beneficiaries", "patients"]] = [30_000, 3]
    write_atlas(tmp_path, **small_atlas.arguments(rates=small_atlas.with_rates(frame)))
    address = (tmp_path / "index.html").as_uri()
    page = reader_of(address).open("area=municipality.62003")
    for chart, axis, attribute in (("trend", "y-axis", "y"), ("breakdown", "x-axis", "x")):
        labels = page.locator(f"#{chart} svg text").evaluate_all(
            "(texts, at) => texts.filter(text => /^[0-9.,]+$/.test(text.textContent)"
            " && !/^20[0-9][0-9]$/.test(text.textContent)).map(text => [text.textContent,"
            " text.getBoundingClientRect()[at]])",
            attribute,
        )
        assert len(labels) >= 3, axis
        assert len({words for words, _ in labels}) == len(labels), "no label is there twice"
        values = sorted((float(words), place) for words, place in labels)
        steps = {round(b[0] - a[0], 6) for a, b in itertools.pairwise(values)}
        assert len(steps) == 1, labels
    french = reader_of(address).open("area=municipality.62003&lang=fr")
    assert "0,5" in french.locator("#trend svg text").all_text_contents()


def test_what_is_to_be_read_with_care_has_no_rank_and_a_mark_on_the_map(reader_of, small_numbers):
    """The rule of docs/release.md: a few persons would change its place."""
    reader = reader_of(small_numbers)
    page = reader.open("year=2006")
    rows = page.locator("#ranking tbody tr").evaluate_all(
        "rows => rows.map(row => [row.dataset.code, row.cells[0].textContent, row.textContent.includes('with care')])"
    )
    ranks = {code: rank for code, rank, _ in rows}
    assert {code for code, _, with_care in rows if with_care} == {"11006", "11007", "62003"}
    assert ranks == {"62001": "1", "11002": "2", "11006": "–", "11007": "–", "62002": "–", "62003": "–"}
    marked = page.locator("#map .care path")
    assert set(marked.evaluate_all("paths => paths.map(path => path.dataset.code)")) == {"11006", "11007", "62003"}
    assert set(marked.evaluate_all("paths => paths.map(path => path.getAttribute('fill'))")) == {"url(#care)"}
    assert "With care" in page.locator("#legend").inner_text()
    path = page.locator("#map .areas path[data-code='62003']")
    assert path.get_attribute("aria-label") == "Herstal: 1.0, Interpret with care"
    path.click()  # the mark does not lie in the way
    assert page.locator("#area-name").inner_text() == "Herstal"
    _, content = reader.download("#csv")
    assert {row["Code"]: row["Rank"] for row in csv_rows(content, ",")}["62003"] == ""
    sheet = ElementTree.fromstring(reader.download("#svg")[1])
    fills = [each.get("fill") for each in sheet.iter("{http://www.w3.org/2000/svg}path")]
    assert fills.count("url(#care-map)") == 3


def test_classes_stay_the_same_over_the_years(reader):
    page = reader.open()
    legend = page.locator("#legend").inner_text()
    colours = {}
    for year in small_atlas.YEARS:
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


# --- The tooltip


def hovered(page: Any, code: str) -> Any:
    page.locator(f"#map .areas path[data-code='{code}']").hover()
    return page.locator("#tooltip")


def test_the_tooltip_says_year_unit_and_counts(reader):
    page = reader.open("year=2004")
    assert hovered(page, "62003").inner_text().splitlines() == [
        *("Herstal", "2004", "660.0", "Patients per 10,000 beneficiaries", "95% interval: 596.3–730.0"),
        *("Patients: 350", "Beneficiaries: 5,303"),
    ]
    page = reader.open("year=2006&show=sex.F")
    assert hovered(page, "62002").inner_text().splitlines()[:3] == ["Seraing", "2006 · Women", "Suppressed"]
    assert "per 10,000" not in page.locator("#tooltip").inner_text()


def test_the_tooltip_follows_year_group_language_and_link(reader):
    """The pointer rests: what it shows is of the view that is seen."""
    page = reader.open("year=2004")
    lines = lambda: page.locator("#tooltip").inner_text().splitlines()  # noqa: E731
    hovered(page, "62003")
    page.evaluate("change({ year: 2006 })")
    assert lines()[:3] == ["Herstal", "2006", "779.8"]
    page.evaluate("change({ cell: 'sex.F' })")
    assert lines()[:3] == ["Herstal", "2006 · Women", "778.5"]
    page.locator("#languages [lang=fr]").evaluate("button => button.click()")
    assert lines()[:3] == ["Herstal", "2006 · Femmes", "778,5"]
    assert lines()[3] == "Patients pour 10\u202f000 bénéficiaires" or "bénéficiaires" in lines()[3]
    page.evaluate("location.hash = 'year=2003&level=municipality&lang=en'")
    wait_until(page, "state.year === 2003")
    assert lines()[:3] == ["Herstal", "2003", "Nobody lives here"] or lines()[1] == "2003"


def test_the_tooltip_goes_with_its_area(reader):
    """Another level has no such area; the pointer is moved away first, so that none of that level comes under it."""
    page = reader.open("year=2004")
    hovered(page, "62003")
    page.evaluate("change({ level: 'province' })")
    assert "Herstal" not in page.locator("#tooltip").inner_text() or not page.locator("#tooltip").is_visible()
    page = reader.open_anew("year=2006")
    page.locator("#map .areas path[data-code='62003']").focus()
    assert page.locator("#tooltip").is_visible()
    page.evaluate("change({ level: 'sector', place: '11000' })")
    wait_until(page, "isLoaded('11000')")
    assert not page.locator("#tooltip").is_visible()


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


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page on which two codes share a name, one after the other, and a place is a saint's."""
    folder, areas = tmp_path_factory.mktemp("renamed"), small_atlas.code_list()
    areas.loc[areas["area_code"] == "11006", LABELS] = "Boom"
    areas.loc[areas["area_code"] == "62003", LABELS] = ["St. Nicolas-lez-Œuvre", "Sint-Niklaas", "Sankt Nikolaus", ""]
    areas.loc[areas["area_code"] == "62002", LABELS] = "Saint-Georges"
    write_atlas(folder, **small_atlas.arguments(areas=areas))
    return (folder / "index.html").as_uri()


def test_of_one_name_the_area_of_the_year_is_found_first_and_offered_where_the_other_is_not(reader_of, renamed):
    reader = reader_of(renamed)
    page = reader.open("year=2003")
    found = "year => found('boom', year).filter(area => area.level === 'municipality').map(area => area.code)"
    assert page.evaluate(found, 2003) == ["11005", "11006"]
    assert page.evaluate(found, 2006) == ["11006", "11005"]
    assert page.get_by_role("button", name="In 2003:").count() == 0
    page = reader.open("year=2006&area=municipality.11005")
    page.get_by_role("button", name="In 2006: Boom (11006)").click()
    assert "11006" in page.locator("#panel .kicker").inner_text()
    assert "area=municipality.11006" in page.url
    assert page.evaluate("document.activeElement.id") == "area-name"
    assert page.get_by_role("button", name="In 2006:").count() == 0


def test_the_search_knows_saints_regions_and_beginnings_of_codes(reader_of, renamed):
    page = reader_of(renamed).open()
    expected = {
        "st georges": ["municipality.62002"],
        "st.-georges": ["municipality.62002"],
        "sint-nik": ["municipality.62003"],
        "st niklaas": ["municipality.62003"],
        "saint nicolas": ["municipality.62003"],
        "nicolas lez oeuvre": ["municipality.62003"],
        "Wallonië": ["region.03000"],
        "vlaanderen": ["region.02000"],
        "6200": ["arrondissement.62000", "municipality.62001", "municipality.62002", "municipality.62003"],
        "2003": [],  # the end of a code is no code
    }
    for words, keys in expected.items():
        assert sorted(page.evaluate("words => found(words, 2006).map(area => area.key)", words)) == keys, words


@pytest.mark.parametrize("words", ["9000", "1000", "6200", "9 000", " 1000 ", "620", "0", "99999", "6200 1 1"])
def test_digits_that_are_no_code_of_an_area_lead_nowhere(reader, words):
    """A postcode above all: that of Ghent is how the code of the province of Namur begins."""
    page = reader.open()
    search = page.locator("#search")
    search.fill(words)
    search.press("Enter")
    assert page.locator("#area-name").inner_text() == "Belgium"
    assert "area=" not in page.url
    if len(words.replace(" ", "")) == 4:
        said = "Postcodes are not known here: search for the name of the municipality"
        assert page.locator("#results").inner_text() == said
        assert page.locator("#live").inner_text() == said


def test_what_begins_like_a_code_is_offered_and_taken_when_it_is_chosen(reader):
    page = reader.open()
    search = page.locator("#search")
    search.fill("620")
    assert page.locator("#results [role=option]").count() == 4
    search.press("ArrowDown")
    search.press("Enter")
    assert page.locator("#area-name").inner_text() == "Herstal"
    search.fill("62 001")
    search.press("Enter")
    assert page.locator("#area-name").inner_text() == "Herstal", "of a code written in parts there is no result"


def test_one_result_is_said_in_the_singular(reader):
    page = reader.open()
    page.locator("#search").fill("herst")
    assert page.locator("#live").inner_text() == "1 result"
    page.locator("#search").fill("an")
    assert page.locator("#live").inner_text().endswith(" results")


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
    assert page.locator("#area-name").inner_text() == small_atlas.BREAKS_A_PAGE
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


def test_another_place_of_sectors_is_named_and_shown(reader):
    page = reader.open("level=sector&place=62000&area=municipality.62001")
    assert page.locator("#map-title").inner_text() == "Sectors · Arr. de Liège · 2006"
    page.locator("#place").select_option("11000")
    page.locator("#map .areas path[data-code='11006A00-']").wait_for()
    assert page.locator("#map-title").inner_text() == "Sectors · Arr. d'Anvers · 2006"
    assert page.locator("#area-name").inner_text() == "Arr. d'Anvers"
    names = {reader.download(button)[0].rsplit(".", 1)[0] for button in ("#csv", "#svg")}
    assert names == {"SYNTHETIC_community-health-centres_Sectors_Arr-d-Anvers_2006"}


def test_only_places_of_the_year_are_offered(reader_of, tmp_path):
    frame = small_atlas.rates().to_pandas()
    gone = (frame["area_code"] == "62000") & (frame["year"] == 2006)
    moved = frame["area_code"].isin(["62001", "62002", "62003"]) & (frame["year"] == 2006)
    frame.loc[moved, "parent_code"] = "11000"
    write_atlas(tmp_path, **small_atlas.arguments(rates=small_atlas.with_rates(frame[~gone])))
    reader = reader_of((tmp_path / "index.html").as_uri())
    offered = "[...document.querySelectorAll('#place option')].map(option => option.value)"
    assert reader.open("level=sector&place=11000&year=2006").evaluate(offered) == ["11000"]
    reader.page.locator("#year").press("ArrowLeft")
    assert reader.page.evaluate(offered) == ["11000", "62000"]


def test_a_year_without_sectors_says_so(reader):
    page = reader.open("level=sector&place=62000")
    page.locator("#year").focus()
    page.keyboard.press("Home")
    assert page.locator("#map-note").inner_text() == "There are no figures by sector here in 2003."
    assert areas_on_map(page) == {}


@pytest.mark.parametrize(
    "remade",
    [
        {"release": replace(small_atlas.RELEASE, number=4)},
        {"release": replace(small_atlas.RELEASE, synthetic=False)},
        {"outlines": {2003: small_atlas.outlines(2003)[2003], 2006: small_atlas.outlines(2006)[2006]}},
        {"outlines": {}},
    ],
    ids=["another release", "real figures of the same number", "more outlines", "no outlines"],
)
def test_sectors_of_another_page_ask_for_a_reload(reader_of, folder, tmp_path, remade):
    write_atlas(tmp_path, **small_atlas.arguments(**remade))
    shutil.copy(folder / "index.html", tmp_path)
    reader = reader_of((tmp_path / "index.html").as_uri())
    page = reader.open()
    page.get_by_role("radio", name="Sectors").click()
    page.get_by_text("please reload it").first.wait_for()
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert page.evaluate("BY_LEVEL.sector.length") == 0
    assert reader.complaints == []


def test_a_sector_without_a_name_is_shown_by_its_code(reader_of, tmp_path):
    areas = small_atlas.code_list()
    for code, nothing in (("62001A00-", ""), ("62001A10-", None)):
        areas.loc[areas["area_code"] == code, LABELS] = nothing
    write_atlas(tmp_path, **small_atlas.arguments(areas=areas))
    page = reader_of((tmp_path / "index.html").as_uri()).open("level=sector&place=62000")
    for code in ("62001A00-", "62001A10-"):
        assert page.locator(f"#ranking tr[data-code='{code}'] button").inner_text() == code
        page.locator(f"#map .areas path[data-code='{code}']").click()
        assert page.locator("#area-name").inner_text() == code


def test_a_page_alone_says_what_is_missing(reader_of, folder, tmp_path):
    shutil.copy(folder / "index.html", tmp_path)
    page = reader_of((tmp_path / "index.html").as_uri()).open("level=sector&place=62000")
    page.get_by_text("“sectors” is not beside this page").first.wait_for()
    assert page.locator("#map-title").inner_text() == "Municipalities · 2006"
    assert set(areas_on_map(page)) == set(small_atlas.PLACES)


def test_without_outlines_of_a_level_the_table_is_there(reader_of, tmp_path):
    outlines = small_atlas.outlines(None)[2006]
    provinces = replace(outlines, areas={"province": outlines.areas["province"]})
    write_atlas(tmp_path, **small_atlas.arguments(outlines=dict.fromkeys(small_atlas.YEARS, provinces)))
    page = reader_of((tmp_path / "index.html").as_uri()).open()
    assert page.locator("#map-title").inner_text() == "Provinces · 2006"
    page.get_by_label("Municipalities").check()
    assert page.locator("#map-note").inner_text().startswith("No outlines for this level")
    assert len(ranking(page)) == 6


def test_a_year_is_drawn_with_its_own_outlines(reader_of, tmp_path):
    later = small_atlas.outlines(2005)[2006]
    earlier = replace(later, year=2003, areas={"province": later.areas["province"]}, source="Provinces only")
    by_year = dict.fromkeys(small_atlas.YEARS[:2], earlier) | dict.fromkeys(small_atlas.YEARS[2:], later)
    write_atlas(tmp_path, **small_atlas.arguments(outlines=by_year))
    page = reader_of((tmp_path / "index.html").as_uri()).open("level=municipality&year=2004")
    assert areas_on_map(page) == {}
    assert page.locator("#map-source").inner_text() == "Outlines: Provinces only"
    page.locator("#year").press("ArrowRight")
    assert set(areas_on_map(page)) == set(small_atlas.PLACES)
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


def test_the_skip_link_leads_to_the_table_and_keeps_the_view(reader):
    view = "year=2004&level=arrondissement&area=arrondissement.62000&lang=nl"
    page = reader.open_anew(view)
    for _ in range(2):
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "ranking"
        assert page.url.endswith(view)
        assert page.locator("#map-title").inner_text() == "Arrondissementen · 2004"
        assert page.locator("#area-name").inner_text() == "Arr. Luik"


def test_a_fragment_that_is_no_view_changes_nothing(reader):
    view = "year=2004&level=arrondissement&area=arrondissement.62000&lang=nl"
    page = reader.open_anew(view)
    page.evaluate("location.hash = 'about'")
    wait_until(page, "location.hash !== '#about'")
    assert page.url.endswith(view)
    assert page.locator("#area-name").inner_text() == "Arr. Luik"


def test_back_leads_through_the_views_but_not_through_the_years(reader):
    page = reader.open_anew("year=2006")
    first, entries = page.url, page.evaluate("history.length")
    page.locator("#year").press("ArrowLeft")
    page.locator("#year").press("ArrowRight")
    assert page.evaluate("history.length") == entries
    page.locator("#ranking tbody tr[data-code='62003'] button").click()
    page.get_by_label("Provinces").check()
    page.get_by_label("Group", exact=True).select_option("sex.F")
    page.get_by_role("button", name="Nederlands").click()
    assert page.evaluate("history.length") == entries + 4
    page.go_back()
    page.get_by_text("Provinces · 2006 · Women").first.wait_for()
    page.go_back()
    page.go_back()
    page.get_by_text("Municipalities · 2006").first.wait_for()
    assert page.locator("#area-name").inner_text() == "Herstal"
    page.go_back()
    page.get_by_role("heading", name="Belgium").wait_for()
    assert page.url == first


def test_a_link_to_an_unknown_place_says_so(reader):
    page = reader.open("area=municipality.99999")
    assert page.locator("#map-note").inner_text() == "The place in the link (99999) is not in this statistic."
    assert page.locator("#area-name").inner_text() == "Belgium"
    page.locator("#year").press("ArrowLeft")
    assert not page.locator("#map-note").is_visible()


def test_a_standardised_rate_is_no_share(reader):
    page = reader.open("level=province&show=standardised&area=country.BE")
    assert page.locator(".headline").text_content() == "512.4 Age-standardised rate, per 10,000"
    assert page.locator("#map-unit").inner_text() == "Age-standardised rate, per 10,000"
    for button in ("#csv", "#csv-trend"):
        name, content = reader.download(button)
        assert "Age-standardised" in name
        assert "Age-standardised rate, per 10,000" in content.decode().splitlines()[0]
    assert b"Age-standardised rate, per 10,000" in reader.download("#svg")[1]


def test_outlines_of_statbel_are_credited_in_the_language_of_the_page(reader_of, tmp_path):
    source = "Statbel (Directorate-general Statistics), statistical sectors 2006, CC BY 4.0, simplified"
    shared = replace(small_atlas.outlines()[2006], source=source)
    write_atlas(tmp_path, **small_atlas.arguments(outlines=dict.fromkeys(small_atlas.YEARS, shared)))
    page = reader_of((tmp_path / "index.html").as_uri()).open("lang=fr")
    credit = "Statbel (Directorate-general Statistics), secteurs statistiques 2006, simplifiés, CC BY 4.0"
    assert page.locator("#map-source").text_content() == f"Contours\u00a0: {credit}"
    assert credit in page.locator("#about").inner_text()


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
        ("de-DE", "de", "Patienten der „Maisons médicales“"),
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
    rows = csv_rows(content, ";")
    expected = {
        row["area_code"]: row
        for row in small_atlas.rates().to_pylist()
        if (row["year"], row["level"], row["dimension"]) == (2006, "municipality", "total")
    }
    assert {row["Code"] for row in rows} == {f'="{code}"' for code in expected}
    for row in rows:
        released = expected[row["Code"][2:-1]]
        assert row["Patients"] == ("" if released["patients"] is None else str(released["patients"]))
        rate = released["rate_per_10000"]
        assert row["Pour 10\u00a0000"] == (
            "" if rate is None else f"{rate:.4f}".rstrip("0").rstrip(".").replace(".", ",")
        )
        assert row["Données fictives"] == "Données fictives"
    assert next(row for row in rows if row["Code"] == '="11007"')["Lieu"] == small_atlas.BREAKS_A_PAGE
    reader.open("year=2006&area=municipality.62002&lang=en")
    name, content = reader.download("#csv-trend")
    assert name == "SYNTHETIC_community-health-centres_Seraing_62002.csv"
    rows = csv_rows(content, ",")
    assert [row["Per 10,000"] for row in rows if row["Code"] == "62002"] == ["300", "330.5785", "359.2009", ""]


def test_no_spreadsheet_takes_a_code_for_a_number_or_a_name_for_a_formula(reader_of, tmp_path):
    signs = dict(zip(("62001", "62002", "62003", "11002", "11006", "11007"), "=+-@\t\r", strict=True))
    areas = small_atlas.code_list()
    for code, sign in signs.items():
        areas.loc[areas["area_code"] == code, LABELS] = f'{sign}1;"a"'
    write_atlas(tmp_path, **small_atlas.arguments(areas=areas))
    reader = reader_of((tmp_path / "index.html").as_uri())
    for language in ("fr", "nl", "de", "en"):
        separator, written = (",", "{}") if language == "en" else (";", '="{}"')
        page = reader.open(f"lang={language}&area=municipality.62001")
        wait_until(page, f"language === '{language}'")
        code, area = page.evaluate("[text('code'), text('area')]")
        rows = csv_rows(reader.download("#csv")[1], separator)
        assert {row[code]: row[area] for row in rows} == {
            written.format(code): f'\'{sign}1;"a"' for code, sign in signs.items()
        }
        trend = csv_rows(reader.download("#csv-trend")[1], separator)
        assert {row[code] for row in trend} == {written.format(code) for code in ("62001", "60000", "BE")}


def test_a_trend_is_downloaded_as_the_panel_shows_it(reader):
    """A municipality is not there by fine ages: the panel shows its total."""
    page = reader.open("level=province&show=age_class.25-44&area=municipality.62001&year=2005")
    assert page.locator("#map-title").inner_text() == "Provinces · 2005 · 25 to 44 years"
    assert page.locator("#panel .subtitle").inner_text() == "2005"
    name, content = reader.download("#csv-trend")
    assert name == "SYNTHETIC_community-health-centres_Liège_62001.csv"
    rows = csv_rows(content, ",")
    assert {row["Code"] for row in rows} == {"62001", "60000", "BE"}
    assert {row["Group"] for row in rows} == {"All beneficiaries"}
    released = {
        str(row["year"]): str(row["patients"])
        for row in small_atlas.rates().to_pylist()
        if (row["level"], row["area_code"], row["dimension"]) == ("municipality", "62001", "total")
    }
    assert {row["Year"]: row["Patients"] for row in rows if row["Code"] == "62001"} == released


def test_the_map_is_downloaded_as_drawing_and_picture(reader):
    reader.open("year=2006&area=municipality.62001")
    name, content = reader.download("#svg")
    assert name == "SYNTHETIC_community-health-centres_Municipalities_2006.svg"
    drawing = ElementTree.fromstring(content)
    words = " ".join(drawing.itertext())
    for said in (
        "SYNTHETIC DATA",
        "Municipalities · 2006",
        "IMA_AIM, stat_003_007, release 3 of 1 September 2026",
        "Squares, CC BY 4.0",
        "Suppressed",
        "With care",
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
    page.locator("#to-panel").tap()
    assert page.evaluate("document.activeElement.id") == "area-name"
    page.locator("#search").fill("luik")
    page.locator("#search").press("Enter")
    assert page.evaluate("document.activeElement.id") == "area-name"
    assert 0 < page.evaluate("document.activeElement.getBoundingClientRect().top") < PHONE["height"]
    page.set_viewport_size({"width": 320, "height": 600})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_on_paper_there_are_tints_the_mark_of_synthetic_figures_and_every_column(reader_of, folder):
    page = reader_of((folder / "index.html").as_uri(), viewport={"width": 720, "height": 1000}).open("year=2006")
    page.emulate_media(media="print")
    fill = "document.querySelector('#map .areas [data-status=suppressed]')"
    assert page.evaluate(f"getComputedStyle({fill}).fill") == "rgb(201, 206, 214)"  # no pattern: it makes 50 MB of PDF
    assert page.evaluate("getComputedStyle(document.querySelector('.swatch')).printColorAdjust") == "exact"
    assert page.evaluate("getComputedStyle(document.querySelector('#synthetic strong')).position") == "fixed"
    for button in ("#languages", "#year", "#group", "#csv", "#zoom-in"):
        assert not page.locator(button).is_visible()
    wait_until(page, "document.querySelector('#ranking table').getBoundingClientRect().right <= 720")


def test_with_forced_colours_charts_keep_their_ground_and_choices_an_outline(reader_of, folder):
    reader = reader_of((folder / "index.html").as_uri(), forced_colors="active", color_scheme="dark")
    page = reader.open("area=municipality.62001")
    for drawn in ("#map", "#trend", "#breakdown", "#play"):
        assert page.locator(drawn).evaluate("shape => getComputedStyle(shape).forcedColorAdjust") == "none"
    assert page.locator("#trend").evaluate("chart => getComputedStyle(chart).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("[aria-pressed=true]").first.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
