"""A script at work: what its conversations share, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.logger import Logger

from twisted_sock.script.cues import Cue, Plot
from twisted_sock.script.faults import Faults
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.script.player import Player
from twisted_sock.script.pushing import MOST_PUSHES
from twisted_sock.script.reading import read
from twisted_sock.script.report import Unheard, named, too_often_or_seldom


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
        self.plot.forget()
        self._unheard.clear()
        self._ran_away.clear()
        self._dropped = self._number = 0
        self.faults.reset()
        for player in self._players:
            player.begin_anew(self.next_number())

    def play(self, script: Script) -> None:
        """Go on with another script; conversations live on.

        They stay in their state where the other script has it, and begin anew where it has not.
        Rules of the same name go on with their hits; what is drawn begins anew.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        self.go_on_with(Plot(script))

    def go_on_with(self, plot: Plot) -> None:
        """Do what `play` does with a script that was made ready already, in a thread maybe.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        script = plot.script
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
