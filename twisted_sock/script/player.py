"""One conversation that goes as a script says.

The short way: a line that always has the same plain reply is found in a dictionary and answered
with what is there; another may be for a rule that is one function from a line to its reply.
Whatever else a rule asks for goes the long way, `Player.answer`.

A delay is a reply that comes later; the session keeps replies in the order of their lines. A
state is entered at once, so that the next line finds it, however long the reply takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any, Protocol, cast

from twisted.internet.task import deferLater

from twisted_sock.errors import Reason
from twisted_sock.interfaces import Reply
from twisted_sock.many import ManyLines
from twisted_sock.protocol import LineProtocol
from twisted_sock.script.captured import NOTHING, Captured
from twisted_sock.script.cues import Cue, Known, Plot, ReadyPush, Way
from twisted_sock.script.faults import Faults, Faulty
from twisted_sock.script.matching import parsed
from twisted_sock.script.pushing import Pushing
from twisted_sock.script.template import Values


class Shared(Protocol):
    """What all conversations of a script share, as far as one asks for it."""

    @property
    def plot(self) -> Plot:
        """The script."""

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""

    @property
    def reactor(self) -> Any:
        """Has the timers and tells the time."""

    def joined(self, player: Player) -> int:
        """A conversation begins; returns its number, from 1."""

    def left(self, player: Player) -> None:
        """A conversation is over."""

    def unheard(self, line: str, player: Player) -> None:
        """No rule was for a line."""

    def no_room(self) -> None:
        """A push could not begin, as there are too many."""


class Followed(Protocol):
    """What faults need of a session, besides (see `session.Session`)."""

    def follow(self, follower: Faulty) -> None:
        """Tell when the client has finished."""


class Player(LineProtocol, ManyLines):
    """The script's side of one conversation.

    Args:
        playing: what all conversations share.

    Attributes:
        state: the state of the script that it is in.
    """

    def __init__(self, playing: Shared) -> None:
        self._playing = playing
        self._way: Way
        self._short_way: tuple[Mapping[str, Known], Mapping[str, Cue]] = {}, {}  # see `Way`
        self._faulty: Faulty | None = None
        self._pushing: Pushing | None = None
        self._counts: dict[str, int] = {}  # by rule name, for rules that need it
        self._number = 0
        self._random: Random | None = None  # what draws; None until it is needed
        self._over = False
        self._host = ""
        self._plot = playing.plot
        self.state = self._plot.script.start

    # LineProtocol.

    def connectionMade(self) -> Reply:
        """Greet."""
        if self._playing.faults.refuses(self.peer):
            self.abort()
            return None
        self._number = self._playing.joined(self)
        self._host = self.peer.host
        self.look_again()
        plot = self._playing.plot
        self._push(plot.pushes, lambda counter: self._values(counter=counter))
        greeting = [each.render(self._values()) for each in plot.greeting]
        return greeting[0] if len(greeting) == 1 else greeting or None

    def lineReceived(self, line: str) -> Reply:
        """Reply as the script says."""
        known, _ = self._short_way
        if line not in known:
            return self._reply(line)
        cue, reply = known[line]
        cue.hits += 1
        return reply

    def answer_lines(self, lines: Iterator[str], replies: list[str]) -> Reply:
        """Reply to many as the script says (see `ManyLines`).

        Of the lines that were not known the last is remembered: where all are new, it would only
        take time to remember each.
        """
        known, alone = self._short_way
        usual = self._way.usual
        new, by, said = "", None, ""
        for line in lines:
            if line in known:
                cue, reply = known[line]
                cue.hits += 1
                replies.append(reply)
                continue
            head = line[:usual]
            if head in alone:
                cue = alone[head]
                answer = cue.answer(line)
                if answer is not None:
                    cue.hits += 1
                    replies.append(answer)
                    new, by, said = line, cue, answer
                    continue
            if by is not None:  # before the state may be another
                self._way.remember(new, by, said)
                by = None
            slow = self._fall_back(line) if head in alone else self._reply(line)
            if type(slow) is str:
                replies.append(slow)
            elif slow is not None:
                return slow
            known, alone = self._short_way
            usual = self._way.usual
        if by is not None:
            self._way.remember(new, by, said)
        return None

    def connectionLost(self, reason: Reason) -> None:
        """Stop pushing."""
        self._over = True
        self._playing.left(self)
        if self._pushing is not None:
            self._pushing.stop()
        if self._faulty is not None:
            self._faulty.ended()

    # What `Playing` calls.

    def look_again(self) -> None:
        """The script or its faults are not what they were."""
        if self._faulty is None:
            self._faulty = self._playing.faults.begin(self)
            if self._faulty is not None:
                cast(Followed, self.session).follow(self._faulty)
        plot = self._playing.plot
        if plot is not self._plot:
            self._plot, self._random = plot, None
        self._enter(self.state if self.state in plot.states else plot.script.start)

    def begin_anew(self, number: int) -> None:
        """Begin sequences and draws anew."""
        self._number = number
        self._random = None
        self._counts.clear()

    def answer(self, line: str) -> Reply:
        """The script's reply to a line, whatever goes wrong."""
        if self._over:
            return None
        always = True  # not if one was given up that may have been for it
        for cue in self._way.candidates(line):
            if cue.quick:
                reply = cue.answer(line)
                if reply is None:
                    always = always and not cue.matcher.runaways
                    continue
                cue.hits += 1
                if always:
                    self._way.remember(line, cue, reply)
                return reply
            captured = cue.matcher.captured(line)
            if captured is None:
                always = always and not cue.matcher.runaways
                continue
            if cue.limited and self._is_used_up(cue):
                always = False
                continue
            cue.hits += 1
            return self._perform(cue, line, captured)
        return self._fall_back(line)

    # The long way.

    def _reply(self, line: str) -> Reply:
        """Reply to a line that has no reply ready."""
        if self._faulty is not None:
            return self._faulty.answer(line, self.answer)
        return self.answer(line)

    def _fall_back(self, line: str) -> Reply:
        """No rule is for a line."""
        self._playing.unheard(line, self)
        return self._perform(self._playing.plot.fallback, line, NOTHING)

    def _is_used_up(self, cue: Cue) -> bool:
        rule = cue.rule
        here = self._counts.get(rule.name, 0)
        return 0 < rule.times <= here or 0 < rule.total <= cue.hits

    def _perform(self, cue: Cue, line: str, captured: Captured) -> Reply:
        """Do what a rule asks for; returns what it replies."""
        rule = cue.rule
        number = 0
        if cue.counted:
            number = self._counts.get(rule.name, 0)
            self._counts[rule.name] = number + 1
        values = partial(self._values, line, captured, parsed(line) if cue.fields else None)
        reply = cue.say(number, values(cue.hits))
        if rule.then is not None:
            self._enter(rule.then)
        if cue.pushes:
            reply = self._reply_and_push(reply, cue, values)
        seconds = rule.delay + (rule.jitter and self._draws().uniform(0, rule.jitter))
        if rule.close:
            self._over = True
            self._enter(self.state)
        if seconds:
            return deferLater(self._playing.reactor, seconds, self._end_with, reply, rule.close)
        return self._end_with(reply, rule.close)

    def _end_with(self, reply: Reply, close: bool) -> Reply:
        """A reply, after which the conversation may be over."""
        if close:
            (self._faulty or self).close()
        return reply

    def _reply_and_push(
        self, reply: Reply, cue: Cue, values: Callable[[int], Values]
    ) -> Iterator[str]:
        """Give the lines of a reply, and begin to push when they are out."""
        if isinstance(reply, str):
            yield reply
        elif isinstance(reply, list):
            yield from reply
        self._push(cue.pushes, values)

    def _push(self, pushes: list[ReadyPush], values: Callable[[int], Values]) -> None:
        for push in pushes:
            if self._pushing is None:
                self._pushing = Pushing(self._playing.reactor, self.sendLine)
            if not self._pushing.begin(push, values):
                self._playing.no_room()

    def _enter(self, state: str) -> None:
        """From now on the conversation is in a state."""
        self.state = state
        self._way = way = self._playing.plot.way(state, self._host)
        is_short = self._faulty is None and not self._over
        self._short_way = (way.known, way.alone) if is_short else ({}, {})

    def _draws(self) -> Random:
        """What is drawn in this conversation: from the seed, whatever happens in others."""
        if self._random is None:
            self._random = Random(f"{self._playing.plot.script.seed}/{self._number}")
        return self._random

    def _values(
        self, line: str = "", captured: Captured = NOTHING, json: Any = None, counter: int = 0
    ) -> Values:
        """What is filled in."""
        return Values(
            seconds=self._playing.reactor.seconds,
            random=self._draws(),
            line=line,
            captured=captured,
            counter=counter,
            client=self._host or str(self.peer),
            state=self.state,
            json=json,
        )
