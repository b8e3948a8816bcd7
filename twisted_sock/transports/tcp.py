"""Twisted's TCP transports, reading in fewer steps and sending at once.

Twisted's transports put what is written into a buffer, ask the reactor to tell them when the
socket is writable, and send then: two `epoll_ctl` calls and a turn of the loop for each reply.
Nearly always the socket was writable all along. Here what is written is sent without asking, and
only what the socket does not take goes the ordinary way.

It is sent when the turn of the inner poller ends, in one piece with everything else that was said
in it. An error is left for the reactor to find in its own time: `write` never calls a protocol
back.
"""

from __future__ import annotations

from errno import ENOBUFS
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

if TYPE_CHECKING:  # where there is no epoll there is no such module
    from twisted_sock.poller import Turns

#: Bytes of the first reads of a connection, small enough for Python's own allocator; one that
#: fills it is followed by larger ones.
SHORT_READ = 472
LONG_READ = 65536

#: Bytes from which on Twisted's transports ask their producer to pause.
BUFFER = 65536

#: Connections accepted before the reactor has its turn: those refused must be closed in between.
ACCEPTED = 16


Ended = ConnectionDone | ConnectionLost


class FastConnection(tcp.Connection):
    """What to mix into a transport of Twisted's; the reactor that it has must be an `InnerPoller`.

    The buffers are Twisted's own, so everything else about them, producers, half-close, closing,
    is as it always was.

    Attributes:
        polled: for the poller: this is one of its own.
        turns: what polls it.
        plain: whether what is written can be sent at once: Twisted's buffers are empty, and the
            connection is neither closing nor encrypted by Twisted.
        first: what was written first in this turn; not None while `turns` is to call `flush`.
        broken: whether sending has failed.
        read_size: bytes of the next read.
    """

    polled = True
    turns: Turns

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Not of the class: such are slower to look up.
        self.plain = True
        self.first: bytes | None = None
        self.broken = False
        self.read_size = SHORT_READ
        super().__init__(*args, **kwargs)

    def doRead(self) -> Ended | None:  # type: ignore[override]
        """Read once, and hand it on."""
        try:
            data = self.socket.recv(self.read_size)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_LOST if self.broken else CONNECTION_DONE
        if len(data) == self.read_size:
            self.read_size = LONG_READ
        self.protocol.dataReceived(data)
        return None

    def write(self, data: bytes) -> None:
        """Keep some bytes, and send them when the turn ends."""
        if self.first is not None or not self.plain or type(data) is not bytes:
            super().write(data)
            return
        self.turns.send_later(self)
        if len(data) <= BUFFER:
            self.first = data
        else:
            self.first = b""
            super().write(data)  # may ask the producer to pause

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer write (see `IConsumer`); one that is pulled is asked by `doWrite`."""
        super().registerProducer(producer, streaming)
        if not streaming and self.connected:
            self.startWriting()

    def flush(self) -> BaseException | None:
        """Send what was written during the turn (see `poller.Polled`)."""
        data = self.first or b""
        self.first = None
        if not self.plain:
            return self._flush_with_care(data)
        try:
            sent = self.socket.send(data)
        except OSError as error:
            sent = self._cannot_send(error)
        if sent < len(data):
            super().write(data[sent:])
        return None

    def _flush_with_care(self, first: bytes) -> BaseException | None:
        """Send as the reactor would: the connection is closing, or `first` is not all."""
        if not self.connected or self._aborting:
            return None
        self._tempDataBuffer.insert(0, first)
        self._tempDataLen += len(first)
        why: BaseException | None = self.doWrite()
        if why is None and (self.dataBuffer or self._tempDataLen):
            self.startWriting()
        return why

    def _cannot_send(self, error: OSError) -> int:
        """Leave an error for the reactor to find; returns the bytes sent, which are none."""
        # The socket tells of a reset only once; a read would now take it for a clean end.
        passing = isinstance(error, BlockingIOError | InterruptedError) or error.errno == ENOBUFS
        self.broken = not passing
        return 0

    def _isSendBufferFull(self) -> bool:
        unsent = len(self.dataBuffer) + self._tempDataLen + len(self.first or b"")
        return unsent > self.bufferSize

    # Everything that ends plain sailing goes through one of these.

    def startWriting(self) -> None:
        """Ask when the socket is writable, unless it is tried at the end of the turn."""
        self.plain = False
        if self.first is None:
            super().startWriting()

    def stopWriting(self) -> None:
        """Everything is sent, or nothing more will be."""
        super().stopWriting()
        pulled = self.producer is not None and not self.streamingProducer
        unsent = self.dataBuffer or self._tempDataLen
        ending = self.disconnecting or self._writeDisconnecting or self._aborting
        self.plain = bool(self.connected) and not (unsent or pulled or ending or self.TLS)

    def startTLS(self, *args: Any, **kwargs: Any) -> None:
        """Encrypt from here on (see `ITLSTransport`)."""
        super().startTLS(*args, **kwargs)
        self.plain = False


class FastServer(FastConnection, tcp.Server):
    """The serving end of a TCP connection."""


class FewAccepts:
    """What to mix into a port of Twisted's, which would accept more and more at once."""

    polled = True

    @property
    def numberAccepts(self) -> int:
        """How many connections to accept at once."""
        return ACCEPTED

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        pass


class FastPort(FewAccepts, tcp.Port):
    """A TCP port whose connections are fast."""

    transport = FastServer


class FastClient(FastConnection, tcp.Client):
    """The connecting end of a TCP connection."""


class FastConnector(tcp.Connector):
    """Connects by TCP, fast."""

    def _makeTransport(self) -> FastClient:
        return FastClient(self.host, self.port, self.bindAddress, self, self.reactor)
