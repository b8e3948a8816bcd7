"""How faults are done to what is said: later, twice, in pieces, not at all.

What is said is an async iterator, `Told`, so that it is asked for only when its turn has come and
everything before it is sent. That is how replies stay in order, and how a fault may send bytes of
its own.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from functools import reduce
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from twisted_sock.interfaces import Reply, Wire
from twisted_sock.script.fault_bytes import (
    BYTE_PAUSE,
    PAUSE,
    Part,
    Piece,
    at_rate,
    corrupted,
    in_bytes,
    in_two,
    misheard,
)
from twisted_sock.script.fault_rules import Fired
from twisted_sock.script.fault_told import Told, begun, lines_of

#: What needs a stream of bytes, on which something can be cut or broken off.
OF_STREAMS = frozenset(["throttle", "cut", "bytes", "reset"])

#: What is done to something that is said, and not to silence.
OF_WORDS = frozenset(
    ["delay", "throttle", "drop", "duplicate", "reorder", "corrupt", "cut", "bytes"]
)

#: What is done to bytes, past the session.
OF_BYTES = frozenset(["corrupt", "throttle", "cut", "bytes"])


class Stage:
    """Where faults are done: one direction of one conversation.

    Args:
        clock: has the timers.
        wire: gives the connection that it goes to.
        ears: gives the connection that the peer is heard on.
        spoken: whether what is said goes on to somebody who takes only lines: of faults that are
            done to bytes there is only the time that they take.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wire: Callable[[], Wire],
        ears: Callable[[], Wire],
        spoken: bool = False,
    ) -> None:
        self._clock = clock
        self._wire = wire
        self._ears = ears
        self._spoken = spoken
        self._lock: DeferredLock | None = None  # held by who sends bytes

    def can(self, do: str) -> bool:
        """Whether the transport lets this be done at all."""
        if do == "half-close":
            return self._wire().halves
        if do == "stop-reading":
            return self._ears().streams
        return do not in OF_STREAMS or self._wire().streams

    def told(self, fired: Sequence[Fired], reply: Reply) -> Told:
        """A reply with which something goes wrong.

        Args:
            fired: what.
            reply: of any kind.
        """
        later = sum(each.seconds for each in fired if each.fault.do == "delay")
        work: Deferred[Any] | None = None
        if isinstance(reply, Awaitable):  # it is not to begin only when its turn has come
            reply = work = begun(reply)
        return Told(self._tell(fired, reply, self._clock.seconds() + later), work)

    async def _tell(
        self, fired: Sequence[Fired], reply: Reply, due: float
    ) -> AsyncGenerator[str, None]:
        """Say it, and do what else is to be done."""
        dos = {each.fault.do for each in fired}
        await self._sleep(due - self._clock.seconds())
        if "reset" in dos:
            await deferLater(self._clock, 0)  # what was said before leaves before
            self._wire().abort()
            await Deferred()  # so that nothing comes after
        while isinstance(reply, Awaitable):
            reply = await reply
        lines = _as_often(fired, reply)
        if not dos & OF_BYTES:
            async for line in lines:
                yield line
        elif self._spoken:
            async for line in lines:
                await self._sleep(_duration(fired, line))
                yield reduce(misheard, _draws(fired), line)
        else:
            await self._write(fired, lines)
        if "half-close" in dos:
            self._wire().end_output()

    async def _write(self, fired: Sequence[Fired], lines: AsyncIterator[str]) -> None:
        """Send it past the session; what is said otherwise meanwhile waits."""
        lock = self._lock = self._lock or DeferredLock()
        await lock.acquire()
        wire = self._wire()
        wire.hold()
        try:
            parts = [(line, wire.encode([line])) async for line in lines]
            await self._send(wire, _pieces(fired, parts), len(parts))
        finally:
            wire.release()
            lock.release()

    async def _send(self, wire: Wire, pieces: Iterable[Piece], lines: int) -> None:
        """Send all pieces; if it is given up, the rest at once, as a line that is begun ends."""
        rest = iter(pieces)
        due = self._clock.seconds()
        try:
            for data, seconds in rest:
                wire.send_bytes(data, lines)
                lines = 0
                due += seconds
                await self._sleep(due - self._clock.seconds())
        finally:
            if left := b"".join(data for data, _ in rest):
                wire.send_bytes(left)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await deferLater(self._clock, seconds)


class StageNow:
    """A stage, as a fault finds it (see `fault_rules.Site`).

    Args:
        stage: it.
        words: whether there is something to say.
        free: whether something can be kept until after the next.
    """

    __slots__ = ("_free", "_stage", "_words")

    def __init__(self, stage: Stage, words: bool, free: bool) -> None:
        self._stage = stage
        self._words = words
        self._free = free

    def can(self, do: str) -> bool:
        """Whether the transport lets this be done at all."""
        return self._stage.can(do)

    def wants(self, do: str) -> bool:
        """Whether there is something that it can be done to."""
        return (self._words or do not in OF_WORDS) and (self._free or do != "reorder")


async def _as_often(fired: Sequence[Fired], reply: Reply) -> AsyncGenerator[str, None]:
    """The lines of a reply: not at all, once, or several times one after the other."""
    dropped = any(each.fault.do == "drop" for each in fired)
    times = [max(1, each.fault.copies) for each in fired if each.fault.do == "duplicate"]
    again: list[str] = []
    async for line in lines_of(reply):
        if not dropped:
            yield line
            if times:
                again.append(line)
    for _ in range(reduce(lambda product, each: product * each, times, 1) - 1):
        for line in again:
            yield line


def _pieces(fired: Sequence[Fired], parts: list[Part]) -> Iterable[Piece]:
    """In which pieces to send some lines; of two ways to cut them, the smaller pieces."""
    for draw in _draws(fired):
        parts = corrupted(parts, draw)
    by_do = {each.fault.do: each for each in fired}
    if each := by_do.get("bytes"):
        return in_bytes(parts, each.seconds)
    if each := by_do.get("throttle"):
        return at_rate(parts, each.fault.rate or 1.0)
    if each := by_do.get("cut"):
        return in_two(parts, each.seconds)
    return [(data, 0.0) for _, data in parts]


def _draws(fired: Sequence[Fired]) -> list[float]:
    """For each byte to change, which."""
    return [each.draw for each in fired if each.fault.do == "corrupt"]


def _duration(fired: Iterable[Fired], line: str) -> float:
    """How long a line takes to come, in seconds."""
    size = len(line.encode()) + 1
    takes = {
        "cut": lambda each: each.seconds or PAUSE,
        "bytes": lambda each: each.seconds or size * BYTE_PAUSE,
        "throttle": lambda each: size / (each.fault.rate or 1.0),
    }
    return max((takes[each.fault.do](each) for each in fired if each.fault.do in takes), default=0)
