"""The picture: CPU per line, one row for each server, one panel of bars for each depth.

Bars start at zero and each panel has its own scale, so within a panel lengths can be compared by
eye. The background is clear and the colours are of middling lightness: it reads on a light page
and on a dark one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 960
NAMES = 210
TOP = 84
ROW = 30
BAR = 18
LABEL = 56
GAP = 14

TEXT = "#6e7781"
PEER = "#8c9aa9"
OURS = "#e8590c"


@dataclass(frozen=True)
class Row:
    """One server.

    Args:
        title: its name.
        values: for each panel; None where there is no figure.
        ours: whether to highlight it.
    """

    title: str
    values: Sequence[float | None]
    ours: bool = False


def draw(title: str, note: str, panels: Sequence[str], rows: Sequence[Row]) -> str:
    """An SVG document.

    Args:
        title: above all.
        note: below all, in small.
        panels: the title of each panel.
        rows: the servers, from top to bottom.
    """
    height = TOP + ROW * len(rows) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" font-family="system-ui, sans-serif">',
        f"<title>{escape(title)}</title>",
        _text(0, 26, title, size=20, bold=True),
    ]
    width = (WIDTH - NAMES) / len(panels)
    for number, panel in enumerate(panels):
        parts.append(_text(NAMES + number * width, TOP - 18, panel, bold=True))
        parts.extend(_panel(number, NAMES + number * width, width - LABEL - GAP, rows))
    for number, row in enumerate(rows):
        colour = OURS if row.ours else TEXT
        middle = TOP + number * ROW + BAR - 4
        parts.append(_text(NAMES - 12, middle, row.title, colour=colour, bold=row.ours, end=True))
    parts.append(_text(0, height - 10, note, size=12))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(number: int, left: float, longest: float, rows: Sequence[Row]) -> Iterator[str]:
    most = max((row.values[number] or 0.0 for row in rows), default=0.0) or 1.0
    for place, row in enumerate(rows):
        value = row.values[number]
        top = TOP + place * ROW
        if value is None:
            yield _text(left, top + BAR - 4, "no figure", size=12)
            continue
        width = max(1.0, longest * max(value, 0.0) / most)
        colour = OURS if row.ours else PEER
        yield (
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" '
            f'fill="{colour}"/>'
        )
        yield _text(
            left + width + 6,
            top + BAR - 4,
            f"{value:.2f}" if value < 10 else f"{value:.1f}",
            colour=OURS if row.ours else TEXT,
            bold=row.ours,
        )


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 14,
    colour: str = TEXT,
    bold: bool = False,
    end: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{weight}{anchor}>'
        f"{escape(words)}</text>"
    )
