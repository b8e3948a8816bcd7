"""A recording that is kept in a file while it grows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from twisted_sock.script.model import Script
from twisted_sock.script.reading import LARGEST
from twisted_sock.script.recording import Recording
from twisted_sock.script.saving import save
from twisted_sock.script.writing import pieces

#: What tells one file from another, and from what it was.
Looks = tuple[int, int]

#: Seconds between two times that the file is written, at least.
EVERY = 1.0

#: At least so many times as long as writing has taken.
REST = 10


#: Bytes of a comment at the head of a file that is told to be cut short, at most.
HEAD = 200

#: Why lines are not kept that would make it longer.
TOO_LONG = "a longer recording could not be played"


class Moment(NamedTuple):
    """What was said until some moment.

    Args:
        changes: how often it had changed.
        lines: how many lines were kept.
        compose: makes the script of it, and remarks.
    """

    changes: int
    lines: int
    compose: Callable[[], tuple[Script, list[str]]]


class TooLong(Exception):
    """A script would be longer than a mock reads."""


class Keeper:
    """Writes a recording to its file every few seconds, and at the end.

    The script is made and written in a thread, where the reactor has threads: nobody waits for
    the disk. At the end it is done at once.

    A script that would be too long to be played is not written: the file stays as it was the time
    before, and says that it is not all, and nothing more is recorded.

    Args:
        recording: what to write.
        path: the file; it is replaced as a whole, or not at all.
    """

    log = Logger()

    def __init__(self, recording: Recording, path: str) -> None:
        self.recording = recording
        self.path = path
        self._unwritten = ""  # why the file could not be written
        self._size = 0  # bytes of the file
        self._lines = 0  # as many are in it
        self._cut_short = False  # no more are to be in it
        self._ours: Looks | None = None  # what it looked like when it was last written
        self._shared = False  # somebody else writes it, too
        self._reactor: Any = None
        self._call: IDelayedCall | None = None
        self._stopped = True
        self._lock = threading.Lock()  # one writes at a time
        self._saved = 0  # as many changes are in the file
        self._told = False
        self._rest = EVERY  # seconds until the next time

    @property
    def problems(self) -> list[str]:
        """Why the file does not hold all that was said, or cannot be played; one sentence each."""
        whys = self.recording.remarks()
        if self._unwritten:
            whys.append(self._unwritten)
        if self._shared:
            whys.append("somebody else writes it, too")
        problems = [f"the recording {self.path} is not complete: {why}" for why in whys]
        if self._size > LARGEST:
            too_long = f"it has {self._size:,} bytes, and a script at most {LARGEST:,}"
            problems.append(f"the recording {self.path} is too long to be played: {too_long}")
        return problems

    def start(self, reactor: Any) -> None:
        """Begin to write."""
        self._reactor = reactor
        self._stopped = False
        self._call = reactor.callLater(EVERY, self._look)

    def stop(self) -> None:
        """Write the last of it."""
        self._stopped = True
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._see_who_writes()
        self.save()
        if self._unwritten:
            self.log.error(
                "{path} does not hold all that was said: {why}",
                path=self.path,
                why=self._unwritten,
            )

    def save(self) -> None:
        """Write what was said until now, if it is more than before."""
        if self._has_news:
            self._write(self._now())

    @property
    def _has_news(self) -> bool:
        """Whether there is something to write."""
        news = self.recording.changes != self._saved and not self._cut_short
        return news or bool(self._unwritten)

    def _now(self) -> Moment:
        recording = self.recording
        return Moment(recording.changes, recording.lines, recording.snapshot())

    def _look(self) -> None:
        self._call = None
        if not self._has_news:
            self._again()
        elif hasattr(self._reactor, "callInThread"):
            self._reactor.callInThread(self._write_and_go_on, self._now())
        else:
            self._write(self._now())
            self._again()

    def _write_and_go_on(self, moment: Moment) -> None:
        """What the thread does."""
        try:
            self._write(moment)
        finally:
            self._reactor.callFromThread(self._again)

    def _again(self) -> None:
        if not self._stopped:
            self._call = self._reactor.callLater(self._rest, self._look)

    def _write(self, moment: Moment) -> None:
        with self._lock:
            if moment.changes < self._saved:
                return  # the last of it is in the file already
            if self._cut_short and not self._unwritten:
                return  # so the file tells
            begun = monotonic()
            try:
                self._put(moment)
            except (OSError, ValueError) as error:
                self._failed(error)
            else:
                self._saved = moment.changes
                self._unwritten = ""
                self._told = False
            self._rest = max(EVERY, REST * (monotonic() - begun))

    def _put(self, moment: Moment) -> None:
        """Put it into the file.

        Raises:
            OSError: the file cannot be written.
            ValueError: the script cannot be.
        """
        if not self._cut_short:
            text = pieces(*moment.compose())
            self._see_who_writes()
            # The first time, or if it was moved away, there is nothing that could be left there.
            most = LARGEST - HEAD if self._ours and _looks(self.path) else inf
            try:
                self._size = save(self.path, _no_longer_than(most, text))
                self._lines = moment.lines
            except TooLong:
                self._cut_short = True
        if self._cut_short:
            self._say_so()
        self._ours = _looks(self.path)

    def _say_so(self) -> None:
        """Stop here, and let the file tell that it is not all."""
        self.recording.stop(TOO_LONG, self._lines)
        with open(self.path, encoding="utf-8", newline="") as file:
            whole = file.read()
        head = "".join(pieces(Script(), self.recording.remarks()[:1]))
        self._size = save(self.path, [head, "\n", whole])

    def _see_who_writes(self) -> None:
        """Tell when the file is no longer the one that was written last."""
        if self._ours is None or self._shared or _looks(self.path) in (self._ours, None):
            return
        self._shared = True
        self.log.error(
            "{path} is written by somebody else, too: each replaces what the other wrote",
            path=self.path,
        )

    def _failed(self, error: Exception) -> None:
        self._unwritten = why = getattr(error, "strerror", None) or type(error).__name__
        if not self._told:
            self._told = True
            self.log.error(
                "{path} cannot be written: {why}; it is tried again, and the conversations go on",
                path=self.path,
                why=why,
            )


def _no_longer_than(most: float, text: Iterable[str]) -> Iterator[str]:
    """The pieces of a text.

    Raises:
        TooLong: they have more bytes than they may.
    """
    size = 0
    for piece in text:
        size += len(piece.encode())
        if size > most:
            raise TooLong
        yield piece


def _looks(path: str) -> Looks | None:
    """What is seen of a file from outside; None: there is none."""
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns
