"""Small plots for the UI: an SVG image inside Markdown. They show shares and rates, never a small number of people.

The UI shows Markdown of less than 1000 characters where it stands and hides longer one behind a link; it drops raw HTML
and SVG, but shows an image from a ``data:`` address. So every character counts here: whole-number coordinates on a
coarse grid, one path a line, text in one element where it can be.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, pairwise

import dagster as dg

SHOWN_IN_PLACE = 999
"""Longest Markdown that the UI shows without a click."""

_WIDTH, _HEIGHT = 280, 92
_LEFT, _TOP, _FLOOR = 4, 12, 80
_RIGHT_OF_LINES = 84
"""Room for the names at the end of the lines."""
_DIGIT = 4
"""Width of a character: the font is 7 high and monospaced."""
_COLOURS = ("#07b", "#e90", "#097", "#c7a", "#5be", "#d50")  # near Okabe-Ito, safe for colour-blind eyes


def bars(title: str, values: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """One bar per label; the unit belongs into the title."""
    top = max(values.values(), default=0) or 1
    width = (_WIDTH - 2 * _LEFT) // max(len(values), 1)
    strokes, texts = [], []
    for i, (label, value) in enumerate(values.items()):
        middle, height = _LEFT + i * width + width // 2, round((_FLOOR - _TOP) * value / top)
        strokes.append(f"M{middle},{_FLOOR}v-{height}" if height else "")
        texts.append((middle, _FLOOR + 9, label))
        texts.append((middle, _FLOOR - height - 2, _short(value)))
    content = f"<path d='{''.join(strokes)}' stroke='#07b' stroke-width='{max(width - 4, 1)}'/>"
    return dg.MetadataValue.md(_image(title, content + _characters(texts)))


def _short(value: float) -> str:
    """At most four characters up to 9999; a zero is a true zero."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def lines(title: str, series: Mapping[str, Sequence[tuple[int, float]]], unit: str) -> dg.MarkdownMetadataValue:
    """One line per series of (year, value in ``unit``), ending in its name and newest value.

    A line is broken where a year is missing. With very many years every second (third, ...) one is drawn, counted
    from the newest.
    """
    years = {year for line in series.values() for year, _ in line}
    if not years:
        return dg.MetadataValue.md("(no year yet)")
    for every in range(1, max(len(years), 2)):
        chosen = {year for year in years if (max(years) - year) % every == 0}
        thinned = {name: [point for point in line if point[0] in chosen] for name, line in series.items()}
        plot = _lines(f"{title}, {unit}", thinned, years, every)
        if len(plot) <= SHOWN_IN_PLACE:
            break
    return dg.MetadataValue.md(plot)


def _lines(title: str, series: Mapping[str, Sequence[tuple[int, float]]], years: set[int], every: int) -> str:
    first, last = min(years), max(years)
    top = max((value for line in series.values() for _, value in line), default=0) or 1
    step = (_WIDTH - _LEFT - _RIGHT_OF_LINES) // max(last - first, 1)

    def x(year: int) -> int:
        return _LEFT + (year - first) * step

    def y(value: float) -> int:
        return _FLOOR - round((_FLOOR - _TOP) * value / top)

    paths, texts = [f"<path d='M{_LEFT},{_FLOOR}H{x(last)}' stroke='#ccc'/>"], []
    drawable = {name: line for name, line in series.items() if line}
    ends = _spread({name: (y(line[-1][1]), -line[-1][1]) for name, line in drawable.items()})
    for colour, (name, line) in zip(cycle(_COLOURS), drawable.items(), strict=False):
        drawn = ""
        for run in _unbroken(line, every):
            drawn += f"M{x(run[0][0])},{y(run[0][1])}" + ("h2" if len(run) == 1 else "")
            for (before, then), (year, now) in pairwise(run):
                across, down = x(year) - x(before), y(now) - y(then)
                drawn += f"l{across},{down}" if down > 0 else f"l{across}{down}" if down else f"h{across}"
        paths.append(f"<path d='{drawn}' stroke='{colour}'/>")
        texts.append(f"<text x='{x(line[-1][0]) + 3}' y='{ends[name] + 2}'>{name} {line[-1][1]:.0f}</text>")
    edges = sorted({first, last})
    texts.append(_characters((x(year) + 2 * _DIGIT, _FLOOR + 9, str(year)) for year in edges))
    return _image(title, f"<g fill='none'>{''.join(paths)}</g>{''.join(texts)}")


def _unbroken(line: Sequence[tuple[int, float]], every: int) -> list[list[tuple[int, float]]]:
    """The line in pieces without a missing year."""
    pieces: list[list[tuple[int, float]]] = []
    for point in line:
        if not pieces or point[0] - pieces[-1][-1][0] > every:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _spread(positions: Mapping[str, tuple[int, float]], apart: int = 8) -> dict[str, int]:
    """Heights of labels, moved down where they would lie on each other; at the same height in the order of the second."""
    spread: dict[str, int] = {}
    lowest = -apart
    for name in sorted(positions, key=lambda name: positions[name]):
        spread[name] = lowest = max(positions[name][0], lowest + apart)
    return spread


def _characters(texts: Iterable[tuple[int, int, str]]) -> str:
    """Short texts centred at (x, y), in one element: SVG takes a place for each character."""
    places = [
        (x + round(_DIGIT * (i - len(text) / 2)), y, character)
        for x, y, text in texts
        for i, character in enumerate(text)
    ]
    xs, ys = ([place[axis] for place in places] for axis in (0, 1))
    x, y = (",".join(map(str, numbers)) for numbers in (xs, ys[:1] if len(set(ys)) == 1 else ys))
    return f"<text x='{x}' y='{y}'>{''.join(place[2] for place in places)}</text>"


def _image(title: str, content: str) -> str:
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0,0,{_WIDTH},{_HEIGHT}' width='{2 * _WIDTH}' font-size='7' "
        f"font-family='monospace'>{content}</svg>"
    )
    # As a Markdown address: no blank, and nothing that a browser takes for the end of the data.
    address = svg.replace("%", "%25").replace("#", "%23").replace(" ", "%20")
    return f"{title}\n\n![](data:image/svg+xml,{address})"
