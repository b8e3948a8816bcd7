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
        let_go: called when nothing has come next for `KEPT_FOR` seconds.

    Attributes:
        told: it.
    """

    def __init__(self, clock: IReactorTime, let_go: Callable[[], object]) -> None:
        self._clock = clock
        self._let_go = let_go
        self.told: Told | None = None
        self._timer: IDelayedCall | None = None

    def unless_reordered(self, fired: Sequence[Fired], told: Told) -> Told | None:
        """Keep what is to be said after the next; return what is not.

        Args:
            fired: what happens to it.
            told: it.
        """
        if all(each.fault.do != "reorder" for each in fired):
            return told
        self.told = told
        self._timer = self._clock.callLater(KEPT_FOR, self._let_go)
        return None

    def take(self) -> Told | None:
        """What was kept until now; somebody else says it."""
        told, self.told = self.told, None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        return told

    def drop(self) -> None:
        """It is never said."""
        told = self.take()
        if told is not None:
            told.drop()


class Turns:
    """What is said one after the other.

    Args:
        say: sends a line.

    Attributes:
        size: the characters of the lines that wait to be said, about.
        working: whether something is being said.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._waiting: deque[tuple[Told, Deferred[None], int]] = deque()
        self._rest: list[Deferred[None]] = []  # fire when all is said
        self._work: Deferred[None] | None = None
        self.size = 0
        self.working = False

    def __len__(self) -> int:
        return len(self._waiting) + self.working

    def put(self, told: Told, size: int = 0) -> Deferred[None] | None:
        """Say something, now or when it is its turn.

        Args:
            told: it.
            size: its characters, about.

        Returns:
            None when it is said; else what fires with None when it is.
        """
        done: Deferred[None] = Deferred(lambda _: None)
        self._waiting.append((told, done, size))
        self.size += size
        if not self.working:
            self.working = True
            self._work = begin(self._go_on())
        return None if done.called else done

    def rest(self) -> Deferred[None] | None:
        """What fires with None when all is said; None if all is."""
        if not self.working:
            return None
        self._rest.append(Deferred(lambda _: None))
        return self._rest[-1]

    def drop(self) -> None:
        """Say nothing any more."""
        waiting = list(self._waiting)
        self._waiting.clear()
        if self.working and self._work is not None:
            self._work.cancel()
        for told, done, _ in waiting:
            told.drop()
            _fire(done)

    async def _go_on(self) -> None:
        """Say what waits, one after the other."""
        try:
            while self._waiting:
                await self._say_all(*self._waiting.popleft())
        finally:
            self.working = False
            rest, self._rest = self._rest, []
            for each in rest:
                _fire(each)

    async def _say_all(self, told: Told, done: Deferred[None], size: int) -> None:
        try:
            async for line in told:
                self._say(line)
        except CancelledError:
            raise
        except Exception:
            log.failure("a line could not be passed on")
        finally:
            self.size -= size
            _fire(done)


class Way:
    """One direction of a conversation that is passed on, made by `Faulty.way`.

    Args:
        take: tells what happens to a line, given which line it is and where it is done.
        clock: has the timers.
        stage: where faults are done.
        say: sends a line.
    """

    def __init__(
        self, take: Take, clock: IReactorTime, stage: Stage, say: Callable[[str], object]
    ) -> None:
        self._take = take
        self._stage = stage
        self._say = say
        self._kept = Kept(clock, self._let_go)
        self._turns = Turns(say)
        self._lines = 0

    @property
    def waiting(self) -> int:
        """How many lines wait to be said."""
        return len(self._turns)

    @property
    def size(self) -> int:
        """The characters of the lines that wait to be said, about."""
        return self._turns.size

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
        if not fired and not self._turns.working and before is None:
            self._say(line)
            return None
        told = self._stage.told(fired, line)
        if self._kept.unless_reordered(fired, told) is None:
            return None
        done = self._turns.put(told, len(line))
        if before is not None and self._kept.told is before:
            self._let_go()
        return done

    def finish(self) -> Deferred[None] | None:
        """Nothing more comes: say what was to be said after the next.

        Returns:
            None when all is said; else what fires with None when it is.
        """
        self._let_go()
        return self._turns.rest()

    def ended(self) -> None:
        """Say nothing any more."""
        self._kept.drop()
        self._turns.drop()

    def _let_go(self) -> None:
        told = self._kept.take()
        if told is not None:
            self._turns.put(told)


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
