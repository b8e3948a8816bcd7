"""Worlds in memory, for the promises of `tests.contracts`: waiting lets the clock run."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts import STREAM, promises
from twisted_sock import Limits, LineFactory, LinePolicy
from twisted_sock.testing import MemoryPeer


class AsyncPeer(MemoryPeer):
    """A peer in memory, as the promises want it."""

    def __init__(self, world: MemoryWorld) -> None:
        super().__init__(world.factory, world.clock)
        self._world = world
        self._lines: list[str] = []

    async def lines(self, count: int) -> list[str]:  # type: ignore[override]
        await self._world.until(lambda: self._came() >= count)
        lines, self._lines = self._lines[:count], self._lines[count:]
        return lines

    async def rest(self) -> list[str]:
        await self._world.until(lambda: self.ended)
        self._came()
        self.close()
        return self._lines

    def _came(self) -> int:
        self._lines += super().lines()
        return len(self._lines)


class MemoryWorld:
    """Peers in memory.

    Attributes:
        peer: makes one more, given the world.
    """

    tells_resets = True
    peer: Any = AsyncPeer

    def __init__(self) -> None:
        self.clock = Clock()
        self.peers: list[Any] = []

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None:
        self.factory = LineFactory(handler, policy=policy, limits=limits, reactor=self.clock)

    async def connect(self) -> Any:
        self.peers.append(self.peer(self))
        return self.peers[-1]

    async def until(self, condition: Any) -> None:
        for _ in range(10_000):
            if condition():
                return
            for peer in self.peers:
                peer.advance(0)
            self.clock.advance(0.01)
        raise AssertionError("it never came true")


def keeps(make: Any, can: frozenset[str] = STREAM) -> Any:
    """Give a test case a test for each promise that a world must keep that can do so much."""

    def decorate(case: Any) -> Any:
        for promise in promises(can):
            setattr(case, f"test_{promise.__name__}", _test(make, promise))
        return case

    return decorate


def _test(make: Any, promise: Any) -> Any:
    def test(self: SynchronousTestCase) -> None:
        world = make()
        kept: Deferred[None] = Deferred.fromCoroutine(promise(world))
        self.successResultOf(kept)
        self.flushLoggedErrors(ValueError)
        for peer in world.peers:
            peer.reset()
            peer.advance(30)
        self.assertEqual(world.clock.getDelayedCalls(), [])

    return test
