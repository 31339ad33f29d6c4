"""Small plots for the UI: inline SVG inside Markdown. They show shares and rates, never a small number of people."""

import base64
from collections.abc import Mapping, Sequence

import dagster as dg

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 170, 42, 22, 12
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe-Ito, safe for colour-blind eyes


def bars(title: str, values: Mapping[str, float], unit: str = "%") -> dg.MarkdownMetadataValue:
    """One bar per label; values in ``unit``."""
    top = max(values.values(), default=0) or 1
    width = (_WIDTH - _LEFT - 8) / max(len(values), 1)
    parts = []
    for i, (label, value) in enumerate(values.items()):
        height = (_HEIGHT - _TOP - _BOTTOM - 14) * value / top
        x, y = _LEFT + i * width, _HEIGHT - _BOTTOM - height
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{width - 4:.1f}" height="{height:.1f}" fill="#0072b2"/>'
        )
        parts.append(_text(x + width / 2, _HEIGHT - 8, label, "middle"))
        parts.append(_text(x + width / 2, y - 3, f"{value:.3g}", "middle", 9))
    parts.append(_text(2, _TOP + 12, unit))
    return _markdown(title, "".join(parts))


def lines(title: str, series: Mapping[str, Sequence[tuple[int, float]]], unit: str) -> dg.MarkdownMetadataValue:
    """One line per series of (year, value); values in ``unit``."""
    points = [point for line in series.values() for point in line]
    if not points:
        return dg.MetadataValue.md("(no year yet)")
    first, last = min(year for year, _ in points), max(year for year, _ in points)
    top = max(value for _, value in points) or 1
    right = 96

    def x(year: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - right) * ((year - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM - 6) * value / top

    parts = []
    for value in (0, top / 2, top):
        parts.append(f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - right}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 4, y(value) + 4, f"{value:.0f}", "end"))
    label_y = _spread({name: y(line[-1][1]) for name, line in series.items() if line})
    for i, (name, line) in enumerate(series.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        path = " ".join(f"{x(year):.1f},{y(value):.1f}" for year, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(year):.1f}" cy="{y(value):.1f}" r="2" fill="{colour}"/>' for year, value in line]
        if line:
            parts.append(_text(x(line[-1][0]) + 6, label_y[name] + 4, name, colour=colour))
    parts += [_text(x(first), _HEIGHT - 6, str(first), "middle"), _text(x(last), _HEIGHT - 6, str(last), "middle")]
    return _markdown(f"{title} ({unit})", "".join(parts))


def _spread(positions: Mapping[str, float], apart: float = 12) -> dict[str, float]:
    """Heights of labels, moved down where they would lie on each other."""
    spread: dict[str, float] = {}
    lowest = float("-inf")
    for name in sorted(positions, key=lambda name: positions[name]):
        spread[name] = lowest = max(positions[name], lowest + apart)
    return spread


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 10, colour: str = "#555") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def _markdown(title: str, content: str) -> dg.MarkdownMetadataValue:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" role="img" aria-label="{title}"><rect width="100%" height="100%" fill="#fff"/>'
        f"{content}</svg>"
    )
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")
