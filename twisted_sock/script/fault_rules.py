"""One fault: which lines it is for, and which of those it happens to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.logger import Logger

from twisted_sock.script.matching import Matcher
from twisted_sock.script.model import Fault

log = Logger()


@dataclass(slots=True)
class Said:
    """A line, as faults see it.

    Args:
        line: the line that they are for.
        state: the state that the conversation is in.
        number: which line it is, from 1.
    """

    line: str
    state: str
    number: int


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that is to be done now.

    Args:
        fault: which.
        seconds: its seconds, with what was drawn of its jitter.
        draw: a number from 0 up to 1, for what else is random in it.
    """

    fault: Fault
    seconds: float
    draw: float


class Site(Protocol):
    """Where faults are done: one direction of a conversation."""

    def can(self, do: str) -> bool:
        """Whether its transport lets this be done at all."""

    def wants(self, do: str) -> bool:
        """Whether there is something that it can be done to just now."""


class Known:
    """A fault made ready.

    Args:
        fault: which.

    Attributes:
        fired: how often it has, in all conversations.
        left: connections that it will still refuse.
        seen: connections that it was considered for.
        told: whether the log says that it cannot be done.
    """

    __slots__ = ("_matcher", "fault", "fired", "left", "seen", "told")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._matcher = Matcher(fault.match)
        self.fired = 0
        self.left = 0 if self.waits or fault.do != "refuse" else fault.connections or 1
        self.seen = 0
        self.told = False

    @property
    def waits(self) -> bool:
        """Whether it is for lines: a fault that refuses connections need not be."""
        fault, match = self.fault, self.fault.match
        texts = (match.exact, match.prefix, match.regex, match.json)
        of_lines = bool(match.when or fault.nth or fault.every)
        return fault.do != "refuse" or of_lines or any(each is not None for each in texts)

    @property
    def spent(self) -> bool:
        """Whether it has happened as often as it may."""
        return 0 < self.fault.times <= self.fired

    @property
    def runaways(self) -> int:
        """How often its regular expression took too long."""
        return self._matcher.runaways

    def is_for(self, said: Said, host: str) -> bool:
        """Whether a line is one that it is for."""
        if not self._matcher.concerns(said.state, host):
            return False
        before = self._matcher.runaways
        found = self._matcher.find(said.line) is not None
        if self._matcher.runaways > before == 0:
            log.warn("{name}: its regular expression took too long", name=self.fault.name)
        return found

    def knows(self, host: str) -> bool:
        """Whether it is for a peer at all."""
        return self._matcher.knows(host)

    def is_due(self, count: int) -> bool:
        """Whether it is for this one of the lines that match, counted from 1."""
        fault = self.fault
        if fault.nth and count not in fault.nth:
            return False
        return not (fault.every and count % fault.every)
