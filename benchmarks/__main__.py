"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

from benchmarks import chart, load, report
from benchmarks.bench import Bench, tell
from benchmarks.plan import FULL, QUICK, Plan, raise_open_files
from benchmarks.process import end_on_sigterm
from benchmarks.registry import OURS, SERVERS, Server
from benchmarks.results import CPU, Results
from benchmarks.sections import INLINE, SECTIONS

RESULTS = Path(__file__).with_name("results")

EPILOG = """\
examples:
  python -m benchmarks                                  everything; about half an hour
  python -m benchmarks --quick --out /tmp/bench         does it work; some seconds
  python -m benchmarks --sections throughput --only ours redis --depths 1 16

Tables go to standard output; results.json and chart.svg to the --out folder. A peer that is not
installed is named, and left out. Exit status 1: a server failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for.

    Returns:
        The exit status: 1 if a server failed.
    """
    options = _parser().parse_args(arguments)
    end_on_sigterm()
    chosen = [server for server in SERVERS if server.name in options.only]
    absent = {each.name: why for each in chosen if (why := each.missing())}
    sections = list(dict.fromkeys(options.sections))
    if why := load.missing():
        absent[load.PROGRAM] = why
        sections = [section for section in sections if section not in INLINE]
    plan = _plan(options)
    with Bench(plan, [s for s in chosen if s.name not in absent], raise_open_files()) as bench:
        for section in SECTIONS:
            if section in sections:
                SECTIONS[section](bench)
    tell("")
    facts = report.facts()
    print(_heading(absent, bench), report.markdown(bench.results, plan, facts), sep="\n")
    _save(options.out, "results.json", report.as_json(bench.results, plan, facts, absent))
    if "throughput" in bench.results.sections():
        _save(options.out, "chart.svg", _chart(bench.results, chosen, plan))
    return 1 if bench.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure twisted_sock and its peers: the same load on each, servers on one "
        "core and the load on another, medians over interleaved rounds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [server.name for server in SERVERS]
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only see that it works")
    parser.add_argument(
        "--rounds",
        type=_positive,
        metavar="N",
        help=f"rounds of throughput and async, the others take half [{FULL.rounds}]",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help=f"servers, of: {' '.join(names)} [all]",
    )
    parser.add_argument(
        "--depths",
        nargs="+",
        type=_positive,
        metavar="N",
        help=f"lines in flight on a connection [{' '.join(map(str, FULL.depths))}]",
    )
    parser.add_argument(
        "--sections",
        nargs="+",
        choices=list(SECTIONS),
        default=list(SECTIONS),
        metavar="NAME",
        help=f"what to measure, of: {' '.join(SECTIONS)} [all]",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="folder for results [benchmarks/results]",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = dataclasses.replace(plan, rounds=options.rounds)
    if options.depths:
        plan = dataclasses.replace(plan, depths=tuple(sorted(set(options.depths))))
    return plan


def _heading(absent: dict[str, str], bench: Bench) -> str:
    """Who is not in the tables, and what else to know before reading them."""
    lines = [f"missing: {name} ({why})" for name, why in absent.items()]
    for (section, name), why in bench.failures.items():
        lines.append(f"failed: {name} in {section} ({why})")
    if bench.cores.server == bench.cores.load:
        lines.append(
            "only one core: servers and load share it, so lines/s and latency mean little"
        )
    return "\n".join(f"{line}\n" for line in lines)


def _chart(results: Results, servers: Sequence[Server], plan: Plan) -> str:
    depths = [f"depth {depth}" for depth in plan.depths]
    rows = []
    for server in servers:
        values = [results.median("throughput", depth, server.name, CPU) for depth in depths]
        if any(value is not None for value in values):
            rows.append(chart.Row(server.title, values, server is OURS))
    rows.sort(key=_overall)
    note = (
        f"{plan.clients} connections, redis-benchmark's inline PING, one core for the server; "
        f"depth: lines in flight on each; each depth has its own scale"
    )
    return chart.draw("Server CPU per line, µs (shorter is better)", note, depths, rows)


def _overall(row: chart.Row) -> float:
    """The mean that gives each depth the same weight, whatever its scale."""
    return geometric_mean(max(value, 0.001) for value in row.values if value is not None)


def _save(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
