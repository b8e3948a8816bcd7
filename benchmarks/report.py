"""The results for people, as Markdown, and for programs, as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.plan import Plan
from benchmarks.registry import OURS, TITLES
from benchmarks.results import CPU, P50, P99, RATE, RSS, Results

#: Peers that ours is compared with, in CPU per line.
RIVALS = ("redis", "line-only", "uvloop")

FIGURES = (
    "Medians; in brackets the lowest and the highest, where a case was measured more than once. "
    "CPU is the server's, in the kernel too, without what opening connections costs."
)
NOTES = {
    "throughput": "{clients} connections, redis-benchmark's inline PING; depth: lines that a "
    "connection sends before it waits. Latency is that of a batch's first answer.",
    "connections": "All active, depth 1, redis-benchmark's inline PING.",
    "async": "Ours, with a handler that is a coroutine; otherwise as in throughput.",
    "length": "Each line echoed; {clients} connections, depth {length_depth}, our own load.",
    "memory": "Each said one line and heard its answer; read {settle:g} s later.",
}

Cell = Callable[[str, str, str], str]


def markdown(results: Results, plan: Plan, facts: Mapping[str, str]) -> str:
    """All tables.

    Args:
        results: of the run.
        plan: of the run.
        facts: about the machine.
    """
    parts = ["; ".join(f"{name}: {fact}" for name, fact in facts.items()), FIGURES]
    for section in results.sections():
        note = NOTES[section].format(**asdict(plan))
        parts.append(f"## {section.capitalize()}\n\n{note}")
        parts.extend(_TABLES[section](results))
    return "\n\n".join(parts) + "\n"


def as_json(
    results: Results, plan: Plan, facts: Mapping[str, str], absent: Mapping[str, str]
) -> str:
    """Everything: the machine, the plan, who was missing, the medians, every sample."""
    everything = {
        "machine": dict(facts),
        "plan": asdict(plan),
        "missing": dict(absent),
        "titles": TITLES,
        "medians": results.medians(),
        "samples": [asdict(sample) for sample in results.samples],
    }
    return json.dumps(everything, indent=1) + "\n"


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


def _throughput(results: Results) -> Iterator[str]:
    yield from _speed(results, "throughput")
    rows = _rows(results, "throughput")
    if OURS.name in rows and any(rival in rows for rival in RIVALS):
        yield _ratios(results, [rival for rival in RIVALS if rival in rows])


def _async(results: Results) -> Iterator[str]:
    yield from _speed(results, "async")


def _speed(results: Results, section: str) -> Iterator[str]:
    yield _table("CPU µs per line", results, section, _cpu(results))
    yield _table("lines per second", results, section, _number(results, RATE, ",.0f"))
    yield _table("latency, p50 / p99 ms", results, section, _latency(results))


def _connections(results: Results) -> Iterator[str]:
    yield _table("CPU µs per line, by connections", results, "connections", _cpu(results))
    cases = _cases(results, "connections")
    if len(cases) > 1:
        yield _growth(results, *cases[-2:])
    yield _table(
        "latency, p50 / p99 ms, by connections", results, "connections", _latency(results)
    )


def _length(results: Results) -> Iterator[str]:
    for text in ("ASCII", "Chinese"):
        cases = [case for case in _cases(results, "length") if case.endswith(text)]
        yield _table(f"CPU µs per line, {text}", results, "length", _cpu(results), cases)


def _memory(results: Results) -> Iterator[str]:
    cell = _number(results, RSS, ",.0f")
    yield _table("RSS per idle connection, bytes", results, "memory", cell)


_TABLES: dict[str, Callable[[Results], Iterator[str]]] = {
    "throughput": _throughput,
    "connections": _connections,
    "async": _async,
    "length": _length,
    "memory": _memory,
}


def _table(
    title: str, results: Results, section: str, cell: Cell, cases: Sequence[str] | None = None
) -> str:
    """One row for each server, one column for each case."""
    cases = _cases(results, section) if cases is None else cases
    rows = [
        [_title(server), *(cell(section, case, server) for case in cases)]
        for server in _rows(results, section)
    ]
    return _grid([title, *cases], rows)


def _ratios(results: Results, rivals: Sequence[str]) -> str:
    cases = _cases(results, "throughput")
    rows = []
    for rival in rivals:
        row = [f"{OURS.title} / {TITLES[rival]}"]
        for case in cases:
            mine = results.median("throughput", case, OURS.name, CPU)
            theirs = results.median("throughput", case, rival, CPU)
            row.append(f"{mine / theirs:.2f}" if mine and theirs else "-")
        rows.append(row)
    return _grid(["ratio of CPU per line", *cases], rows)


def _growth(results: Results, fewer: str, more: str) -> str:
    rows = []
    for server in _rows(results, "connections"):
        before = results.median("connections", fewer, server, CPU)
        after = results.median("connections", more, server, CPU)
        if before and after:
            rows.append([_title(server), f"{after / before - 1:+.0%}"])
    return _grid(["growth of CPU per line", f"{fewer} to {more} connections"], rows)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cpu(results: Results) -> Cell:
    def cell(section: str, case: str, server: str) -> str:
        values = results.values(section, case, server, CPU)
        if not values:
            return "-"
        middle = _short(results.median(section, case, server, CPU) or 0.0)
        if len(values) == 1:
            return middle
        return f"{middle} ({_short(values[0])}-{_short(values[-1])})"

    return cell


def _number(results: Results, name: str, form: str) -> Cell:
    def cell(section: str, case: str, server: str) -> str:
        value = results.median(section, case, server, name)
        return "-" if value is None else format(value, form)

    return cell


def _latency(results: Results) -> Cell:
    p50, p99 = _number(results, P50, ".2f"), _number(results, P99, ".2f")
    return lambda *where: f"{p50(*where)} / {p99(*where)}"


def _short(value: float) -> str:
    """Three digits or so."""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _rows(results: Results, section: str) -> list[str]:
    """The servers of a section, in the order of the registry."""
    seen = {sample.server for sample in results.samples if sample.section == section}
    return [name for name in TITLES if name in seen]


def _cases(results: Results, section: str) -> list[str]:
    """The cases of a section, smallest first."""
    seen = {sample.case for sample in results.samples if sample.section == section}
    return sorted(seen, key=lambda case: int("".join(filter(str.isdigit, case))))


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
