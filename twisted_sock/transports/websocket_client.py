"""Connecting to a WebSocket: an endpoint whose protocols read and write lines (RFC 6455).

    below = HostnameEndpoint(reactor, "localhost", 1234)
    WebSocketEndpoint(reactor, below, url("localhost", 1234, "/")).connect(factory)

The protocol is made when the server has agreed; what it gets for a transport is a
`WebSocketTransport`. Until then everything that can go wrong is a failure of connecting, told in
words that say what to do.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionDone,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IAddress, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.protocol import State as Phase
from websockets.uri import WebSocketURI
from zope.interface import implementer

from twisted_sock.errors import SockError
from twisted_sock.websocket.client_lines import LONGEST, Lines
from twisted_sock.websocket.client_transport import WebSocketTransport
from twisted_sock.websocket.refusals import is_refused, refusal

#: Bytes of an answer that are looked at when it is no handshake.
HEAD = 1024

#: What needs no escape in the path of a request (RFC 3986 section 3.3), and what is one.
IN_PATH = "/?:@!$&'()*+,;=~%-._"

#: What is said is nobody else's business.
SILENT = logging.Logger("websockets", logging.CRITICAL + 1)

END_OF_HEAD = b"\r\n\r\n"


class HandshakeFailed(SockError):
    """A server has not agreed to speak WebSocket; says what it did instead."""


def url(host: str, port: int, path: str, secure: bool = False) -> WebSocketURI:
    """Where to connect to, as the request tells it.

    Args:
        host: a name or an address.
        port: the port.
        path: with its query: `/chat?room=1`.
        secure: whether TLS is below.
    """
    name = host.partition("%")[0] if ":" in host else host  # a zone is of no use to others
    if not name.isascii():
        name = name.encode("idna").decode()
    path, _, query = quote(path, safe=IN_PATH).partition("?")
    return WebSocketURI(secure, name, port, path, query)


@implementer(IStreamClientEndpoint)
class WebSocketEndpoint:
    """Connects to a WebSocket.

    Args:
        reactor: the reactor.
        below: connects by TCP, or TLS.
        url: what to ask for; see `url`.
        timeout: seconds for all of it.
    """

    def __init__(
        self, reactor: Any, below: IStreamClientEndpoint, url: WebSocketURI, timeout: float = 30.0
    ) -> None:
        self.reactor = reactor
        self.below = below
        self.url = url
        self.timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Connect, and shake hands (see `IStreamClientEndpoint`)."""
        return _Attempt(self, protocolFactory).begin()


