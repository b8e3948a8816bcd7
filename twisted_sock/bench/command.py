"""`twisted-sock bench`: put a line server under load, check its answers, and say how it did."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from twisted_sock.bench.answers import Expectation, parse_expectation
from twisted_sock.bench.latency_chart import picture
from twisted_sock.bench.load import Load
from twisted_sock.bench.plan import Plan
from twisted_sock.bench.report import as_json, headline, progress, table
from twisted_sock.bench.tally import Tally
from twisted_sock.bench.workload import ENDINGS, Cycle, generated, lines_of, one_line
from twisted_sock.cli.command import (
    NAME,
    OF_ALL,
    CommandError,
    CommandOptions,
    Status,
    parameters,
    say,
    whole,
)
from twisted_sock.endpoints import client_endpoint
from twisted_sock.errors import SettingError
from twisted_sock.settings import settings_of

#: What is said if nothing else is wanted.
LINE = "hello"

#: Seconds from one line of progress to the next.
OFTEN = 0.5

CLOSING = """\
In a closed loop, the latency of a line counts from when its batch, as many lines as --depth, was
sent until the piece of input came that completes its answer; the next batch is sent when all are
answered. In an open loop, it counts from when the line was due, so a server that stalls shows in
every line that fell due meanwhile; lines that no connection has room for wait, and their wait
counts. Every answer has to be one line. It may end in LF or CRLF, as the first one does. The rate
counts right answers; the latency is that of all of them. An open loop keeps a core busy. Texts for
--expect that mean something else go behind text:. Ctrl-C ends and tells what was measured so
far."""


class Options(CommandOptions):
    """The command line.

    Attributes:
        plan: what to do.
        endpoint: where.
        lines: what to say.
        expected: what a right answer is.
    """

    name = "bench"
    summary = "Puts a line server under load, checks its answers, and tells how long they took."
    arguments = "[OPTION]... ENDPOINT"
    settings = tuple(settings_of(Plan))
    texts = (
        ("line", "TEXT", f"say this line [{LINE}]"),
        ("lines", "FILE", "say the lines of a file, over and over"),
        ("generate", "BYTES", "say random text, UTF-8 of so many bytes a line"),
        ("seed", "N", "what --generate begins with: the same gives the same text [0]"),
        (
            "expect",
            "WHAT",
            "a right answer: echo: the line itself; any: whatever comes; regex:PATTERN: what "
            "matches, which is slower; another text: this one [echo]",
        ),
        ("json", "FILE", "write the figures here, too; -: to stdout, instead of the table"),
        ("chart", "FILE", "draw the latency here, as SVG"),
    )
    examples = (
        "twisted-sock bench localhost:1234\n"
        "twisted-sock bench localhost:6379 --line PING --expect +PONG --depth 128\n"
        "twisted-sock bench localhost:1234 --rate 20000 --duration 60 --chart latency.svg\n"
        "twisted-sock bench localhost:1234 --generate 500 --count 100000 --json -"
    )
    statuses = (
        Status.DONE,
        Status.UNEXPECTED,
        Status.USAGE,
        Status.UNREACHABLE,
        *OF_ALL,
    )
    closing = " ".join(CLOSING.split())
    optParameters = [  # noqa: RUF012 (Twisted's word)
        *parameters(*settings),
        *([name, None, None, text] for name, _, text in texts),
    ]

    plan: Plan
    endpoint: str
    lines: list[bytes]
    expected: Expectation

    def parseArgs(self, *endpoints: str) -> None:
        """Take the endpoint."""
        if len(endpoints) != 1:
            raise UsageError("there must be one ENDPOINT")
        self.endpoint = endpoints[0]

    def postOptions(self) -> None:
        """Make the plan, the lines and the expectation of what was given."""
        if self["count"] is not None and self["duration"] is None:
            self["duration"] = "0"
        super().postOptions()
        try:
            self.plan = Plan(**{each.name: self[each.flag] for each in self.settings})
        except SettingError as error:
            raise UsageError(f"--{error}") from None
        self.lines = self._lines()
        text = "echo" if self["expect"] is None else self["expect"]
        try:
            longest = self.plan.max_line
            self.expected = parse_expectation(text, self.lines, self.plan.most, longest)
        except SettingError as error:
            raise UsageError(f"--expect: {error}") from None
        for flag in ("json", "chart"):
            if self[flag] not in (None, "-"):
                self._see_writable(flag, Path(self[flag]))

    def _lines(self) -> list[bytes]:
        """What to say."""
        given = [flag for flag in ("line", "lines", "generate") if self[flag] is not None]
        if len(given) > 1:
            raise UsageError(f"--{given[0]} and --{given[1]} exclude each other")
        longest = self.plan.max_line
        flag = given[0] if given else "line"
        text = self[flag] if given else LINE
        try:
            if flag == "lines":
                return lines_of(Path(text).read_bytes(), longest)
            if flag == "generate":
                return generated(whole(text), whole(self["seed"] or "0"), longest)
            return one_line(text, longest)
        except OSError as error:
            raise UsageError(f"--lines: {text}: {error.strerror}") from None
        except SettingError as error:
            raise UsageError(f"--{flag}: {error}") from None

    def _see_writable(self, flag: str, path: Path) -> None:
        """See now, not after the load, that a file can be written."""
        there = path if path.exists() else path.parent
        if path.is_dir() or not os.access(there, os.W_OK):
            raise UsageError(f"--{flag}: {path} cannot be written")


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Do it.

    Returns:
        Fires with the exit status. When cancelled, it tells what was measured so far.

    Raises:
        SettingError: the endpoint is none.
    """
    return Bench(reactor, options).run()


