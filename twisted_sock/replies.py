"""Replies that are not there yet, kept in the order of their lines.

Most replies are plain strings and never come here. Any other, a list, a generator, a coroutine,
a Deferred, an async iterator, becomes a `_Work` in a `ReplyQueue`. Works may finish in any order;
only the first gives lines, until it is done. An iterator is asked for more only when its turn has
come and there is room for what it gives.

Nothing here recurses: a result that arrives leaves its lines in its work and says that something
has changed; who empties the queue does so in a loop.
"""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from itertools import islice
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.incidents import ShownFailure
from twisted_sock.interfaces import Reply

#: Lines taken from an iterator at once: at first, and at most, while they have together no more
#: characters than are enough.
FIRST_SLICE = 2
MOST_SLICE = 128
ENOUGH = 32768

log = Logger()


class _Work:
    """One reply.

    Attributes:
        lines: what can be sent of it.
        source: where more of it comes from, if it is an iterator of either kind.
        waiting: the Deferred it waits for, if it waits for the user's code.
        coroutine: what runs under that Deferred, if it is a coroutine.
        since: when that wait began, in the clock's seconds.
        done: whether all of it is in `lines`.
        alone: whether nothing may be started beside it (a greeting).
        slice: lines to take from the iterator next.
    """

    __slots__ = ("alone", "coroutine", "done", "lines", "since", "slice", "source", "waiting")

    def __init__(self, alone: bool) -> None:
        self.lines: list[str] = []
        self.source: Iterator[str] | AsyncIterator[str] | None = None
        self.waiting: Deferred[Any] | None = None
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.since = math.inf
        self.done = False
        self.alone = alone
        self.slice = FIRST_SLICE

    def finish(self, line: str | None = None) -> None:
        """Nothing comes after this line, or after what there is."""
        if line is not None:
            self.lines.append(line)
        self.done = True

    def abandon(self) -> None:
        """Let go of the user's code: cancel what is awaited, close what is iterated over.

        Code that is running right now has itself led here; it goes on, and its result is dropped.
        """
        waiting, self.waiting = self.waiting, None
        source, self.source = self.source, None
        self.since = math.inf
        self.done = True
        if waiting is not None:
            if self.coroutine is None or not _running(self.coroutine):
                _cancel(waiting)
        elif isinstance(source, AsyncIterator):
            if hasattr(source, "aclose"):
                Deferred.fromCoroutine(resolve(source.aclose())).addErrback(_log_late)
        elif inspect.isgenerator(source) and not source.gi_running:
            source.close()


