"""The session of a client's connection: reading never waits for writing.

A server that answers much stops reading until its answers are taken. A client that stopped taking
them until its questions are read would wait for ever. So this session always reads; instead, the
client asks no more while its unsent output is past the high-water mark.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_sock.interfaces import LineReceiver, LineTransport, Peer, Wire
from twisted_sock.session import Common, Session, State


class Outlet:
    """What a client's session sends through: it never makes the session stop reading.

    Args:
        stream: where everything goes.

    Attributes:
        full: whether no more is welcome for now.
    """

    __slots__ = ("_stream", "full")

    overrun = False

    def __init__(self, stream: LineTransport) -> None:
        self._stream = stream
        self.full = False

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._stream.peer

    def send(self, lines: list[str]) -> bool:
        """Send some lines, and remember whether more is welcome."""
        self.full = not self._stream.send(lines)
        return True

    def pause(self) -> None:
        """Stop reading."""
        self._stream.pause()

    def resume(self) -> None:
        """Read again."""
        self._stream.resume()

    def ending(self) -> None:
        """The last lines come now."""
        self._stream.ending()

    def close(self) -> None:
        """Send what is unsent, then close."""
        self._stream.close()

    def abort(self) -> None:
        """Drop the connection now."""
        self._stream.abort()

    @property
    def wire(self) -> Wire:
        """What is below the lines."""
        return self._stream.wire


class ClientSession(Session):
    """A session that always reads.

    Args:
        stream: where everything goes.
        handler: the line protocol.
        common: what all sessions of the client share.
        flow: called when there is room for more.
    """

    __slots__ = ("_flow_more", "_outlet")

    def __init__(
        self,
        stream: LineTransport,
        handler: LineReceiver,
        common: Common,
        flow: Callable[[], None],
    ) -> None:
        self._outlet = Outlet(stream)
        self._flow_more = flow
        super().__init__(self._outlet, handler, common)

    @property
    def full(self) -> bool:
        """Whether nothing more should be said for now."""
        return self._outlet.full or self.state is not State.OPEN

    def writable(self) -> None:
        """The transport has room again."""
        self._outlet.full = False
        super().writable()
        self._flow_more()
