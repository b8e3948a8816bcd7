"""The picture: CPU per line, one row for each server, one panel of bars for each depth.

Scales are linear. Bars start at zero and each panel has its own scale, so within a panel lengths
can be compared by eye. The background is clear and the colours are of middling lightness: it
reads on a light page and on a dark one. Widths leave room for the widest of usual fonts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import geometric_mean

from benchmarks.registry import OURS, TITLES
from benchmarks.results import CPU, Section, short

MARGIN = 8
NAMES = 226
PANEL = 256
TOP = 104
ROW = 30
BAR = 18
LABEL = 76
FOOT = 64

TEXT = "#727c87"
PEER = "#8c9aa9"
LINE = "#8c9aa9"
MINE = "#e8590c"


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


@dataclass(frozen=True)
class Panel:
    """One group of bars.

    Args:
        title: above it.
        subtitle: below that, in small.
    """

    title: str
    subtitle: str


def picture(section: Section) -> str:
    """The SVG document of the throughput section."""
    depths: Sequence[int] = section.plan["depths"]
    rows = []
    for name, title in TITLES.items():
        values = [section.median(f"depth {depth}", name, CPU) for depth in depths]
        if any(value is not None for value in values):
            rows.append(Row(title, values, name == OURS.name))
    rows.sort(key=_overall)
    notes = (
        "Linear scales from zero, one for each panel: compare bars within a panel, not across.",
        f"Load: redis-benchmark's inline PING on {section.plan['clients']} connections; "
        "each server has one core. Median of rounds.",
    )
    title = "CPU time that a server needs for one line: shorter is better"
    return draw(title, notes, [_panel_of(depth) for depth in depths], rows)


def draw(title: str, notes: Sequence[str], panels: Sequence[Panel], rows: Sequence[Row]) -> str:
    """An SVG document.

    Args:
        title: above all.
        notes: lines below all, in small.
        panels: from left to right.
        rows: the servers, from top to bottom.
    """
    height = TOP + ROW * len(rows) + FOOT
    bars = PANEL * max(3, len(panels))  # fewer are drawn wider, for the sake of the title
    whole = NAMES + bars + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {height}" '
        f'width="{whole}" height="{height}" role="img" font-family="system-ui, sans-serif">',
        f"<title>{escape(title)}</title>",
        _text(MARGIN, 28, title, size=19, bold=True),
    ]
    width = bars / len(panels)
    for number, panel in enumerate(panels):
        left = NAMES + number * width
        parts.append(_text(left, TOP - 40, panel.title, size=15, bold=True))
        parts.append(_text(left, TOP - 22, panel.subtitle, size=12))
        parts.extend(_bars(number, left, width - LABEL, rows))
    for number, row in enumerate(rows):
        colour = MINE if row.ours else TEXT
        middle = TOP + number * ROW + BAR - 4
        parts.append(_text(NAMES - 12, middle, row.title, colour=colour, bold=row.ours, end=True))
    for number, note in enumerate(notes):
        parts.append(_text(MARGIN, height - FOOT + 30 + 18 * number, note, size=12))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel_of(depth: int) -> Panel:
    lines = "one line" if depth == 1 else f"{depth} lines"
    return Panel(f"depth {depth}, µs per line", f"{lines} in flight per connection")


def _overall(row: Row) -> float:
    """The mean that gives each depth the same weight, whatever its scale."""
    return geometric_mean(max(value, 0.001) for value in row.values if value is not None)


def _bars(number: int, left: float, longest: float, rows: Sequence[Row]) -> Iterator[str]:
    """The bars of one panel, their figures, and the line where they all begin."""
    most = max((row.values[number] or 0.0 for row in rows), default=0.0) or 1.0
    for place, row in enumerate(rows):
        value = row.values[number]
        top = TOP + place * ROW
        if value is None:
            yield _text(left + 6, top + BAR - 4, "no figure", size=12)
            continue
        width = max(1.5, longest * max(value, 0.0) / most)
        yield (
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" '
            f'fill="{MINE if row.ours else PEER}"/>'
        )
        colour = MINE if row.ours else TEXT
        yield _text(left + width + 6, top + BAR - 4, short(value), colour=colour, bold=row.ours)
    bottom = TOP + ROW * len(rows) - 6
    yield (
        f'<line x1="{left:.1f}" y1="{TOP - 6}" x2="{left:.1f}" y2="{bottom}" '
        f'stroke="{LINE}" stroke-width="1"/>'
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
