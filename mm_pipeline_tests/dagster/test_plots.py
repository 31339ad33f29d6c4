"""The plots: short enough to be shown in place, well-formed, and true."""

import re
from itertools import pairwise
from urllib.parse import unquote
from xml.etree import ElementTree

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_pipeline.defs.assets import plots

SVG = "{http://www.w3.org/2000/svg}"
REGIONS = ["Belgium", "Flanders", "Wallonia", "Brussels"]
UNIT = "per 10 000 beneficiaries"


def picture(plot: dg.MarkdownMetadataValue) -> ElementTree.Element:
    """The image as a browser reads it. An address in Markdown holds no blank, and ends at the first odd parenthesis."""
    found = re.fullmatch(r"[^\n]+\n\n!\[\]\(data:image/svg\+xml,([^ ()\n]+)\)", plot.md_str)
    assert found, plot.md_str
    return ElementTree.fromstring(unquote(found[1]))


def texts(plot: dg.MarkdownMetadataValue) -> list[str]:
    return [element.text or "" for element in picture(plot).iter(f"{SVG}text")]


def trend(years: range, top: float = 1800.0) -> dict[str, list[tuple[int, float]]]:
    """Four lines that wiggle, so that no step is as short to write as it could be."""
    return {
        name: [(year, top * (i + 1) / 4 * (0.5 + 0.4 * ((year * 7 + i) % 5) / 5)) for year in years]
        for i, name in enumerate(REGIONS)
    }


def points(path: str) -> list[tuple[int, int]]:
    """The places that a path goes to."""
    place, places = (0, 0), []
    for command, numbers in re.findall(r"([Mlh])([^Mlh]*)", path):
        x, *rest = (int(number) for number in re.findall(r"-?\d+", numbers))
        y = rest[0] if rest else 0
        place = (x, y) if command == "M" else (place[0] + x, place[1] + y)
        places.append(place)
    return places


def drawn(plot: dg.MarkdownMetadataValue) -> list[list[tuple[int, int]]]:
    lines = [path for path in picture(plot).iter(f"{SVG}path") if path.get("stroke") != "#ccc"]
    return [points(path.get("d", "")) for path in lines]


def test_the_history_fits_where_it_stands():
    """22 years of four lines, the plot of protected_rates: every year is drawn."""
    history = {
        name: [(year, start + step * (year - 2003) + (year * 13) % 7) for year in range(2003, 2025)]
        for name, start, step in zip(REGIONS, (60, 30, 80, 300), (22, 12, 26, 70), strict=True)
    }
    plot = plots.lines("Patients of a maison médicale by region", history, UNIT)
    assert len(plot.md_str) <= plots.SHOWN_IN_PLACE
    assert [len(line) for line in drawn(plot)] == [22] * 4


@pytest.mark.parametrize("last", [2003, 2004, 2024, 2030, 2060])
def test_a_longer_history_is_thinned_until_it_fits(last):
    plot = plots.lines("Patients of a maison médicale by region", trend(range(2003, last + 1)), UNIT)
    assert len(plot.md_str) <= plots.SHOWN_IN_PLACE
    assert texts(plot)[-1] == ("2003" if last == 2003 else f"2003{last}")
    for name, line in trend(range(2003, last + 1)).items():
        assert f"{name} {line[-1][1]:.0f}" in texts(plot), "the newest value stays"


def test_lines_are_where_the_values_are():
    plot = plots.lines("t", {"a": [(2003, 0.0), (2004, 50.0), (2005, 100.0), (2006, 100.0)]}, UNIT)
    ((one, two, three, four),) = drawn(plot)
    assert one[1] - two[1] == two[1] - three[1] > 0
    assert three[1] == four[1]
    assert two[0] - one[0] == three[0] - two[0] == four[0] - three[0] > 0


def test_a_missing_year_breaks_the_line():
    plot = plots.lines("t", {"a": [(2003, 1.0), (2004, 2.0), (2007, 3.0), (2009, 1.0)]}, UNIT)
    (path,) = [path.get("d") for path in picture(plot).iter(f"{SVG}path") if path.get("stroke") != "#ccc"]
    assert path.count("M") == 3
    assert path.count("h2") == 2, "a lone year is a short stroke"


def test_names_do_not_lie_on_each_other():
    plot = plots.lines("t", {name: [(2003, 100.0), (2004, 100.0 + i)] for i, name in enumerate(REGIONS)}, UNIT)
    named = [element for element in picture(plot).iter(f"{SVG}text") if element.text.split()[0] in REGIONS]
    heights = {element.text.split()[0]: int(element.get("y")) for element in named}
    assert sorted(heights, key=heights.__getitem__) == ["Brussels", "Wallonia", "Flanders", "Belgium"]
    ordered = sorted(heights.values())
    assert min(b - a for a, b in pairwise(ordered)) >= 8


def test_nothing_to_draw_is_said():
    assert plots.lines("t", {}, UNIT).md_str == "(no year yet)"
    assert plots.lines("t", {"a": []}, UNIT).md_str == "(no year yet)"


def test_bars_are_as_high_as_the_values():
    plot = plots.bars("Patients by number of forfaits, %", {"0": 0.0, "1": 25.0, "2": 50.0})
    (path,) = [path.get("d") for path in picture(plot).iter(f"{SVG}path")]
    heights = [int(height) for height in re.findall(r"v-(\d+)", path)]
    assert len(heights) == 2
    assert heights[1] == 2 * heights[0]
    assert texts(plot) == ["00125250"]  # label and value of each bar, each character at its own place
    (text,) = picture(plot).iter(f"{SVG}text")
    assert len(text.get("x").split(",")) == len(text.get("y").split(",")) == 8


@given(
    values=st.lists(st.floats(0, 100) | st.sampled_from([0.0, 1e-5, 0.004, 9.95, 99.99]), max_size=13),
    years=st.booleans(),
)
def test_bars_always_fit(values, years):
    values = values[:10] if years else values
    labels = [str(2015 + i if years else i) for i in range(len(values))]
    title = "Quarantined rows, % of delivered"
    plot = plots.bars(title, dict(zip(labels, values, strict=True)))
    assert len(plot.md_str) <= plots.SHOWN_IN_PLACE
    picture(plot)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.00001, "0.00"), (0.0215, "0.02"), (2.04, "2.0"), (9.94, "9.9"), (9.96, "10"), (71.3, "71")],
)
def test_values_are_short(value, shown):
    assert plots._short(value) == shown
