"""A stream of bytes below its lines: pieces of lines, one-sided ends, deafness (see `Wire`).

A `StreamWire` comes to stand between a `LineStream` and its transport when it is first asked
for. Who never asks has nothing of it in the way.

What waits for its `release` waits here, as in the buffer of a transport: past `ENOUGH` the stream
is told that there is enough, and deals with it as with a peer that is behind.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import ISSLTransport
from zope.interface import directlyProvides, providedBy

#: Bytes that may wait for `release` before the stream is told that there is enough, as many as
#: Twisted's transports hold.
ENOUGH = 65536


class Stream(Protocol):
    """What a wire needs of the stream that it belongs to."""

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as."""

    def spill(self) -> None:
        """Hand all that waits to the transport, even if it has enough."""

    def sent(self, size: int, lines: int) -> None:
        """Count what is sent past the stream."""

    def resume(self) -> None:
        """Read again."""

    def wire_full(self) -> None:
        """Enough waits for `release`."""

    def wire_free(self) -> None:
        """Nothing waits any more."""


class StreamWire:
    """A `Wire`, and the transport of its stream.

    What is sent is written to the transport, unless something is held. What the transport can
    besides, it still can.

    Args:
        stream: whose transport this is from now on.
        transport: the transport that it had.

    Attributes:
        deaf: whether nothing is read, whoever wants to.
        full: whether enough waits for `release`.
    """

    streams = True

    def __init__(self, stream: Stream, transport: Any) -> None:
        self._stream = stream
        self._below = transport
        self._held: list[bytes] | None = None  # what waits for `release`
        self._size = 0  # bytes of it
        self.full = False
        self._ending = ""  # how the transport is told to end then
        self._mute = False
        self.deaf = False
        self._paused = False  # whether the stream wants to read nothing
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._below, name)
        # Only who has a transport that can may be told to.
        return self._end_our_side if name == "loseWriteConnection" else found

    # Wire.

    @property
    def halves(self) -> bool:
        """Whether our side can be ended by itself; TLS has no such thing, nor has HTTP."""
        able = hasattr(self._below, "loseWriteConnection")
        return able and not ISSLTransport.providedBy(self._below)

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as."""
        return self._stream.encode(lines)

    def hold(self) -> None:
        """Let whatever else is sent wait."""
        self._stream.spill()
        if self._held is None:
            self._held = []

    def send_bytes(self, data: bytes, lines: int = 0) -> None:
        """Send exactly this, now."""
        if self._held is None:
            self._stream.spill()
        if not self._mute:
            self._stream.sent(len(data), lines)
            self._below.write(data)

    def release(self) -> None:
        """Send what has waited, and end if that was wanted meanwhile."""
        held, self._held = self._held, None
        ending, self._ending = self._ending, ""
        full, self.full = self.full, False
        self._size = 0
        if held:
            self.write(b"".join(held))
        if full:
            self._stream.wire_free()
        if ending:
            getattr(self, ending)()

    def end_output(self) -> None:
        """End our side; what is sent from now on goes nowhere."""
        self._stream.spill()
        self._mute = True
        self._below.loseWriteConnection()

    def stop_reading(self) -> None:
        """Take nothing more from the peer."""
        self.deaf = True
        self._below.pauseProducing()

    def read_again(self) -> None:
        """Take it again."""
        self.deaf = False
        if not self._paused:
            self._stream.resume()

    def abort(self) -> None:
        """Break the connection off, below whatever is laid upon it: TLS would say goodbye."""
        below = self._below
        while hasattr(getattr(below, "transport", None), "abortConnection"):
            below = below.transport
        below.abortConnection()

    # What the stream calls: the parts of its transport that are different.

    def write(self, data: bytes) -> None:
        """Send some bytes, if it is their time."""
        if self._held is not None:
            self._held.append(data)
            self._size += len(data)
            if self._size > ENOUGH and not self.full:
                self.full = True
                self._stream.wire_full()
        elif not self._mute:
            self._below.write(data)

    def pauseProducing(self) -> None:
        """Read no more."""
        self._paused = True
        self._below.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again, if anything is read at all."""
        self._paused = False
        if not self.deaf:
            self._below.resumeProducing()

    def _end_our_side(self) -> None:
        """End it, after what is held; then the peer's end is waited for."""
        self.deaf = False
        if self._held is None:
            self._below.loseWriteConnection()
        else:
            self._ending = "loseWriteConnection"

    def loseConnection(self) -> None:
        """Close, after what is held."""
        self.deaf = False
        if self._held is None:
            self._below.loseConnection()
        else:
            self._ending = "loseConnection"


class Datagrams(Protocol):
    """What a wire needs of a peer that speaks in datagrams."""

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as."""

    def send_encoded(self, line: bytes) -> None:
        """Send a line in such bytes."""

    def abort(self) -> None:
        """End the conversation now."""


class DatagramWire:
    """A `Wire` where there is no connection: a line arrives whole or not at all.

    Args:
        peer: whose it is.
    """

    streams = False
    halves = False

    def __init__(self, peer: Datagrams) -> None:
        self._peer = peer

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as."""
        return self._peer.encode(lines)

    def send_bytes(self, data: bytes, lines: int = 0) -> None:
        """Send what is one line. It is counted as it leaves."""
        self._peer.send_encoded(data)

    def hold(self) -> None:
        """Nothing can come in between (see `Wire`)."""

    def release(self) -> None:
        """Nothing has waited (see `Wire`)."""

    def end_output(self) -> None:
        """There is no such thing (see `Wire.halves`)."""

    def stop_reading(self) -> None:
        """Who sends datagrams cannot be held up (see `Wire.streams`)."""

    def read_again(self) -> None:
        """It was never otherwise (see `Wire`)."""

    def abort(self) -> None:
        """Forget the conversation; the peer sees nothing of it."""
        self._peer.abort()
