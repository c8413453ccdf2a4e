"""Two kinds of plots as SVG text: grouped bars and lines; so little that no plotting library is needed."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#0b6e4f", "#9a9a9a", "#c8553d", "#e0a030", "#4a6fa5", "#7d4f94")
_WIDTH, _LEFT, _RIGHT, _TOP = 760, 190, 90, 56
_BAR, _GAP = 15, 14
_HEIGHT = 300


def bars(title: str, groups: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Horizontal bars, a group for each key; the text at each says its value.

    Args:
        groups: values by series, by group; a series that a group lacks has no bar there.
        unit: behind each value.
    """
    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    largest = max((value for values in groups.values() for value in values.values()), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / largest
    parts, y = _legend(series), _TOP
    for group, values in groups.items():
        middle = y + _BAR * len(values) / 2 + 4
        parts.append(_text(_LEFT - 8, middle, group, "end"))
        for name, value in values.items():
            colour = COLOURS[series.index(name) % len(COLOURS)]
            parts.append(
                f'<rect x="{_LEFT}" y="{y}" width="{value * scale:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
            )
            parts.append(
                _text(_LEFT + value * scale + 5, y + _BAR - 4, f"{value:.2f} {unit}".strip(), "start")
            )
            y += _BAR
        y += _GAP
    return _document(title, parts, y)


def lines(title: str, points: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> str:
    """One line for each series over the same points, from zero up.

    Args:
        points: names along the bottom.
        series: as many values each, or fewer.
        unit: of the values.
    """
    largest = max((value for values in series.values() for value in values), default=1.0) or 1.0
    bottom, left = _TOP + _HEIGHT, 70
    across = (_WIDTH - left - 30) / max(len(points) - 1, 1)
    parts = _legend(list(series))
    for part in range(5):
        y = bottom - _HEIGHT * part / 4
        parts.append(f'<line x1="{left}" y1="{y}" x2="{_WIDTH - 30}" y2="{y}" stroke="#ddd"/>')
        parts.append(_text(left - 8, y + 4, f"{largest * part / 4:,.0f} {unit}", "end"))
    for number, point in enumerate(points):
        parts.append(_text(left + across * number, bottom + 18, point, "middle"))
    for number, values in enumerate(series.values()):
        colour = COLOURS[number % len(COLOURS)]
        at = [(left + across * n, bottom - _HEIGHT * value / largest) for n, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
    return _document(title, parts, bottom + 34)


def _legend(series: Sequence[str]) -> list[str]:
    parts, x = [], 12.0
    for number, name in enumerate(series):
        parts.append(
            f'<rect x="{x:.0f}" y="32" width="11" height="11" fill="{COLOURS[number % len(COLOURS)]}"/>'
        )
        parts.append(_text(x + 16, 42, name, "start"))
        x += 36 + 7 * len(name)
    return parts


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _document(title: str, parts: Sequence[str], height: float) -> str:
    size = f'width="{_WIDTH}" height="{height:.0f}"'
    box = f'viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif" font-size="12" fill="#222"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}>',
        f"<title>{escape(title)}</title>",
        f'<rect {size} fill="#fff"/>',
        f'<text x="12" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])
