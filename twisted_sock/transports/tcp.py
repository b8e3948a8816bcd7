"""Twisted's TCP transports, reading in fewer steps and sending at once.

Twisted's transports put what is written into a buffer, ask the reactor to tell them when the
socket is writable, and send then: two `epoll_ctl` calls and a turn of the loop for each reply.
Nearly always the socket was writable all along. Here what is written is sent without asking, and
only what the socket does not take goes the ordinary way.

During a turn of the inner poller it is sent at the end of the turn, with everything else that
was said in it; otherwise, on the spot. An error is left for the reactor to find in its own time:
`write` never calls a protocol back.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

#: Bytes of the first read of a connection; one that fills it is followed by larger ones.
SHORT_READ = 4096
LONG_READ = 65536

#: Connections accepted before the reactor has its turn: those refused must be closed in between.
ACCEPTED = 16


Ended = ConnectionDone | ConnectionLost


class FastConnection(tcp.Connection):
    """What to mix into a transport of Twisted's; the reactor that it has must be an `InnerPoller`.

    The buffers are Twisted's own, so everything else about them, producers, half-close, closing,
    is as it always was.
    """

    read_size = SHORT_READ
    waits_for_turn = False  # in the poller's list of senders
    room = LONG_READ  # bytes to send on the spot before the reactor must have had its turn

    def doRead(self) -> Ended | None:  # type: ignore[override]
        """Read once, and hand it on."""
        try:
            data = self.socket.recv(self.read_size)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        if len(data) == self.read_size:
            self.read_size = LONG_READ
        self.protocol.dataReceived(data)
        return None

    def write(self, data: bytes) -> None:
        """Send some bytes, or keep what cannot be sent yet."""
        poller: Any = self.reactor  # an `InnerPoller`
        if (
            self._tempDataLen
            or self.dataBuffer
            or not self.connected
            or self._writeDisconnected
            or self.TLS
            or type(data) is not bytes
        ):
            super().write(data)
        elif poller.turning:
            self.waits_for_turn = True
            poller.senders.append(self)
            if len(data) > self.bufferSize:
                super().write(data)
            else:
                self._tempDataBuffer.append(data)
                self._tempDataLen = len(data)
        elif len(data) > self.room:
            super().write(data)
        elif data:
            sent = self._send(data)
            self.room -= sent
            if sent < len(data):
                super().write(data[sent:])

    def doWrite(self) -> BaseException | None:  # type: ignore[override]
        """The socket is writable again: send what waits."""
        self.room = LONG_READ
        why: BaseException | None = super().doWrite()
        return why

    def startWriting(self) -> None:
        """Ask to be told when the socket is writable, unless it is tried anyway."""
        if not self.waits_for_turn:
            super().startWriting()

    def flush(self) -> BaseException | None:
        """Send what was written during the turn (see `poller.Sender`)."""
        self.waits_for_turn = False
        if not self.connected or self._aborting:
            return None
        buffer = self._tempDataBuffer
        plain = len(buffer) == 1 and not (
            self.dataBuffer
            or self.disconnecting
            or self.producerPaused
            or self._writeDisconnecting
        )
        if not plain:
            why: BaseException | None = self.doWrite()
            if why is None and (self.dataBuffer or self._tempDataLen):
                self.startWriting()
            return why
        data = buffer[0]
        sent = self._send(data)
        if sent == len(data):
            buffer.clear()
            self._tempDataLen = 0
        else:
            buffer[0] = data[sent:]
            self._tempDataLen -= sent
            self.startWriting()
        return None

    def _send(self, data: bytes) -> int:
        """Send what the socket takes; an error shows itself again when the reactor writes."""
        try:
            sent: int = self.socket.send(data)
        except OSError:
            return 0
        return sent


class FastServer(FastConnection, tcp.Server):
    """The serving end of a TCP connection."""


class FastPort(tcp.Port):
    """A TCP port whose connections are fast."""

    transport = FastServer

    @property
    def numberAccepts(self) -> int:
        """How many connections to accept at once; Twisted would raise it without bound."""
        return ACCEPTED

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        pass


class FastClient(FastConnection, tcp.Client):
    """The connecting end of a TCP connection."""


class FastConnector(tcp.Connector):
    """Connects by TCP, fast."""

    def _makeTransport(self) -> FastClient:
        return FastClient(self.host, self.port, self.bindAddress, self, self.reactor)
