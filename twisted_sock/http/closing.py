"""The end of a connection that may still have something to send, and something to throw away.

What is unsent goes out first, for as long as the peer takes it. Then only the sending side is
closed, and what still comes is thrown away until the peer closes, too: a socket closed with
unread input would send a reset, which can destroy the answer that the peer has not read yet.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.interfaces import ISSLTransport

from twisted_sock.interfaces import LineOwner

#: How often in a grace time progress is looked for.
LOOKS = 8


class Closing:
    """Closes a connection, and sees that it ends.

    Args:
        owner: whom it belongs to.
        transport: the connection.
        input_over: whether the peer has closed its side.

    Attributes:
        halves: whether our side is closed first.
        bucket: where `Deadlines` keeps it; not for others to touch.
    """

    bucket = 0.0

    def __init__(self, owner: LineOwner, transport: Any, input_over: bool) -> None:
        self._owner = owner
        self._transport = transport
        can = hasattr(transport, "loseWriteConnection") and not input_over
        self.halves = can and not ISSLTransport.providedBy(transport)
        self._unsent = 0  # bytes, when last looked
        self._moved = 0.0  # when the peer was last seen to take some of them

    def begin(self) -> None:
        """Close, our side first where that can be."""
        self._transport.unregisterProducer()
        self._transport.resumeProducing()
        if self.halves:
            self._transport.loseWriteConnection()
        else:
            self._transport.loseConnection()

    def watch(self) -> None:
        """See from now on that the peer does its part."""
        self._unsent = unsent(self._transport)
        self._moved = self._owner.now()
        self._owner.deadlines.watch(self, self._moved + self._grace / LOOKS)

    def forget(self) -> None:
        """The connection is gone."""
        self._owner.deadlines.forget(self)

    def check(self, now: float) -> float:
        """The peer must have done something by now (see `Watched`)."""
        before, self._unsent = self._unsent, unsent(self._transport)
        if self._unsent != before:
            self._moved = now
        due = self._moved + self._grace
        if now < due:
            return min(due, now + self._grace / LOOKS)
        if self.halves and not self._unsent:
            self._transport.loseConnection()
        else:
            self._transport.abortConnection()
        return math.inf

    @property
    def _grace(self) -> float:
        return self._owner.limits.close_grace or math.inf


def unsent(transport: Any) -> int:
    """Bytes that a transport of Twisted's still has to send, with those of the ones below it."""
    size = 0
    while transport is not None:
        size += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        size += getattr(transport, "_tempDataLen", 0)
        transport = getattr(transport, "transport", None)
    return size
