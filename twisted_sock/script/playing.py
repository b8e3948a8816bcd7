"""A script at work: conversations that go as it says, and what came of them.

`Playing` is one for all conversations, a `Player` has one of them. The short way is
`Player.lineReceived`: a line that always has the same plain reply is found in a dictionary and
answered with what is there. Whatever else a rule asks for goes the long way.

A delay is a reply that comes later; the session keeps replies in the order of their lines. A
state is entered at once, so that the next line finds it, however long the reply takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import Logger

from twisted_sock.errors import Reason
from twisted_sock.interfaces import Reply
from twisted_sock.protocol import LineProtocol
from twisted_sock.script.cues import Cue, Known, Plot, ReadyPush, Way
from twisted_sock.script.faults import Faults, Faulty
from twisted_sock.script.matching import NOTHING, parsed
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.script.pattern import Captured
from twisted_sock.script.pushing import MOST_PUSHES, Pushing
from twisted_sock.script.reading import read
from twisted_sock.script.report import Unheard, named, too_often_or_seldom
from twisted_sock.script.template import Values

#: What a player knows when each line has to go the long way; never written to.
UNKNOWN: dict[str, Known] = {}


class Playing:
    """A script at work: a `LineApplication`, and `Scripted`.

    Args:
        script: what it says.
        reactor: has the timers; the one that `start` is given, or the global one, when left out.

    Raises:
        ScriptError: the script cannot be used.
    """

    log = Logger()

    def __init__(self, script: Script, reactor: Any = None) -> None:
        self.plot = Plot(script)
        self._faults: Faults | None = None
        self._reactor = reactor
        self._unheard = Unheard()
        self._players: dict[Player, None] = {}  # in their order
        self._number = 0
        self._dropped = 0  # pushes that there was no room for
        self._ran_away: set[Cue] = set()

    # LineApplication.

    def build_protocol(self) -> Player:
        """The script's side of one more conversation."""
        return Player(self)

    def start(self, reactor: Any) -> None:
        """The service starts (see `LineApplication`)."""
        self._reactor = reactor

    def stop(self) -> None:
        """The service has stopped; every conversation is over."""

    # Scripted.

    def report(self) -> Report:
        """What it was used for since it began, or since `reset`."""
        return Report(
            hits={cue.rule.name: cue.hits for cue in self.plot.cues},
            unmatched=self._unheard.lines(),
            fired=dict(self.faults.fired),
            firings=list(self.faults.firings),
            missed=list(self._missed()),
        )

    def reset(self) -> None:
        """Forget hits, unmatched lines and firings, and begin sequences and draws anew."""
        for cue in self.plot.cues:
            cue.hits = cue.matcher.runaways = 0
        self._unheard.clear()
        self._ran_away.clear()
        self._dropped = self._number = 0
        self.faults.reset()
        for player in self._players:
            player.begin_anew(self.next_number())

    def play(self, script: Script) -> None:
        """Go on with another script; conversations live on.

        They stay in their state where the other script has it, and begin anew where it has not.
        Rules of the same name go on with their hits.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        plot = Plot(script)
        hits = {cue.rule.name: cue.hits for cue in self.plot.cues}
        for cue in plot.cues:
            cue.hits = hits.get(cue.rule.name, 0)
        self.faults.load(script.faults, script.seed)
        self.plot = plot
        self._look_again()

    def inject(self, fault: Fault) -> None:
        """Let a fault happen from now on, besides those of the script."""
        self.faults.inject(fault)
        self._look_again()

    def remove(self, name: str) -> bool:
        """Let a fault happen no more; returns whether there was one."""
        return self.faults.remove(name)

    def load(self, path: str) -> None:
        """Go on with the script in a file (see `play`).

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        self.play(read(path))

    def hang_up(self) -> None:
        """Drop all conversations that go on."""
        for player in list(self._players):
            player.abort()

    # What players ask for.

    @property
    def reactor(self) -> Any:
        """Has the timers and tells the time."""
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        return self._reactor

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        if self._faults is None:
            script = self.plot.script
            self._faults = Faults(script.faults, script.seed, self.reactor)
        return self._faults

    def joined(self, player: Player) -> int:
        """A conversation begins; returns its number, from 1."""
        self._players[player] = None
        return self.next_number()

    def next_number(self) -> int:
        """The number of one more conversation."""
        self._number += 1
        return self._number

    def left(self, player: Player) -> None:
        """A conversation is over."""
        self._players.pop(player, None)

    def unheard(self, line: str, player: Player) -> None:
        """No rule was for a line."""
        self._unheard.add(line, player.peer)
        for cue in self.plot.cues:
            if cue.matcher.runaways and cue not in self._ran_away:
                self._ran_away.add(cue)
                self.log.warn(
                    "{rule}: its regular expression took too long", rule=self._named(cue)
                )

    def no_room(self) -> None:
        """A push could not begin, as there are too many."""
        self._dropped += 1

    # Inside.

    def _look_again(self) -> None:
        for player in list(self._players):
            player.look_again()

    def _named(self, cue: Cue) -> str:
        return named(cue.rule, self.plot.script.path)

    def _missed(self) -> Iterator[str]:
        """What is not as the script expects."""
        script = self.plot.script
        for cue in self.plot.cues:
            yield from too_often_or_seldom(cue.rule, cue.hits, script.path)
            if times := cue.matcher.runaways:
                yield f"{self._named(cue)}: its regular expression took too long {times} times"
        yield from self.faults.missed()
        if script.strict:
            yield from self._unheard.missed()
        if self._dropped:
            yield f"{self._dropped} pushes were not begun: {MOST_PUSHES} were going on"