class Bench:
    """One run of the command.

    Args:
        reactor: the reactor.
        options: what was given.
    """

    def __init__(self, reactor: Any, options: Options) -> None:
        self._options = options
        plan = options.plan
        self._endpoint = client_endpoint(options.endpoint, reactor)
        questions = Cycle(options.lines, ENDINGS[plan.delimiter], plan.most)
        self._load = Load(reactor, plan, questions, options.expected, now=time.perf_counter)
        self._finished: Deferred[int] = Deferred(self._interrupted)
        self._told = (0.0, 0)  # when progress was told, and the right answers then
        self._progress = LoopingCall(self._tell_progress)
        self._progress.clock = reactor

    def run(self) -> Deferred[int]:
        """Begin (see `run`)."""
        if sys.stderr.isatty():
            self._progress.start(OFTEN)
        measured = Deferred.fromCoroutine(self._load.measure(self._endpoint))
        measured.addCallback(self._over).addErrback(self._failed)
        return self._finished

    def _over(self, tally: Tally) -> None:
        """The load is over."""
        if not self._finished.called:
            if not (self._load.reached or tally.interrupted):
                why = next(iter(tally.reasons))
                words = f"cannot connect to {self._options.endpoint}: {why}"
                raise CommandError(Status.UNREACHABLE, words)
            self._finished.callback(self._report())

    def _interrupted(self, finished: Deferred[int]) -> None:
        self._load.stop()
        try:
            self._report()
        except (CommandError, BrokenPipeError):
            finished.errback(Failure())
        else:
            finished.callback(Status.INTERRUPTED)

    def _failed(self, failure: Failure) -> None:
        self._stop_progress()
        if not self._finished.called:
            self._finished.errback(failure)

    # Telling.

    def _tell_progress(self) -> None:
        """Rewrite the line of progress."""
        load = self._load
        now, right = load.now(), load.tally.right
        then, before = self._told
        self._told = now, right
        rate = max(0, right - before) / (now - then)
        line = progress(load.phase, load.plan, load.tally, now - load.began, rate)
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def _stop_progress(self) -> None:
        if self._progress.running:
            self._progress.stop()
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _report(self) -> Status:
        """Tell what was measured, and write the files; returns the status."""
        self._stop_progress()
        options, tally = self._options, self._load.tally
        given = options.endpoint, options.plan, tally
        figures = json.dumps(as_json(*given), indent=2, ensure_ascii=True)
        say(figures if options["json"] == "-" else table(*given))
        if options["json"] not in (None, "-"):
            write(options["json"], figures + "\n")
        if options["chart"] is not None:
            if tally.latency.count:
                write(options["chart"], self._picture())
            else:
                words = f"{options['chart']} is not written, as there were no answers"
                print(f"{NAME} bench: {words}", file=sys.stderr)
        return Status.UNEXPECTED if tally.errors else Status.DONE

    def _picture(self) -> str:
        options, tally = self._options, self._load.tally
        notes = [
            options.endpoint,
            headline(options.plan),
            f"{tally.right:,} right answers, {tally.rate:,.0f} a second; {tally.errors:,} errors",
        ]
        return picture("How long an answer takes", notes, tally.latency)


def write(path: str, text: str) -> None:
    """Write a file.

    Raises:
        CommandError: it cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(Status.USAGE, f"{path}: {error.strerror}") from None
