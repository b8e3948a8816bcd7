"""What one conversation that is passed on needs of others: its session, and what all share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from twisted_sock.errors import Problem
from twisted_sock.interfaces import Conversation, Wire
from twisted_sock.script.faults import Faults
from twisted_sock.script.recording import Conversation as Talk
from twisted_sock.settings import Limits, LinePolicy
from twisted_sock.upstream import Link, Listener


class ProxiedSession(Conversation, Protocol):
    """What a relay needs of its session (see `session.Session`)."""

    @property
    def wire(self) -> Wire:
        """What is below the lines."""

    @property
    def policy(self) -> LinePolicy:
        """What a line is."""

    @property
    def limits(self) -> Limits:
        """What a peer may cost."""

    @property
    def full(self) -> bool:
        """Whether the client is behind with reading."""

    def follow(self, follower: Any) -> None:
        """Tell when the client has finished, and when it is no longer behind."""

    def tell(self, problem: Problem) -> None:
        """Tell the client of a problem; the conversation goes on."""

    def fail(self, problem: Problem) -> None:
        """Tell the client of a problem, and close."""


class Passing(Listener, Protocol):
    """A conversation, as the others know it."""

    def look_again(self) -> None:
        """There may be other faults."""


class Switchboard(Protocol):
    """What a relay shares with the others."""

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""

    def connect(self, listener: Listener, policy: LinePolicy, limits: Limits) -> Link:
        """Begin to connect to the server."""

    def later(self, seconds: float, call: Callable[[], object]) -> IDelayedCall:
        """Call something later."""

    def recorded(self) -> Talk | None:
        """Where to keep what is said, if it is to be kept."""

    def joined(self, relay: Passing) -> None:
        """A conversation begins."""

    def left(self, relay: Passing) -> None:
        """A conversation is over."""
