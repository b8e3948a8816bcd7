"""What can go wrong: one table of reasons, and the exceptions for our own side.

Whatever goes wrong with a *peer* is never an exception. It is a `Problem`: a reason from the
table below, told to the peer as one line, logged and counted under the same code. How a
connection ended is a reason from the same table.

What goes wrong on *our* side, a bad setting, a plug that does not load, an address that cannot
be listened on, is an exception; each says what was wrong, where, and what to do::

    SockError
     ├── SettingError   a value out of its range
     ├── ScriptError    a conversation script that cannot be used
     ├── PlugError      a line protocol that cannot be found or used
     ├── ListenError    an endpoint that cannot be listened on
     ├── NotConnected   a client that connects no more
     └── RequestError   a request that has no answer; says whether it may have been executed
          ├── NotSent         it never left: certainly not executed
          ├── ConnectionGone  it left, and the connection ended
          ├── TooLate         its deadline passed
          ├── BadAnswer       it was answered with what is no line
          └── Cancelled       its Deferred was cancelled (in `twisted_sock.client.requests`)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.StrEnum):
    """The one table of codes: for what a peer is told, for logs, counters and close reasons."""

    # What a peer is told, as "ERR <code> <words>".
    TOO_LONG = "too-long"
    UTF8 = "utf8"
    BUSY = "busy"
    SLOW = "slow"
    IDLE = "idle"
    PARTIAL = "partial"
    TIMEOUT = "timeout"
    INTERNAL = "internal"
    SHUTDOWN = "shutdown"
    FOREIGN = "foreign"
    UPSTREAM = "upstream"
    # What is only logged and counted: there is nobody yet to tell.
    HANDSHAKE = "handshake"
    DATAGRAM = "datagram"
    # How a connection ended when nobody needs to be told.
    DONE = "done"
    CLOSED = "closed"
    LOST = "lost"
    ABORTED = "aborted"
    STUCK = "stuck"


#: What each code means, for the peer and for the docs.
WORDS: dict[Reason, str] = {
    Reason.TOO_LONG: "the line is too long",
    Reason.UTF8: "the line is not valid UTF-8",
    Reason.BUSY: "too many connections, try again later",
    Reason.SLOW: "replies were not read in time",
    Reason.IDLE: "nothing was said for too long",
    Reason.PARTIAL: "a line was begun but not finished in time",
    Reason.TIMEOUT: "no reply in time",
    Reason.INTERNAL: "the server failed on this line",
    Reason.SHUTDOWN: "the server is stopping",
    Reason.FOREIGN: "this is not the protocol that is spoken here",
    Reason.UPSTREAM: "the server behind this one cannot be spoken to",
    Reason.HANDSHAKE: "the connection was not set up",
    Reason.DATAGRAM: "the datagram was dropped",
    Reason.DONE: "the peer had finished and everything was answered",
    Reason.CLOSED: "closed by this side",
    Reason.LOST: "the connection broke",
    Reason.ABORTED: "aborted by this side",
    Reason.STUCK: "the peer did not take the rest before the grace time was over",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong with one peer.

    Args:
        reason: the code from the table.
        words: what to tell the peer; the table's words when empty.
        fatal: whether the connection is closed after the peer has been told.
    """

    reason: Reason
    words: str = ""
    fatal: bool = False

    def __str__(self) -> str:
        return f"ERR {self.reason} {self.words or WORDS[self.reason]}"


class SockError(Exception):
    """Base of everything that this package raises for a mistake on our own side."""


class SettingError(SockError, ValueError):
    """A setting has a value that it cannot have."""


class ScriptError(SockError):
    """A conversation script cannot be used; says file, line and key."""


class PlugError(SockError):
    """A line protocol cannot be found, imported or used."""


class ListenError(SockError):
    """An endpoint cannot be listened on."""


class NotConnected(SockError):
    """A client connects no more: it was stopped, or gave up."""


class RequestError(SockError):
    """A request has no answer.

    Args:
        line: the question. Not part of the message, as it may hold a password.
        why: what went wrong.
        maybe_executed: whether the server may have got it, and done what it asks for. When
            False, it can safely be asked again.
    """

    def __init__(self, line: str, why: str, maybe_executed: bool) -> None:
        super().__init__(why)
        self.line = line
        self.maybe_executed = maybe_executed


class NotSent(RequestError):
    """The line never left: refused, dropped, or the client ended first."""

    def __init__(self, line: str, why: str) -> None:
        super().__init__(line, why, False)


class ConnectionGone(RequestError):
    """The line was handed to a connection that ended before the answer came."""

    def __init__(self, line: str, why: str) -> None:
        super().__init__(line, why, True)


class TooLate(RequestError):
    """The deadline passed; an answer that still comes is thrown away."""


class BadAnswer(RequestError):
    """The answer is too long, or not UTF-8."""

    def __init__(self, line: str, why: str) -> None:
        super().__init__(line, why, True)