class _Attempt(Factory):
    """One attempt to connect.

    Args:
        endpoint: what for.
        factory: of the protocol above.
    """

    noisy = False

    def __init__(self, endpoint: WebSocketEndpoint, factory: IProtocolFactory) -> None:
        self.endpoint = endpoint
        self._factory = factory
        self._done: Deferred[Any] = Deferred(lambda _: self._drop())
        self._below: Deferred[Any] | None = None
        self._handshake: Handshake | None = None

    def begin(self) -> Deferred[Any]:
        """Connect."""
        reactor, seconds = self.endpoint.reactor, self.endpoint.timeout
        self._deadline = reactor.callLater(seconds, self._too_late)
        self._below = self.endpoint.below.connect(self)
        self._below.addErrback(self.failed)
        return self._done

    def doStart(self) -> None:
        """A connection is attempted (see `Factory`)."""
        self._factory.doStart()

    def doStop(self) -> None:
        """It is over (see `Factory`)."""
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Handshake:
        """The protocol of a connection (see `Factory`)."""
        return Handshake(self, addr)

    def opened(self, handshake: Handshake) -> bool:
        """There is a connection; returns whether it is the first, and wanted."""
        if self._handshake is None and not self._done.called:
            self._handshake = handshake
        return self._handshake is handshake

    def succeeded(self, transport: WebSocketTransport, address: Any) -> None:
        """The server has agreed: give the connection to its protocol."""
        try:
            protocol = self._factory.buildProtocol(address)
            if protocol is None:
                raise NoProtocol()
        except BaseException:
            transport.protocol = Protocol()
            transport.abortConnection()
            self._end(Failure())
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self._end(protocol)

    def failed(self, failure: Failure) -> None:
        """There is no connection."""
        if not failure.check(ConnectingCancelledError, CancelledError):  # that was us
            self._end(failure)

    def _too_late(self) -> None:
        failure = Failure(TimeoutError())
        if self._handshake is not None:
            failure = Failure(HandshakeFailed(self._handshake.overdue(self.endpoint.timeout)))
        self._end(failure)
        self._drop()

    def _drop(self) -> None:
        """Nobody wants it any more."""
        self._stop_waiting()
        if self._handshake is not None:
            self._handshake.drop()
        elif self._below is not None:
            self._below.cancel()

    def _end(self, result: object) -> None:
        self._stop_waiting()
        if not self._done.called:
            self._done.callback(result)

    def _stop_waiting(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()


class Handshake(Protocol):
    """The lower protocol of a connection: shakes hands, then passes on what comes.

    Args:
        attempt: whom it is for.
        address: the server's.
    """

    transport: Any

    def __init__(self, attempt: _Attempt, address: Any) -> None:
        self._attempt = attempt
        self._address = address
        self._socket = ClientProtocol(attempt.endpoint.url, max_size=LONGEST, logger=SILENT)
        self._head = b""
        self._begun: bytes | None = b""  # the last bytes, as long as its head has not ended
        self._over = False
        self._upper: WebSocketTransport | None = None

    def connectionMade(self) -> None:
        """Ask for a WebSocket (see `IProtocol`)."""
        if not self._attempt.opened(self):
            self.drop()
            return
        if hasattr(self.transport.getPeer(), "port"):
            self.transport.setTcpNoDelay(True)
        self._socket.send_request(self._socket.connect())
        self.transport.write(b"".join(self._socket.data_to_send()))

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""
        if self._upper is not None:
            self._upper.received(data)
        elif not self._over:
            data, more = self._split(data)
            self._head += data[: HEAD - len(self._head)]
            self._socket.receive_data(data)
            self._look()
            if more:
                self.dataReceived(more)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone (see `IProtocol`)."""
        if self._upper is not None:
            self._upper.lost(reason)
        elif not self._over:
            self._end_without(reason)

    def drop(self) -> None:
        """Drop the connection."""
        self._over = True
        self.transport.abortConnection()

    def overdue(self, seconds: float) -> str:
        """What to say when there was no time for all of the answer."""
        if is_refused(self._head):
            return refusal(self._head, "")
        return f"no WebSocket handshake within {seconds:g} s"

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """What belongs to the head of the answer, and what comes behind it."""
        if self._begun is None:
            return data, b""
        whole = self._begun + data
        end = whole.find(END_OF_HEAD)
        if end < 0:
            self._begun = whole[1 - len(END_OF_HEAD) :]
            return data, b""
        end += len(END_OF_HEAD) - len(self._begun)
        self._begun = None
        return data[:end], data[end:]

    def _look(self) -> None:
        """See whether the server has agreed."""
        error = self._socket.handshake_exc
        if error is not None:
            self.drop()
            self._attempt.failed(Failure(HandshakeFailed(self._refusal(error))))
        elif self._socket.state is not Phase.CONNECTING:
            self._agree()

    def _refusal(self, error: Exception) -> str:
        for event in self._socket.events_received():
            if isinstance(event, Response):
                location = event.headers.get_all("Location") or [""]
                return refusal(self._head, str(error), location[0], bytes(event.body or b""))
        return refusal(self._head, str(error))

    def _agree(self) -> None:
        reactor = self._attempt.endpoint.reactor
        upper = WebSocketTransport(self.transport, Lines(self._socket), reactor)
        self._upper = upper
        self._attempt.succeeded(upper, self._address)

    def _end_without(self, reason: Failure) -> None:
        """The connection has ended before the answer, or with it."""
        if reason.check(ConnectionDone) and self._head:
            self._socket.receive_eof()
            self._look()
        elif reason.check(ConnectionDone):
            words = "the server has closed the connection instead of an answer"
            self._attempt.failed(Failure(HandshakeFailed(words)))
        else:
            self._attempt.failed(reason)
