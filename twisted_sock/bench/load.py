"""A load generator: many connections to one server, driven in a closed or in an open loop.

Closed loop: each connection says a batch of lines, waits for all answers, says the next batch.
How fast it goes is the server's to say, and a server that stalls is asked nothing meanwhile.

Open loop: lines are due at fixed times, whatever the server does. A line that is due is said by
the next connection that has room; if none has, it waits, and its latency counts from when it was
due. So a stall shows in the latency of all the lines that fell due in it: nothing is left out
because the generator was waiting, too ("coordinated omission"). Lines that wait are only a
number, so they cost no memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import TimeoutError as NotConnectedInTime
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from twisted_sock.bench.answers import Expectation
from twisted_sock.bench.plan import Plan
from twisted_sock.bench.speakers import Speaker
from twisted_sock.bench.tally import Tally
from twisted_sock.bench.workload import Cycle

#: Connections that are being made at once.
PENDING = 64

#: Seconds that timers of reactors may be late. Nearer times are not waited for but watched for,
#: which keeps a core busy, as a timer would make lines late that were due.
COARSE = 0.002

#: Seconds for closing the connections.
GOODBYE = 1.0

#: How often in a timeout connections are looked at, and seconds between looks at most.
LOOKS = 4
SELDOM = 1.0


CLOSING = "closing"


class Loop(Protocol):
    """Says when lines are said."""

    def begin(self) -> None:
        """All connections are there."""

    def answered(self, speaker: Speaker, now: float) -> None:
        """A connection has got answers, and may have room for lines."""

    def due(self, now: float) -> int:
        """Lines that should have been said and were not."""


class Load:
    """A load on one server.

    Args:
        clock: keeps the timers.
        plan: what to do.
        questions: what is said, for at least the plan's `most` lines at once.
        expected: what a right answer is.
        now: tells the time, in seconds.
        soonest: the shortest time, in seconds, that timers are asked for; 0 lets a reactor
            watch for a time that is near, but on a `Clock` time stands still then.

    Attributes:
        tally: the counts.
        phase: what is being done, in a word; empty at the end.
        began: when that began.
        reached: whether there ever was a connection.
    """

    def __init__(
        self,
        clock: Any,
        plan: Plan,
        questions: Cycle,
        expected: Expectation,
        *,
        now: Callable[[], float],
        soonest: float = 0.0,
    ) -> None:
        self.clock = clock
        self.plan = plan
        self.questions = questions
        self.expected = expected
        self.now = now
        self.soonest = soonest
        self.tally = Tally()
        self.speakers: dict[Speaker, None] = {}
        self.in_flight = 0
        self.over = True  # no more lines are said
        self.phase = ""
        self.began = 0.0
        self.reached = False
        self._last = 0.0  # when an answer came
        self._ended = 0.0  # when the last line was said
        self._to_open = plan.connections
        self._attempts: set[Deferred[Any]] = set()
        self._loop: Loop
        self._looks: IDelayedCall | None = None
        self._timers: list[IDelayedCall] = []
        self._done: Deferred[None] | None = None

    async def measure(self, endpoint: IStreamClientEndpoint) -> Tally:
        """Connect, warm up, measure, and close.

        Returns:
            The counts; of a load without connections, only why there are none.
        """
        plan = self.plan
        await self._open(endpoint)
        if plan.warmup and self._goes_on():
            await self._run("warming up", plan.warmup, 0)
            self.tally.restart()
        if self._goes_on():
            await self._run("measuring", plan.duration, plan.count)
        await self._close()
        return self.tally

    def stop(self) -> None:
        """End now; what was measured so far counts."""
        self.tally.interrupted = True
        for attempt in list(self._attempts):
            attempt.cancel()
        self._finish()

    # What a speaker calls.

    def joined(self, speaker: Speaker) -> None:
        """A connection is made (see `Director`)."""
        self.reached = True
        self.speakers[speaker] = None

    def answered(self, speaker: Speaker, lines: int, now: float) -> None:
        """Answers came (see `Director`)."""
        self.in_flight -= lines
        self._last = now
        if not self.over:
            self._loop.answered(speaker, now)
        elif not self.in_flight:
            self._finish()

    def left(self, speaker: Speaker, why: str) -> None:
        """A connection is gone (see `Director`)."""
        del self.speakers[speaker]
        self.in_flight -= speaker.in_flight
        silent = False
        if self.phase != CLOSING:
            self.tally.broken += 1
            self.tally.lost += speaker.in_flight
            self.tally.explain(why)
            silent = self.over and not self.in_flight
        elif speaker.astray and not self.tally.interrupted:
            self.tally.broken += 1
            self.tally.explain(why)
        if silent or not self.speakers:
            self._finish()

    # What a loop calls.

    def ask(self, speaker: Speaker, count: int, due: float, step: float = 0.0) -> None:
        """Let a connection say some lines (see `Speaker`)."""
        self.in_flight += count
        speaker.ask(count, due, step)

    def later(self, delay: float, act: Callable[[], object]) -> None:
        """Do something in so many seconds, if the phase goes on."""
        self._timers = [each for each in self._timers if each.active()]
        self._timers.append(self.clock.callLater(max(self.soonest, delay), act))

    def end(self) -> None:
        """Say no more, and wait for the answers that are on their way."""
        self._fall_silent()
        if not self.in_flight:
            self._finish()

    # Connecting.

    async def _open(self, endpoint: IStreamClientEndpoint) -> None:
        """Make the connections, some at a time."""
        self.phase = "connecting"
        self.began = self.now()
        some = min(PENDING, self.plan.connections)
        await gatherResults([Deferred.fromCoroutine(self._connect(endpoint)) for _ in range(some)])

    async def _connect(self, endpoint: IStreamClientEndpoint) -> None:
        """Make connections one after another, until there are enough, or no hope for any."""
        while self._to_open and self._hopeful():
            self._to_open -= 1
            speaker = Speaker(self, self._to_open * self.questions.size // self.plan.connections)
            attempt = connectProtocol(endpoint, speaker)
            attempt.addTimeout(self.plan.timeout, self.clock)
            self._attempts.add(attempt)
            try:
                await attempt
            except (NotInTime, NotConnectedInTime):
                self._refused(f"not connected within {self.plan.timeout:g} s")
            except Exception as error:
                self._refused(str(error) or type(error).__name__)
            self._attempts.discard(attempt)

    def _refused(self, why: str) -> None:
        if not self.tally.interrupted:
            self.tally.refused += 1
            self.tally.explain(why)

    def _hopeful(self) -> bool:
        """Whether to try more connections: not when none of very many could be made."""
        some = bool(self.speakers) or self.tally.refused < PENDING
        return some and not self.tally.interrupted

    def _goes_on(self) -> bool:
        return bool(self.speakers) and not self.tally.interrupted

    # A phase.

    async def _run(self, phase: str, duration: float, count: int) -> None:
        """Say lines for so long, or so many, and hear their answers."""
        self.phase = phase
        self.over = False
        self._done = done = Deferred[None]()
        self._loop = (OpenLoop if self.plan.rate else ClosedLoop)(self, duration, count)
        self._look()
        self.began = self._last = self._ended = self.now()
        self._loop.begin()
        await done
        self._fall_silent()
        for timer in [*self._timers, self._looks]:
            if timer is not None and timer.active():
                timer.cancel()
        self.tally.seconds = max(self._last, self._ended) - self.began

    def _fall_silent(self) -> None:
        """No more lines are said; what should have been is counted."""
        if not self.over:
            self.over = True
            self._ended = self.now()
            if not self.tally.interrupted:
                self.tally.unsent += self._loop.due(self._ended)

    def _look(self) -> None:
        """Give up connections that do not answer."""
        timeout = self.plan.timeout
        late = self.now() - timeout
        for speaker in [each for each in self.speakers if each.in_flight and each.moved <= late]:
            speaker.give_up(f"no answer for {timeout:g} s")
        self._looks = self.clock.callLater(min(SELDOM, timeout / LOOKS), self._look)

    def _finish(self) -> None:
        """Everything is answered, or nothing can be any more; or everything is closed."""
        done, self._done = self._done, None
        if done is not None:
            done.callback(None)

    # Closing.

    async def _close(self) -> None:
        """Close the connections, and wait until they are."""
        self.phase = CLOSING
        if self.speakers:
            self._done = done = Deferred[None]()
            for speaker in list(self.speakers):
                if self.tally.interrupted:
                    speaker.give_up("stopped")
                else:
                    speaker.hang_up()
            drop = self.clock.callLater(GOODBYE, self._drop)
            await done
            if drop.active():
                drop.cancel()
        self.phase = ""

    def _drop(self) -> None:
        for speaker in list(self.speakers):
            speaker.give_up("not closed in time")


class ClosedLoop:
    """Each connection says a batch, waits for all its answers, and says the next.

    Args:
        load: the load.
        duration: seconds until nothing more is said; 0 if it has no end.
        count: lines to say; 0 if there is no end to them.
    """

    def __init__(self, load: Load, duration: float, count: int) -> None:
        self._load = load
        self._depth = load.plan.most
        self._duration = duration
        self._endless = not count
        self._left = count

    def begin(self) -> None:
        """All connections are there (see `Loop`)."""
        load = self._load
        if self._duration:
            load.later(self._duration, load.end)
        for speaker in list(load.speakers):
            self.answered(speaker, load.now())

    def answered(self, speaker: Speaker, now: float) -> None:
        """Answers came (see `Loop`)."""
        if speaker.in_flight:
            return
        if self._endless:
            self._load.ask(speaker, self._depth, now)
            return
        count = min(self._depth, self._left)
        self._left -= count
        if count:
            self._load.ask(speaker, count, now)
        if not self._left:
            self._load.end()

    def due(self, now: float) -> int:
        """Nothing is ever due (see `Loop`)."""
        return 0


class OpenLoop:
    """Lines are due at fixed times; whoever has room says them.

    Args:
        load: the load.
        duration: seconds until nothing more falls due; 0 if it has no end.
        count: lines to say; 0 if there is no end to them.
    """

    def __init__(self, load: Load, duration: float, count: int) -> None:
        self._load = load
        self._step = 1 / load.plan.rate
        self._depth = load.plan.most
        in_time = load.plan.lines_in(duration) if duration else count
        self._total = min(in_time, count) if count else in_time
        self._began = 0.0
        self._said = 0
        self._turns = deque(load.speakers)  # the next to say a line comes first

    def begin(self) -> None:
        """All connections are there (see `Loop`)."""
        self._began = self._load.now()
        self._tick()

    def due(self, now: float) -> int:
        """Lines that were due and were not said (see `Loop`)."""
        fallen = int((now - self._began) / self._step + 1e-6) + 1
        return min(fallen, self._total) - self._said

    def answered(self, speaker: Speaker, now: float) -> None:
        """A connection has room again (see `Loop`): it takes of what waits, if anything does."""
        waiting = self.due(now)
        if waiting:
            self._say(speaker, waiting)
            self._see_end(now)

    def _tick(self) -> None:
        """Say what is due, and wait for the next line."""
        load = self._load
        if load.over:
            return
        now = load.now()
        waiting = self.due(now)
        if waiting:
            waiting = self._share(waiting)
            load.tally.waiting = max(load.tally.waiting, waiting)
        self._see_end(now)
        following = self._began + (self._said + waiting) * self._step
        delay = following - now - COARSE
        load.later(COARSE if waiting and delay <= 0 else max(delay, 0.0), self._tick)

    def _share(self, waiting: int) -> int:
        """Give lines to connections in turn; returns how many nobody had room for."""
        turns = self._turns
        each = -(-waiting // max(1, len(self._load.speakers)))
        for _ in range(len(turns)):
            speaker = turns[0]
            turns.rotate(-1)
            if speaker in self._load.speakers:
                waiting -= self._say(speaker, min(each, waiting))
                if not waiting:
                    break
        return waiting

    def _say(self, speaker: Speaker, count: int) -> int:
        """Let a connection say so many lines, if it has room; returns how many."""
        count = min(count, speaker.room(self._depth))
        if count:
            due = self._began + self._said * self._step
            self._said += count
            self._load.ask(speaker, count, due, self._step)
        return count

    def _see_end(self, now: float) -> None:
        """End when everything is said, or there was more than enough time for it."""
        late = now - (self._began + self._total * self._step)
        if self._said >= self._total or late > self._load.plan.timeout:
            self._load.end()