class Player(LineProtocol):
    """The script's side of one conversation.

    Args:
        playing: what all conversations share.

    Attributes:
        state: the state of the script that it is in.
    """

    def __init__(self, playing: Playing) -> None:
        self._playing = playing
        self._known = UNKNOWN
        self._way: Way
        self._faulty: Faulty | None = None
        self._pushing: Pushing | None = None
        self._counts: dict[str, int] = {}  # by rule name, for rules that need it
        self._number = 0
        self._random: Random | None = None
        self._over = False
        self._host = ""
        self.state = playing.plot.script.start

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
        known = self._known.get(line)
        if known is not None:
            cue, reply = known
            cue.hits += 1
            return reply
        if self._faulty is not None:
            return self._faulty.answer(line, self.answer)
        return self.answer(line)

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
        plot = self._playing.plot
        self._enter(self.state if self.state in plot.states else plot.script.start)

    def begin_anew(self, number: int) -> None:
        """Begin sequences and draws anew."""
        self._number = number
        self._random = None
        self._counts.clear()

    # The long way.

    def answer(self, line: str) -> Reply:
        """The script's reply to a line, whatever goes wrong."""
        if self._over:
            return None
        always = True
        for cue in self._way.candidates(line):
            captured = cue.find(line)
            if captured is None:
                continue
            if cue.limited:
                always = False
                if self._is_used_up(cue):
                    continue
            cue.hits += 1
            if not cue.steady:
                return self._perform(cue, line, captured)
            reply = cue.reply(line, captured)
            if always:
                self._way.remember(line, cue, reply)
            return reply
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
            self._known = UNKNOWN
        if seconds:
            return deferLater(self._playing.reactor, seconds, self._end_with, reply, rule.close)
        return self._end_with(reply, rule.close)

    def _end_with(self, reply: Reply, close: bool) -> Reply:
        """A reply, after which the conversation may be over."""
        if close:
            self.close()
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
        self._way = self._playing.plot.way(state, self._host)
        self._known = UNKNOWN if self._faulty is not None or self._over else self._way.known

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
            captures=captured.groups,
            names=captured.names,
            counter=counter,
            client=self._host or str(self.peer),
            state=self.state,
            json=json,
        )
