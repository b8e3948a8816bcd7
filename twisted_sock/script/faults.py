"""Faults on purpose: what goes wrong in the conversations of a mock or a proxy, and when.

The contract, for those who build on it:

A mock makes one `Faults` for all. For each connection it asks `refuses(peer)` as it comes, and
aborts it when that is so. When a conversation begins it calls `begin(conversation)`; if that
gives something, each line is answered with what its `answer(line, play)` returns, `play` being
the mock's own reply to a line. It follows the session (see `session.Follower`), and the mock
closes by its `close()`, so that what is kept is said before the end. `ended()` ends all that is
still under way.

A proxy does the same, but instead of `answer` it has two `Way`s: `way("line", ...)` to its server
and `way("reply", ...)` from it. Each line is given to `Way.pass_on`, and `Way.finish` is called
before the end.

Order: replies leave in the order of their lines, and lines are played in theirs, however long a
fault takes. Only `reorder` changes that: what it keeps is said after what comes next, or after
`KEPT_FOR` seconds if nothing does, or at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_sock.errors import Reason
from twisted_sock.interfaces import Conversation, Peer, Reply, Wire
from twisted_sock.script.fault_acts import Stage, StageNow
from twisted_sock.script.fault_book import NOTHING, Book, Chances
from twisted_sock.script.fault_rules import Fired, Said, Site
from twisted_sock.script.fault_told import Told, lines_of, one_after_another
from twisted_sock.script.fault_ways import Kept, Turns, Way
from twisted_sock.script.model import Fault, Firing


class Faultable(Protocol):
    """What faults need of a conversation; a `LineProtocol` with a state is one.

    Attributes:
        session: its session.
        state: the state of the script that it is in.
    """

    session: Conversation
    state: str

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""

    def sendLine(self, line: str) -> None:
        """Send a line now."""

    def close(self) -> None:
        """Take no more lines, say the rest, close."""


class Faults:
    """What goes wrong, in all conversations.

    Args:
        faults: those of the script.
        seed: what is random is drawn from it.
        reactor: has the timers and tells the time.

    Raises:
        ScriptError: a fault cannot be used.
    """

    def __init__(self, faults: Iterable[Fault], seed: int, reactor: IReactorTime) -> None:
        self._clock = reactor
        self._book = Book(faults, seed, reactor)
        self._number = 0

    @property
    def fired(self) -> dict[str, int]:
        """By name, how often each has fired."""
        return self._book.fired

    @property
    def firings(self) -> deque[Firing]:
        """The last 1,000 of these."""
        return self._book.firings

    def missed(self) -> list[str]:
        """What could not be matched as the script says, one sentence each; for a `Report`."""
        return self._book.missed()

    def refuses(self, peer: Peer) -> bool:
        """Whether a connection that has just come is to be aborted; asked once for each."""
        return self._book.refuses(peer)

    def begin(self, conversation: Faultable) -> Faulty | None:
        """A conversation begins, or goes on after something was injected.

        Returns:
            What goes wrong in it; None when nothing can, until something is injected or loaded.
        """
        if self._book.empty:
            return None
        self._number += 1
        return Faulty(self._book, self._clock, conversation, self._number)

    def load(self, faults: Iterable[Fault], seed: int | None = None) -> None:
        """From now on these happen; those that were injected still do.

        Args:
            faults: those of a script. One that is as it was goes on counting.
            seed: what is drawn from; as before when left out.

        Raises:
            ScriptError: a fault cannot be used; nothing is changed.
        """
        self._book.load(faults, seed)

    def inject(self, fault: Fault) -> None:
        """Let this one happen, too; it replaces one that was injected under its name.

        Raises:
            ScriptError: it cannot be used.
        """
        self._book.inject(fault)

    def remove(self, name: str) -> bool:
        """It happens no more; returns whether there was one."""
        return self._book.remove(name)

    def reset(self) -> None:
        """Forget what has fired, and begin to count and to draw anew."""
        self._number = 0
        self._book.reset()


class Faulty:
    """What goes wrong in one conversation.

    Args:
        book: the faults of all conversations.
        clock: has the timers.
        conversation: this one.
        number: which it is, from 1.
    """

    def __init__(
        self, book: Book, clock: IReactorTime, conversation: Faultable, number: int
    ) -> None:
        self._clock = clock
        self._conversation = conversation
        self._chances = Chances(book, number, conversation.peer)
        self._ways: list[Way] = []
        self._kept = Kept(clock, self._let_go)
        self._aside = Turns(conversation.sendLine)  # what is said in the turn of no line
        self._answering = False  # a line has come just now
        self._closing = False  # no line comes any more
        self._lines = 0  # that have come
        self._last: Told | None = None  # of those that are not played at once
        self._hearing_again: IDelayedCall | None = None
        self._over = False
        wire = self.wire
        self._in = Stage(clock, wire, wire, spoken=True)
        self._out = Stage(clock, wire, wire)

    def wire(self) -> Wire:
        """The connection to the peer."""
        return self._conversation.session.wire

    # For a mock.

    def answer(self, line: str, play: Callable[[str], Reply]) -> Reply:
        """A line came.

        Args:
            line: what was said.
            play: gives the reply to a line; is called once, often, later, or never.

        Returns:
            The reply: that of `play` itself, if nothing goes wrong.
        """
        self._lines += 1
        before = self._kept.told
        self._answering = True
        try:
            reply = self._answered(line, play, self._lines)
        finally:
            self._answering = False
        if before is None or self._kept.told is not before:
            return reply
        self._kept.take()
        return Told(one_after_another(reply, before))

    def close(self) -> None:
        """Close the conversation when what is kept is said."""
        self._closing = True
        if not self._answering:  # else it is said after this answer
            self._let_go()
        rest = self._aside.rest()
        if rest is None:
            self._conversation.close()
        else:
            rest.addCallback(lambda _: self._conversation.close())

    def input_ended(self, reason: Reason) -> Deferred[None] | None:
        """The client has finished: nothing comes next (see `session.Follower`)."""
        self._closing = True
        self._let_go()
        return self._aside.rest()

    def room_again(self) -> None:
        """Nothing here waits for the client to read (see `session.Follower`)."""

    def _let_go(self) -> None:
        """Say what is kept, without anything before it."""
        told = self._kept.take()
        if told is not None:
            self._aside.put(told)

    @property
    def _free(self) -> bool:
        """Whether something can be kept until after the next."""
        return self._kept.told is None and not self._closing

    def _answered(self, line: str, play: Callable[[str], Reply], number: int) -> Reply:
        fired: Sequence[Fired] = NOTHING
        if not self._chances.none("line"):
            said = Said(line, self._conversation.state, number)
            fired = self.take("line", said, StageNow(self._in, True, self._free))
        if not fired and (self._last is None or self._last.over):
            return self._replied(line, play, number)
        told = self._last = Told(self._played(fired, line, play, number))
        return self._kept.unless_reordered(fired, told)

    async def _played(
        self, fired: Sequence[Fired], line: str, play: Callable[[str], Reply], number: int
    ) -> AsyncGenerator[str, None]:
        """The replies to a line that is not heard as it was said, or not at once."""
        async for heard in self._in.told(fired, line):
            async for said in lines_of(self._replied(heard, play, number)):
                yield said

    def _replied(self, line: str, play: Callable[[str], Reply], number: int) -> Reply:
        """The reply to a line, with what goes wrong with that."""
        if self._chances.none("reply"):
            return play(line)
        said = Said(line, self._conversation.state, number)
        reply = play(line)
        site = StageNow(self._out, reply is not None, self._free)
        fired = self.take("reply", said, site)
        if not fired:
            return reply
        told = self._out.told(fired, reply)
        return self._kept.unless_reordered(fired, told)

    # For a proxy.

    def way(self, side: str, wire: Callable[[], Wire], say: Callable[[str], object]) -> Way:
        """One direction of a conversation that is passed on.

        Args:
            side: "line": what the peer says; "reply": what is said to it.
            wire: gives the connection that it goes to.
            say: sends a line to it.
        """
        stage = Stage(self._clock, wire, self.wire)
        way = Way(partial(self._take_passed, side), self._clock, stage, say)
        self._ways.append(way)
        return way

    def _take_passed(self, side: str, line: str, number: int, site: Site) -> Sequence[Fired]:
        return self.take(side, Said(line, self._conversation.state, number), site)

    # For both.

    def take(self, side: str, said: Said, site: Site) -> Sequence[Fired]:
        """What happens to a line. What does not concern what is said is done at once.

        Args:
            side: see `way`.
            said: the line.
            site: where the rest is done.
        """
        if self._over:
            return NOTHING
        fired = self._chances.take(side, said, site)
        deafening = [each for each in fired if each.fault.do == "stop-reading"]
        if not deafening:
            return fired
        self._stop_reading(deafening[-1].seconds)
        return [each for each in fired if each not in deafening]

    def ended(self) -> None:
        """The conversation is over: nothing is done any more."""
        self._over = True
        self._kept.drop()
        self._aside.drop()
        for way in self._ways:
            way.ended()
        if self._hearing_again is not None and self._hearing_again.active():
            self._hearing_again.cancel()

    def _stop_reading(self, seconds: float) -> None:
        self.wire().stop_reading()
        if self._hearing_again is not None and self._hearing_again.active():
            self._hearing_again.cancel()
        self._hearing_again = None
        if seconds:
            self._hearing_again = self._clock.callLater(seconds, self._hear_again)

    def _hear_again(self) -> None:
        self.wire().read_again()
