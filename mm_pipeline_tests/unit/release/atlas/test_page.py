"""The files of the page: they hold what the released table holds, nothing that it hides, and fetch nothing."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from shapely.geometry import box

from mm_pipeline.release import atlas
from mm_pipeline.release.atlas.figures import ABSENT, HIDDEN
from mm_pipeline.release.atlas.page import write_atlas
from mm_pipeline_tests.support import small_atlas

PACKAGE = Path(atlas.__file__).parent
OURS = sorted(PACKAGE.glob("*.js"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    write_atlas(folder, **small_atlas.arguments())
    return folder


def content_of(folder: Path) -> dict[str, Any]:
    match = re.search(
        r'<script type="application/json" id="data" data-token="\w+">(.*?)</script>', html_of(folder), re.DOTALL
    )
    assert match
    return json.loads(match[1])


def html_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def sectors_of(path: Path) -> dict[str, Any]:
    match = re.fullmatch(r'receiveSectors\("(\w+)", (.*)\);\n', path.read_text(encoding="utf-8"))
    assert match
    return {"token": match[1]} | json.loads(match[2])


def token_of(folder: Path) -> str:
    match = re.search(r'data-token="(\w{16})"', html_of(folder))
    assert match
    return match[1]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(level: str, packed: dict[str, Any], years: list[int]) -> dict[tuple, tuple]:
    """(year, level, area, dimension, category) -> (beneficiaries, patients), for the rows that the page holds."""
    return {
        (year, level, code, dimension, category): tuple(None if value == HIDDEN else value for value in pair)
        for code, _, cells in packed["areas"]
        for (dimension, category), flat in zip(packed["cells"], cells, strict=True)
        for year, pair in zip(years, zip(flat[::2], flat[1::2], strict=True), strict=True)
        if pair != (ABSENT, ABSENT)
    }


def test_the_page_and_its_sectors_hold_exactly_the_released_table(folder):
    content = content_of(folder)
    held = {}
    for level, packed in content["levels"].items():
        held |= rows_of(level, packed, content["years"])
    for path in (folder / "sectors").iterdir():
        held |= rows_of("sector", sectors_of(path), content["years"])
    key = ["year", "level", "area_code", "dimension", "category"]
    table = small_atlas.rates().to_pylist()
    assert held == {tuple(row[k] for k in key): (row["beneficiaries"], row["patients"]) for row in table}
    assert any(row["status"] == "suppressed" and row["beneficiaries"] is None for row in table)


def test_names_and_parents_are_those_of_the_code_list(folder):
    content = content_of(folder)
    history = {code: spans for code, spans, _ in content["levels"]["municipality"]["areas"]}
    assert history["62001"] == [[2003, 2006, "62000", ["Liège", "Luik", "Lüttich", "Liège"]]]
    assert history["11005"] == [[2003, 2004, "11000", ["Boom"]]]
    assert history["11007"][0][3] == [small_atlas.BREAKS_A_PAGE]


def test_an_area_that_the_code_list_lacks_is_named_by_its_code(tmp_path):
    areas = small_atlas.code_list()
    write_atlas(tmp_path, **small_atlas.arguments(areas=areas[areas["area_code"] != "62001"]))
    history = {code: spans for code, spans, _ in content_of(tmp_path)["levels"]["municipality"]["areas"]}
    assert history["62001"] == [[2003, 2006, "62000", ["62001"]]]


@pytest.mark.parametrize("nothing", ["", None])
def test_a_sector_without_a_name_is_named_by_its_code(tmp_path, nothing):
    areas = small_atlas.code_list()
    areas.loc[areas["area_code"] == "62001A00-", [f"label_{name}" for name in ("fr", "nl", "de", "en")]] = nothing
    write_atlas(tmp_path, **small_atlas.arguments(areas=areas))
    history = {code: spans for code, spans, _ in sectors_of(tmp_path / "sectors" / "62000.js")["areas"]}
    assert history["62001A00-"] == [[2005, 2006, "62001", ["62001A00-"]]]
    assert history["62001A10-"] == [[2005, 2006, "62001", ["Quartier 1"]]]


def test_sectors_are_filed_under_their_arrondissement(folder):
    assert content_of(folder)["places"] == ["11000", "62000"]
    assert sorted(path.name for path in (folder / "sectors").iterdir()) == ["11000.js", "62000.js"]
    part = sectors_of(folder / "sectors" / "62000.js")
    codes = [code for code, _, _ in part["areas"]]
    assert codes == sorted(code for _, code, parent, *_ in small_atlas.SECTORS if parent.startswith("62"))
    assert (part["token"], part["place"]) == (token_of(folder), "62000")
    assert set(part["outlines"][0]) == set(codes)


def test_a_sector_that_changes_arrondissement_is_in_both_files_with_all_its_years(tmp_path):
    frame = small_atlas.rates().to_pandas()
    moved = (frame["area_code"] == "62003") & (frame["year"] == 2006)
    frame.loc[moved, "parent_code"] = "11000"
    write_atlas(tmp_path, **small_atlas.arguments(rates=small_atlas.with_rates(frame)))
    years = list(small_atlas.YEARS)
    seen = {
        path.stem: {key[0] for key in rows_of("sector", sectors_of(path), years) if key[2].startswith("62003")}
        for path in (tmp_path / "sectors").iterdir()
    }
    assert seen == {"11000": {2005, 2006}, "62000": {2005, 2006}}


def test_standardised_rates_are_rounded_and_a_suppressed_one_is_marked(folder):
    content = content_of(folder)["standardised"]
    assert content["country"]["BE"] == [512.35, 500.0, 525.0] * 4
    assert content["province"] == {"60000": [HIDDEN] * 12}


def test_a_vintage_is_written_once_and_years_point_to_it(tmp_path):
    first, later = small_atlas.outlines(2003), small_atlas.outlines(None)
    write_atlas(tmp_path, **small_atlas.arguments(outlines={2003: first[2003], 2004: first[2003], 2005: later[2005]}))
    content = content_of(tmp_path)
    assert [outline["year"] for outline in content["outlines"]] == [2003, None]
    assert content["outlines_of_year"] == [0, 0, 1, None]
    assert set(content["outlines"][0]["paths"]) == {"region", "province", "arrondissement", "municipality"}


def test_a_name_cannot_break_out_of_its_element(folder):
    for text in [html_of(folder), *(path.read_text(encoding="utf-8") for path in (folder / "sectors").iterdir())]:
        assert small_atlas.BREAKS_A_PAGE not in text
    html = html_of(folder)
    # Libraries, our scripts and the data: each ends where it should.
    assert html.count("</script>") == html.count("<script") == 2 + len(OURS) + 1


def test_no_script_of_ours_writes_html_nor_holds_what_would_end_its_element():
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"</script|<!--|innerHTML|insertAdjacentHTML|document\.write|\beval\(|fetch\(", text), (
            path.name
        )


def test_nothing_is_fetched_from_anywhere(folder):
    html = html_of(folder)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert not re.search(r"url\((?!data:|#)[\"']?[^)\"'$]", html.split("<script", 1)[0])
    assert not re.search(r"@import", html.split("<script", 1)[0])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'self' file: 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert "connect-src" not in policy[1]  # so that it falls to 'none'


def test_the_same_input_gives_the_same_bytes(folder, tmp_path):
    write_atlas(tmp_path, **small_atlas.arguments())
    assert files_of(tmp_path) == files_of(folder)


def test_the_order_of_the_rows_does_not_matter(folder, tmp_path):
    shuffled = small_atlas.rates().to_pandas().sample(frac=1, random_state=1)
    areas = small_atlas.code_list().sample(frac=1, random_state=1)
    write_atlas(tmp_path, **small_atlas.arguments(rates=small_atlas.with_rates(shuffled), areas=areas))
    assert files_of(tmp_path) == files_of(folder)


def test_whatever_differs_in_page_or_sectors_gives_another_token(folder, tmp_path):
    frame = small_atlas.rates().to_pandas()
    frame.loc[frame["area_code"] == "62001A00-", "beneficiaries"] += 1
    square = small_atlas.outlines()[2006]
    moved = square.areas | {"sector": square.areas["sector"] | {"62001A00-": box(4, 50.5, 4.01, 50.51)}}
    tokens = {token_of(folder)}
    for number, change in enumerate(
        [
            {"release": replace(small_atlas.RELEASE, synthetic=False)},
            {"rates": small_atlas.with_rates(frame)},
            {"outlines": dict.fromkeys(small_atlas.YEARS, replace(square, areas=moved))},
            {"outlines": dict.fromkeys(small_atlas.YEARS[2:], square)},
        ]
    ):
        page = tmp_path / str(number)
        page.mkdir()
        write_atlas(page, **small_atlas.arguments(**change))
        tokens.add(token_of(page))
    assert len(tokens) == 5


def test_no_path_of_the_machine_is_in_a_file(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert str(PACKAGE.parents[2]) not in text
            assert str(folder) not in text


def test_without_sectors_standardised_rates_or_outlines_there_is_still_a_page(tmp_path):
    table = small_atlas.rates().to_pandas()
    table = small_atlas.with_rates(table[table["level"] != "sector"])
    write_atlas(
        tmp_path, **small_atlas.arguments(rates=table, standardised=small_atlas.standardised()[:0], outlines={})
    )
    assert set(files_of(tmp_path)) == {"index.html", "LICENSES.txt"}
    content = content_of(tmp_path)
    assert (content["places"], content["standardised"], content["outlines"]) == ([], {}, [])
    assert content["frame"] == [0, 0, 1, 1]


def test_every_text_is_there_in_four_languages_with_the_same_gaps():
    texts = json.loads((PACKAGE / "texts.json").read_text(encoding="utf-8"))
    used = set()
    for path in OURS:
        used |= set(re.findall(r'\btext\("(\w+)"', path.read_text(encoding="utf-8")))
    used |= set(re.findall(r'data-text="(\w+)"', (PACKAGE / "index.html").read_text(encoding="utf-8")))
    assert not used - set(texts)
    for key, languages in texts.items():
        assert list(languages) == ["fr", "nl", "de", "en"], key
        gaps = {tuple(sorted(re.findall(r"\{(\w+)\}", words))) for words in languages.values()}
        assert len(gaps) == 1, key
        assert all(languages.values()), key


def test_french_has_a_space_that_does_not_break_before_its_colons_and_no_script_writes_one_itself():
    texts = json.loads((PACKAGE / "texts.json").read_text(encoding="utf-8"))
    assert not [words["fr"] for words in texts.values() if re.search(r"[^\u00a0][:;?!%]|« | »|\d 000", words["fr"])]
    for path in OURS:
        if path.name != "core.js":
            assert not re.search(r"\$\{[^}]*\}: ", path.read_text(encoding="utf-8")), path.name


def test_a_page_without_javascript_says_so_in_four_languages(folder):
    noscript = re.search(r"<noscript>(.*?)</noscript>", html_of(folder), re.DOTALL)
    assert noscript
    assert re.findall(r'lang="(\w\w)"', noscript[1]) == ["fr", "nl", "de", "en"]
    assert "../series/rates.csv" in noscript[1]


def test_all_years_of_a_national_table_to_the_municipalities_stay_under_six_megabytes(tmp_path):
    """22 years of 581 municipalities of national size, all shown: more figures than any real table shows."""
    years = range(2003, 2025)
    codes = [f"{10_000 + number}" for number in range(581)]
    cells = [(d, c) for d, categories in small_atlas.CELLS.items() for c in categories if d != "age_class"]
    index = pd.MultiIndex.from_product([years, codes, cells], names=["year", "area_code", "cell"])
    frame = index.to_frame(index=False)
    frame[["dimension", "category"]] = frame.pop("cell").to_list()
    people = 1_000 + 97 * (frame.index.to_numpy() % 181)
    frame = frame.assign(level="municipality", parent_code="", status="published", beneficiaries=people)
    table = small_atlas.with_rates(frame.assign(patients=people // 20))
    release = replace(small_atlas.RELEASE, years=tuple(years))
    write_atlas(tmp_path, **small_atlas.arguments(rates=table, release=release))
    assert (tmp_path / "index.html").stat().st_size < 3_000_000
