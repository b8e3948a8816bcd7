"""What a load met with, in words: a table, a line while it runs, and JSON; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from twisted_sock.bench.plan import Plan
from twisted_sock.bench.tally import Tally
from twisted_sock.display import one_line

#: The percentiles that are told.
PERCENTILES = (50, 90, 99, 99.9)

#: Columns of the table.
WIDTH = 80
NAMES = 22
FIGURES = 14

#: Reasons that the table has room for.
REASONS = 8

#: The kinds of errors: the tally's name, and what the table calls them.
ERRORS = {
    "wrong": "wrong answers",
    "lost": "lines not answered",
    "unsent": "lines not sent in time",
    "refused": "connections refused",
    "broken": "connections lost",
}


def headline(plan: Plan) -> str:
    """What was done, in a line."""
    several = "s" if plan.connections > 1 else ""
    connections = f"{plan.connections:,} connection{several}"
    if plan.rate:
        rate = f"{plan.rate:,g} lines/s"
        return f"{connections}, open loop, {rate}, up to {plan.most:,} in flight on each"
    return f"{connections}, closed loop, {plan.most:,} in flight on each"


def figures(tally: Tally) -> dict[str, float]:
    """The latencies that are told, by name, in seconds."""
    latency = tally.latency
    named = {f"p{each:g}": latency.percentile(each) for each in PERCENTILES}
    return {"min": latency.least, **named, "max": latency.greatest, "mean": latency.mean}


def table(endpoint: str, plan: Plan, tally: Tally) -> str:
    """The report for people."""
    return "\n".join(one_line_each(_lines(endpoint, plan, tally)))


def one_line_each(lines: Iterator[str]) -> Iterator[str]:
    """Each line cut to the width of the table."""
    for line in lines:
        yield line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _lines(endpoint: str, plan: Plan, tally: Tally) -> Iterator[str]:
    yield one_line(endpoint)
    yield headline(plan)
    yield "interrupted: what was measured so far\n" if tally.interrupted else ""
    yield _row("right answers", f"{tally.right:,}", f"in {tally.seconds:.2f} s")
    yield _row("per second", f"{tally.rate:,.0f}")
    for name, size in (("bytes sent", tally.bytes_out), ("bytes received", tally.bytes_in)):
        yield _row(name, f"{size:,}")
    if plan.rate:
        yield _row("most lines waiting", f"{tally.waiting:,}", "due, and no room to send them")
    yield _row("errors", f"{tally.errors:,}")
    for name, words in ERRORS.items():
        if getattr(tally, name):
            yield _row(f"  {words}", f"{getattr(tally, name):,}")
    yield ""
    yield _row("latency", "ms")
    for name, seconds in figures(tally).items():
        yield _row(f"  {name}", milliseconds(seconds))
    if tally.reasons:
        yield "\nwhat was said of errors"
        for why, count in tally.reasons.most_common(REASONS):
            yield f"{count:8,}  {one_line(why)}"


def _row(name: str, figure: str, remark: str = "") -> str:
    return f"{name:{NAMES}}{figure:>{FIGURES}}  {remark}".rstrip()


def milliseconds(seconds: float) -> str:
    """A time in milliseconds, with three digits that mean something."""
    value = seconds * 1000
    places = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{places}f}"


def progress(phase: str, plan: Plan, tally: Tally, elapsed: float, rate: float) -> str:
    """A line while it runs.

    Args:
        phase: what is being done.
        plan: what is to be done.
        tally: what was met with so far.
        elapsed: seconds since the phase began.
        rate: right answers per second, lately.
    """
    parts = [f"{phase} {elapsed:.1f} s", f"{tally.right:,} right", f"{rate:,.0f}/s"]
    parts.append(f"p99 {milliseconds(tally.latency.percentile(99))} ms")
    if tally.errors:
        parts.append(f"{tally.errors:,} errors")
    return "  ".join(parts)[: WIDTH - 1]


def as_json(endpoint: str, plan: Plan, tally: Tally) -> dict[str, Any]:
    """The report for programs."""
    return {
        "endpoint": endpoint,
        "plan": asdict(plan) | {"depth": plan.most},
        "interrupted": tally.interrupted,
        "seconds": tally.seconds,
        "right_answers": tally.right,
        "right_answers_per_second": tally.rate,
        "bytes_sent": tally.bytes_out,
        "bytes_received": tally.bytes_in,
        "most_lines_waiting": tally.waiting,
        "errors": {"all": tally.errors} | {name: getattr(tally, name) for name in ERRORS},
        "reasons": dict(tally.reasons),
        "latency_ms": {name: seconds * 1000 for name, seconds in figures(tally).items()},
    }
