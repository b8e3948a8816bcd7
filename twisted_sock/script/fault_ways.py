"""What is not said in the turn of its line: what waits for the next, or for what is before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from twisted_sock.script.fault_acts import Stage, StageNow
from twisted_sock.script.fault_rules import Fired, Site
from twisted_sock.script.fault_told import Told, begin

#: Seconds after which what was to be said after the next is said without it.
KEPT_FOR = 1.0

log = Logger()

#: Tells what happens to a line, given it, its number, and where it is done.
Take = Callable[[str, int, Site], Sequence[Fired]]


class Kept:
    """What is said after the next, if there is such a thing just now.

    Args:
        clock: has the timer.

    Attributes:
        told: it.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.told: Told | None = None
        self._timer: IDelayedCall | None = None
        self._work: Deferred[None] | None = None

    def unless_reordered(
        self, fired: Sequence[Fired], told: Told, say: Callable[[str], object]
    ) -> Told | None:
        """Keep what is to be said after the next; return what is not.

        Args:
            fired: what happens to it.
            told: it.
            say: says a line, when nothing comes next.
        """
        if all(each.fault.do != "reorder" for each in fired):
            return told
        self.told = told
        self._timer = self._clock.callLater(KEPT_FOR, self._let_go, say)
        return None

    def forget(self) -> None:
        """Somebody else says it."""
        self.told = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def drop(self) -> None:
        """It is never said."""
        if self.told is not None:
            self.told.drop()
            self.forget()
        if self._work is not None:
            self._work.cancel()

    def _let_go(self, say: Callable[[str], object]) -> None:
        told, self.told = self.told, None
        if told is not None:
            self._work = begin(self._say_all(told, say))

    async def _say_all(self, told: Told, say: Callable[[str], object]) -> None:
        async for line in told:
            say(line)


class Way:
    """One direction of a conversation that is passed on, made by `Faulty.way`.

    Args:
        take: tells what happens to a line, given which line it is and where it is done.
        clock: has the timers.
        stage: where faults are done.
        say: sends a line.

    Attributes:
        size: the characters of the lines that wait to be said, about.
    """

    def __init__(
        self, take: Take, clock: IReactorTime, stage: Stage, say: Callable[[str], object]
    ) -> None:
        self._take = take
        self._stage = stage
        self._say = say
        self._kept = Kept(clock)
        self._lines = 0
        self._waiting: deque[tuple[Told, Deferred[None] | None, int]] = deque()
        self.size = 0
        self._working = False
        self._work: Deferred[None] | None = None

    @property
    def waiting(self) -> int:
        """How many lines wait to be said."""
        return len(self._waiting) + self._working

    def pass_on(self, line: str, about: str | None = None) -> Deferred[None] | None:
        """Say a line, now or when it is its turn.

        Args:
            line: what to say.
            about: the line that faults are for, where it is another: the one that is answered.

        Returns:
            None when it is done with; else what fires with None when it is, so that a line
            protocol that returns it reads on only then.
        """
        self._lines += 1
        before = self._kept.told
        text = line if about is None else about
        site = StageNow(self._stage, True, before is None)
        fired = self._take(text, self._lines, site)
        if not fired and not self._working and before is None:
            self._say(line)
            return None
        told = self._stage.told(fired, line)
        if self._kept.unless_reordered(fired, told, self._say) is None:
            return None
        done: Deferred[None] = Deferred(lambda _: None)
        self._waiting.append((told, done, len(line)))
        self.size += len(line)
        if before is not None and self._kept.told is before:
            self._kept.forget()
            self._waiting.append((before, None, 0))
        if not self._working:
            self._working = True
            self._work = begin(self._go_on())
        return None if done.called else done

    async def _go_on(self) -> None:
        """Say what waits, one after the other."""
        try:
            while self._waiting:
                await self._say_all(*self._waiting.popleft())
        finally:
            self._working = False

    async def _say_all(self, told: Told, done: Deferred[None] | None, size: int) -> None:
        try:
            async for line in told:
                self._say(line)
        except CancelledError:
            raise
        except Exception:
            log.failure("a line could not be passed on")
        finally:
            self.size -= size
            if done is not None and not done.called:
                done.callback(None)

    def ended(self) -> None:
        """Say nothing any more."""
        self._kept.drop()
        waiting = list(self._waiting)
        self._waiting.clear()
        if self._working and self._work is not None:
            self._work.cancel()
        for told, done, _ in waiting:
            told.drop()
            if done is not None and not done.called:
                done.callback(None)
