"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import load, report
from benchmarks.bench import Bench, tell
from benchmarks.plan import FULL, QUICK, Plan, raise_open_files
from benchmarks.process import Cores, end_on_sigterm
from benchmarks.registry import OURS, SERVERS, WEBSOCKET
from benchmarks.sections import FEW, INLINE, SECTIONS
from benchmarks.store import CHART, RESULTS, Store

FOLDER = Path(__file__).with_name("results")

#: A fact about a quick run, so that it is never mixed with a full one.
TINY = {"sizes": "tiny (--quick), only to see that it works"}

EPILOG = f"""\
examples:
  python -m benchmarks                                  everything; about eleven minutes
  python -m benchmarks --quick                          does it work; some fifteen seconds
  python -m benchmarks --sections throughput --only ours redis --depths 1 16 --out /tmp/mine

Tables go to standard output. {RESULTS} and {CHART} in the --out folder are written after each
section, so that an interrupted run loses only the section in work. Sections that are not measured
stay in them, with the date of their own run, if machine and versions are the same; otherwise the
files are begun afresh. A peer that is not installed is named, and left out. Exit status 1: a
server failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for.

    Returns:
        The exit status: 1 if a server failed.
    """
    options = _parser().parse_args(arguments)
    end_on_sigterm()
    names = options.only or [server.name for server in SERVERS]
    chosen = [server for server in SERVERS if server.name in names]
    absent = {each.name: why for each in chosen if (why := each.missing())}
    sections = [name for name in SECTIONS if name in options.sections]
    if "websocket" in sections and OURS.name in names:
        absent |= {each.name: why for each in WEBSOCKET if (why := each.missing())}
    if why := load.missing():
        absent[load.PROGRAM] = why
        sections = [name for name in sections if name not in INLINE]
    facts = report.facts() | (TINY if options.quick else {})
    store = Store(_folder(options), facts, tuple(SECTIONS))
    for note in _notes(absent, store):
        print(note, flush=True)
    here = [server for server in chosen if server.name not in absent]
    with Bench(_plan(options), here, raise_open_files(), few=not options.only) as bench:
        failures = _measure(bench, sections, store)
    tell("")
    print(*failures, "", report.markdown(store.sections, facts), sep="\n")
    return 1 if failures else 0


def _measure(bench: Bench, names: Sequence[str], store: Store) -> list[str]:
    """Measure some sections, and save each when it is done.

    Returns:
        What failed, in lines.
    """
    failures = []
    done: list[str] = []
    try:
        for name in names:
            bench.begin(name)
            SECTIONS[name](bench)
            store.add(bench.section)
            done.append(name)
            failures += [
                f"failed: {who} in {name} ({why})" for who, why in bench.section.failed.items()
            ]
    except (KeyboardInterrupt, SystemExit):
        tell("")
        print(f"interrupted; done before: {' '.join(done) or 'nothing'}", file=sys.stderr)
        raise
    return failures


def _notes(absent: Mapping[str, str], store: Store) -> Iterator[str]:
    """Who is not in the tables, and what else to know before reading them."""
    for name, why in absent.items():
        yield f"missing: {name} ({why})"
    if store.note:
        yield f"{RESULTS} is begun afresh; the one that is there: {store.note}"
    cores = Cores.choose()
    if cores.server == cores.load:
        yield "only one core: servers and load share it, so lines/s and latency mean little"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure twisted_sock and its peers: the same load on each, servers on one "
        "core and the load on another, medians over interleaved rounds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [server.name for server in SERVERS]
    few = "; ".join(f"{section}: {' '.join(some)}" for section, some in FEW.items())
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
        metavar="NAME",
        help=f"servers, of: {' '.join(names)} [all, but to save time {few}]",
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
        metavar="DIR",
        help="folder for results [benchmarks/results; with --quick none]",
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


def _folder(options: argparse.Namespace) -> Path | None:
    """Where results go: those of a quick run nowhere, unless a folder is named."""
    folder: Path | None = options.out
    return folder if folder or options.quick else FOLDER


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
