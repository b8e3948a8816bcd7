"""The results for people: tables in Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.mock import CASES
from benchmarks.registry import ECHO, MOCK, OURS, TITLES
from benchmarks.results import (
    CPU,
    LATE_MOST,
    LATE_P50,
    LATE_P99,
    MOST,
    P50,
    P99,
    RATE,
    RSS,
    Section,
    short,
)

#: Peers that ours is compared with, in CPU per line.
RIVALS = ("redis", "line-only", "uvloop")

FIGURES = (
    "Medians; in brackets the lowest and the highest, where a case was measured more than once. "
    "CPU is the server's, in the kernel too, without what opening connections costs."
)
ACROSS = "Sections are of different runs: compare only figures of the same one."
NOTES = {
    "throughput": "{clients} connections, redis-benchmark's inline PING; depth: lines that a "
    "connection sends before it waits. Latency is that of a batch's first answer.",
    "connections": "All active, depth 1, redis-benchmark's inline PING.",
    "async": "Ours, with a handler that is a coroutine; otherwise as in throughput.",
    "length": "Each line echoed; {clients} connections, depth {length_depth}, our own load.",
    "websocket": "Each message of 32 bytes echoed; {clients} connections, our own load; depth: "
    "messages that a connection sends before it waits. Ours at `ws:`, HTTP and all.",
    "mock": "A script of 20 rules (2 whole lines, 8 prefixes, 10 regular expressions) beside an "
    "echo, given the same lines; {clients} connections, depth 16, our own load.",
    "memory": "Each said one line and heard its answer; read when the server has given no memory "
    "back for {settle:g} s, or after 20 s.",
    "fairness": "None, one or many connections flood the server: one alone never waits for "
    "answers, each of many sends {floods[2][1]} lines and waits for theirs. Meanwhile a timer of "
    "10 ms in the server notes how late it fires, and another connection, which says a line "
    "every 10 ms, how long it waits for the answer. Maxima are those of all rounds.",
}

Cell = Callable[[str, str], str]


def markdown(sections: Mapping[str, Section], facts: Mapping[str, str]) -> str:
    """All tables.

    Args:
        sections: by name.
        facts: about the machine.
    """
    parts = ["; ".join(f"{name}: {fact}" for name, fact in facts.items()), FIGURES]
    if len({section.date for section in sections.values()}) > 1:
        parts.append(ACROSS)
    for section in sections.values():
        parts.append(f"## {section.name.capitalize()}\n\n{_note(section)}")
        parts.extend(_TABLES[section.name](section))
    return "\n\n".join(parts) + "\n"


def _note(section: Section) -> str:
    """How it was measured, when, and who failed."""
    note = NOTES[section.name].format(**section.plan)
    failed = "".join(f" {TITLES[name]} failed." for name in section.failed)
    return f"{note} Measured {section.date}.{failed}"


def facts() -> dict[str, str]:
    """What the figures depend on: the processor, the kernel, the versions."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "Python": platform.python_version(),
    }
    for package in ("Twisted", "uvloop"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for name, command, word in (
        ("Redis", ["redis-server", "--version"], 2),
        ("Go", ["go", "version"], 2),
    ):
        words = _output(command).split()
        if len(words) > word:
            found[name] = words[word].removeprefix("v=").removeprefix("go")
    return found


def _throughput(section: Section) -> Iterator[str]:
    yield from _speed(section)
    rows = _rows(section)
    if OURS.name in rows and any(rival in rows for rival in RIVALS):
        rivals = [rival for rival in RIVALS if rival in rows]
        yield _ratios(section, OURS.name, rivals, _cases(section))


def _speed(section: Section) -> Iterator[str]:
    yield _table("CPU µs per line", section, _cpu(section))
    yield _table("lines per second", section, _number(section, RATE, ",.0f"))
    yield _table("latency, p50 / p99 ms", section, _several(section, P50, P99))


def _connections(section: Section) -> Iterator[str]:
    yield _table("CPU µs per line, by connections", section, _cpu(section))
    cases = _cases(section)
    if len(cases) > 1:
        yield _growth(section, *cases[-2:])
    yield _table("latency, p50 / p99 ms, by connections", section, _several(section, P50, P99))


def _length(section: Section) -> Iterator[str]:
    for text in ("ASCII", "Chinese"):
        cases = [case for case in _cases(section) if case.endswith(text)]
        yield _table(f"CPU µs per line, {text}", section, _cpu(section), cases, f" {text}")


def _websocket(section: Section) -> Iterator[str]:
    yield _table("CPU µs per message", section, _cpu(section))
    yield _table("messages per second", section, _number(section, RATE, ",.0f"))


def _mock(section: Section) -> Iterator[str]:
    cases = [case for case in CASES if case in _cases(section)]
    yield _table("CPU µs per line", section, _cpu(section), cases)
    yield _ratios(section, ECHO.name, [MOCK.name], cases)


def _memory(section: Section) -> Iterator[str]:
    yield _table("RSS per idle connection, bytes", section, _number(section, RSS, ",.0f"))


def _fairness(section: Section) -> Iterator[str]:
    late = _several(section, LATE_P50, LATE_P99, LATE_MOST)
    yield _table("timer late, p50 / p99 / max ms, by flooding connections", section, late)
    waits = _several(section, P50, P99, MOST)
    yield _table("a line's wait, p50 / p99 / max ms, by flooding connections", section, waits)
    rate = _number(section, RATE, ",.0f")
    yield _table("lines per second meanwhile, by flooding connections", section, rate)


_TABLES: dict[str, Callable[[Section], Iterator[str]]] = {
    "throughput": _throughput,
    "connections": _connections,
    "async": _speed,
    "length": _length,
    "websocket": _websocket,
    "mock": _mock,
    "memory": _memory,
    "fairness": _fairness,
}


def _table(
    title: str,
    section: Section,
    cell: Cell,
    cases: Sequence[str] | None = None,
    understood: str = "",
) -> str:
    """One row for each server, one column for each case.

    Args:
        title: above the servers.
        section: what it is about.
        cell: gives a figure for a case and a server.
        cases: the columns; all of the section's if left out.
        understood: the end of the cases' names, which the title says already.
    """
    cases = _cases(section) if cases is None else cases
    rows = [[_title(server), *(cell(case, server) for case in cases)] for server in _rows(section)]
    return _grid([title, *(case.removesuffix(understood) for case in cases)], rows)


def _ratios(section: Section, one: str, others: Sequence[str], cases: Sequence[str]) -> str:
    """What one server needs for a line, as a part of what others need."""
    rows = []
    for other in others:
        row = [f"{TITLES[one]} / {TITLES[other]}"]
        for case in cases:
            mine = section.median(case, one, CPU)
            theirs = section.median(case, other, CPU)
            row.append(f"{mine / theirs:.2f}" if mine and theirs else "-")
        rows.append(row)
    return _grid(["ratio of CPU per line", *cases], rows)


def _growth(section: Section, fewer: str, more: str) -> str:
    rows = []
    for server in _rows(section):
        before = section.median(fewer, server, CPU)
        after = section.median(more, server, CPU)
        if before and after:
            rows.append([_title(server), f"{after / before - 1:+.0%}"])
    return _grid(["growth of CPU per line", f"{fewer} to {more} connections"], rows)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cpu(section: Section) -> Cell:
    def cell(case: str, server: str) -> str:
        values = section.values(case, server, CPU)
        if not values:
            return "-"
        middle = short(section.median(case, server, CPU) or 0.0)
        if len(values) == 1:
            return middle
        return f"{middle} ({short(values[0])}-{short(values[-1])})"

    return cell


def _number(section: Section, name: str, form: str) -> Cell:
    def cell(case: str, server: str) -> str:
        value = section.median(case, server, name)
        return "-" if value is None else format(value, form)

    return cell


def _several(section: Section, *names: str) -> Cell:
    """Times in ms, side by side: medians of percentiles, the highest of maxima."""

    def one(case: str, server: str, name: str) -> str:
        values = section.values(case, server, name)
        if not values:
            return "-"
        middle = section.median(case, server, name) or 0.0
        return _milliseconds(values[-1] if name in (MOST, LATE_MOST) else middle)

    return lambda case, server: " / ".join(one(case, server, name) for name in names)


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _rows(section: Section) -> list[str]:
    """The servers of a section, in the order of the registry."""
    seen = {sample.server for sample in section.samples}
    return [name for name in TITLES if name in seen]


def _cases(section: Section) -> list[str]:
    """The cases of a section, smallest first."""
    seen = {sample.case for sample in section.samples}
    return sorted(seen, key=lambda case: int("0" + "".join(filter(str.isdigit, case))))


def _title(server: str) -> str:
    title = TITLES[server]
    return f"**{title}**" if server == OURS.name else title


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