class ReplyQueue:
    """The replies of one conversation that are in work.

    Args:
        clock: tells the time.
        failed: called with what the user's code raised; returns what to tell the peer.
        changed: called when there may be more to take than before.
    """

    __slots__ = ("_changed", "_clock", "_failed", "_works")

    def __init__(
        self,
        clock: IReactorTime,
        failed: Callable[[Failure], str | None],
        changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._failed = failed
        self._changed = changed
        self._works: deque[_Work] = deque()

    def __len__(self) -> int:
        return len(self._works)

    @property
    def alone(self) -> bool:
        """Whether the first reply wants no other beside it."""
        return bool(self._works) and self._works[0].alone

    def put(self, reply: Reply, alone: bool = False) -> None:
        """Give a reply the last place.

        Args:
            reply: of any kind but None.
            alone: whether no line may be delivered before it is done.
        """
        work = _Work(alone)
        self._works.append(work)
        try:
            self._fill(work, reply)
        except BaseException:
            work.finish(self._failed(Failure()))

    def take(self) -> list[str]:
        """The next lines to send; none when the first reply has to be waited for."""
        works = self._works
        while works:
            first = works[0]
            if first.source is not None and first.waiting is None:
                self._pull(first, first.source)
            lines, first.lines = first.lines, []
            if first.done and works and works[0] is first:
                works.popleft()
            if lines or first.waiting is not None:
                return lines
        return []

    @property
    def oldest(self) -> float:
        """Since when the reply that was waited for longest has been waited for."""
        return min((work.since for work in self._works), default=math.inf)

    def give_up(self, before: float, words: Callable[[], str | None]) -> None:
        """Give up replies that have been waited for since `before` or longer.

        Args:
            before: in the clock's seconds.
            words: called for each; returns what to tell the peer in its place.
        """
        for work in list(self._works):
            if work.since <= before:
                work.abandon()
                work.finish(words())

    def abandon(self) -> None:
        """Let go of all replies; nothing is sent of them."""
        works = list(self._works)
        self._works.clear()
        for work in works:
            work.abandon()

    def _fill(self, work: _Work, reply: Reply) -> None:
        """Put a reply into its work, or arrange for it to come."""
        if reply is None or isinstance(reply, str):
            work.finish(reply)
        elif isinstance(reply, Awaitable):
            self._wait(work, reply, self._fill)
        elif isinstance(reply, AsyncIterator):
            work.source = reply
        elif isinstance(reply, Iterable) and not isinstance(reply, bytes | bytearray):
            work.source = iter(reply)
        else:
            kind = type(reply).__name__
            raise TypeError(f"a reply is None, a str or something that gives str, not a {kind}")

    def _pull(self, work: _Work, source: Iterator[str] | AsyncIterator[str]) -> None:
        """Take more from the iterator of the reply whose turn it is."""
        if isinstance(source, AsyncIterator):
            self._wait(work, source.__anext__(), _append)
            return
        lines: list[str] = []
        size = work.slice
        try:
            lines.extend(islice(source, size))
        except BaseException:
            work.lines += lines
            work.source = None
            work.finish(self._failed(Failure()))
            return
        work.lines += lines
        if len(lines) < size:
            work.source = None
            work.done = True
        elif sum(map(len, lines)) < ENOUGH:
            work.slice = min(size * 2, MOST_SLICE)

    def _wait(
        self, work: _Work, awaitable: Awaitable[Any], then: Callable[[_Work, Any], None]
    ) -> None:
        """Let `then(work, result)` have the result of an awaitable."""
        deferred: Deferred[Any]
        if isinstance(awaitable, Deferred):
            deferred = awaitable
        else:
            work.coroutine = resolve(awaitable)
            deferred = Deferred.fromCoroutine(work.coroutine)
        if work.done:  # abandoned by the very code that was to be awaited
            deferred.addErrback(_log_late)
            _cancel(deferred)
            return
        work.waiting = deferred
        work.since = self._clock.seconds()

        def arrived(result: Any) -> Any:
            passed_on = None if isinstance(result, Failure) else result
            if work.waiting is not deferred:  # abandoned meanwhile
                if isinstance(result, Failure):
                    _log_late(result)
                return passed_on
            work.waiting = None
            work.coroutine = None
            work.since = math.inf
            try:
                if isinstance(result, Failure):
                    result.raiseException()
                then(work, result)
            except StopAsyncIteration:
                work.source = None
                work.done = True
            except BaseException:
                work.source = None
                work.finish(self._failed(Failure()))
            self._changed()
            return passed_on  # to whoever waits for the same Deferred

        deferred.addBoth(arrived)


async def resolve(awaitable: Awaitable[Any]) -> Any:
    """A coroutine of any awaitable."""
    return await awaitable


def _cancel(deferred: Deferred[Any]) -> None:
    """Cancel what is awaited; the user's canceller may fail like any other code of theirs."""
    try:
        deferred.cancel()
    except BaseException:
        log.failure("a reply that was given up could not be cancelled")


def _append(work: _Work, line: Any) -> None:
    work.lines.append(line)


def _running(coroutine: Coroutine[Any, Any, Any]) -> bool:
    return inspect.iscoroutine(coroutine) and coroutine.cr_running


def _log_late(failure: Failure) -> None:
    """Log what an abandoned reply still raised, unless it is the cancellation itself."""
    if not failure.check(CancelledError, GeneratorExit, StopAsyncIteration):
        log.failure("a reply that was given up failed afterwards", failure=ShownFailure(failure))
