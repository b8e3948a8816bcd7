"""The picture of a load: how long an answer takes, from the fastest to the slowest; pure.

Each step to the right is ten times as rare: half of the way to the first mark are nine answers
of ten, then 99 of a hundred, and so on. The background is clear and the colours are of middling
lightness: it reads on a light page and on a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from twisted_sock.bench.histogram import Histogram
from twisted_sock.bench.report import milliseconds

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 76, 92, 124, 396
PLOT = WIDTH - LEFT - RIGHT

TEXT = "#727c87"
GRID = "#8c9aa9"
CURVE = "#e8590c"

#: Marks on the x axis: percentiles.
MARKS = (0, 50, 90, 99, 99.9, 99.99, 99.999)
#: Percentiles whose values stand beside the curve.
LABELLED = (50, 90, 99, 99.9)

#: From here on the curve may be steep, so a value stands at the left of its dot.
STEEP = 99
#: Pixels that a value is wide.
LABEL = 72
#: Powers of ten that the x axis shows at most.
NINES = 5.0

#: Pixels that a step of the curve is at least worth.
FINE = 0.25

Point = tuple[float, float]


def picture(title: str, notes: Sequence[str], latency: Histogram) -> str:
    """The SVG document.

    Args:
        title: above all.
        notes: lines below that, in small.
        latency: at least one time.
    """
    return "\n".join([*_parts(title, notes, latency), "</svg>"]) + "\n"


def _parts(title: str, notes: Sequence[str], latency: Histogram) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="system-ui, sans-serif">'
    )
    yield f"<title>{_safe(title)}</title>"
    yield _text(LEFT, 26, title, size=18, bold=True)
    for number, note in enumerate(notes):
        yield _text(LEFT, 46 + 17 * number, note, size=12)
    axes = Axes(latency)
    yield from _grid(axes)
    points = list(_curve(axes, latency))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield (
        f'<polygon points="{LEFT},{BOTTOM} {line} {points[-1][0]:.1f},{BOTTOM}" '
        f'fill="{CURVE}" fill-opacity="0.12"/>'
    )
    yield (
        f'<polyline points="{line}" fill="none" stroke="{CURVE}" stroke-width="2.5" '
        'stroke-linejoin="round"/>'
    )
    yield from _labels(axes, latency)


class Axes:
    """Where a percentile and a time are in the picture.

    Args:
        latency: the times.

    Attributes:
        nines: where the x axis ends, in powers of ten.
        marks: the times, in milliseconds, that have a line of their own.
    """

    def __init__(self, latency: Histogram) -> None:
        self.nines = max(1.0, min(math.log10(max(1, latency.count)), NINES))
        self.marks = nice(latency.greatest * 1000)

    def x(self, share: float) -> float:
        """Where so many percent of the answers end."""
        rare = 1 - share / 100
        nines = self.nines if rare <= 10**-self.nines else -math.log10(rare)
        return LEFT + PLOT * nines / self.nines

    def y(self, seconds: float) -> float:
        """Where a time is."""
        return BOTTOM - (BOTTOM - TOP) * seconds * 1000 / self.marks[-1]


def nice(most: float) -> list[float]:
    """Round numbers from 0 on, four to eight of them, the last not below `most`."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-6) / 4))
    step = next(power * each for each in (1, 2, 5, 10) if power * each * 6 >= most)
    return [step * number for number in range(max(1, math.ceil(round(most / step, 6))) + 1)]


def _grid(axes: Axes) -> Iterator[str]:
    for mark in axes.marks:
        y = axes.y(mark / 1000)
        yield _line(LEFT, y, LEFT + PLOT, y, faint=mark > 0)
        yield _text(LEFT - 10, y + 4, f"{mark:,.10g}", size=12, anchor="end")
    yield _text(LEFT - 10, TOP - 14, "ms", size=12, anchor="end")
    for mark in MARKS:
        if mark == 0 or -math.log10(1 - mark / 100) <= axes.nines + 1e-9:
            x = axes.x(mark)
            yield _line(x, BOTTOM, x, BOTTOM + 6)
            yield _text(x, BOTTOM + 22, f"{mark:g}", size=12, anchor="middle")
    middle = LEFT + PLOT / 2
    yield _text(middle, BOTTOM + 46, "percent of answers that took no longer", anchor="middle")


def _curve(axes: Axes, latency: Histogram) -> Iterator[Point]:
    """The points of the curve, without those that nobody could tell from the one before."""
    last: Point = LEFT, axes.y(latency.least)
    yield last
    for seconds, so_far in latency.cumulated():
        point = axes.x(100 * so_far / latency.count), axes.y(seconds)
        if abs(point[0] - last[0]) + abs(point[1] - last[1]) > FINE:
            last = point
            yield point
    yield LEFT + PLOT, axes.y(latency.greatest)


def _labels(axes: Axes, latency: Histogram) -> Iterator[str]:
    """Dots on the curve, with what they stand for; none where they would cover each other."""
    end = axes.y(latency.greatest)
    yield _dot(LEFT + PLOT, end)
    yield _text(LEFT + PLOT + 10, end - 2, "max", size=12)
    yield _text(LEFT + PLOT + 10, end + 14, f"{milliseconds(latency.greatest)} ms", bold=True)
    free = LEFT + PLOT - 8.0
    for percent in reversed(LABELLED):
        seconds = latency.percentile(percent)
        x, y = axes.x(percent), axes.y(seconds)
        left = x - LABEL - 8 if percent >= STEEP else x - LABEL / 2
        if left + LABEL <= free:
            free = left
            yield _dot(x, y)
            yield _text(left + LABEL / 2, y - 32, f"p{percent:g}", size=12, anchor="middle")
            words = f"{milliseconds(seconds)} ms"
            yield _text(left + LABEL / 2, y - 16, words, bold=True, anchor="middle")


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{CURVE}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, *, faint: bool = False) -> str:
    opacity = ' stroke-opacity="0.3"' if faint else ""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" '
        f'stroke="{GRID}" stroke-width="1"{opacity}/>'
    )


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 13,
    bold: bool = False,
    anchor: str = "start",
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{TEXT}" '
        f'text-anchor="{anchor}"{weight}>{_safe(words)}</text>'
    )


def _safe(words: str) -> str:
    """Words as XML can hold them."""
    return escape("".join(each if each.isprintable() else "\ufffd" for each in words))
