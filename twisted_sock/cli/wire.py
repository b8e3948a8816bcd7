"""One connection of the command line, plain or through TLS, and why it ended in words."""

from __future__ import annotations

import os
from typing import Any, Protocol

from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds that a peer may take to read what we still had to say.
GRACE = 3.0


class Owner(Protocol):
    """What a wire tells, and asks for.

    Attributes:
        handshake: seconds for the handshake of TLS.
    """

    handshake: float

    def opened(self, wire: Wire) -> None:
        """The connection is made."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def finished(self) -> None:
        """The peer says no more."""

    def closed(self, wire: Wire, clean: bool, why: str) -> None:
        """The connection is gone."""


class Wire(TwistedProtocol):
    """One connection of a link.

    Args:
        link: the link.
        reactor: the reactor.

    Attributes:
        halves: whether the sending side can be closed alone.
    """

    halves: bool
    transport: Any

    def __init__(self, link: Owner, reactor: Any) -> None:
        self._link = link
        self._reactor = reactor
        self._ended = False
        self._late = False
        self._cut: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The connection is made (see `IProtocol`)."""
        if hasattr(self.transport.getPeer(), "port"):
            self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""
        self._link.received(data)

    def end_sending(self) -> None:
        """Send what is unsent, then close the sending side."""
        if self._ended:
            self.close()
        else:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def close(self) -> None:
        """Send what is unsent, then close; a peer that does not take it is cut off."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if self._cut is None:
            self._cut = self._reactor.callLater(GRACE, self._cut_off)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The connection is gone (see `IProtocol`)."""
        self._spare()
        assert reason is not None
        clean = bool(reason.check(ConnectionDone))
        self._link.closed(self, clean, why(TimeoutError() if self._late else reason.value))

    def _spare(self) -> None:
        """It need not be cut off any more."""
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    def _cut_off(self) -> None:
        self._cut = None
        self.transport.abortConnection()


# Two kinds, as Twisted's endpoints let a protocol be either of the two interfaces, not both.


@implementer(IHalfCloseableProtocol)
class PlainWire(Wire):
    """One connection by TCP, through a UNIX socket, or over a WebSocket."""

    def connectionMade(self) -> None:
        """The connection is made (see `IProtocol`)."""
        self.halves = hasattr(self.transport, "loseWriteConnection")
        super().connectionMade()
        self._link.opened(self)

    def readConnectionLost(self) -> None:
        """The peer has finished (see `IHalfCloseableProtocol`)."""
        self._ended = True
        self._link.finished()

    def writeConnectionLost(self) -> None:
        """Our side is closed (see `IHalfCloseableProtocol`)."""


@implementer(IHandshakeListener)
class SecureWire(Wire):
    """One connection through TLS."""

    halves = False

    def connectionMade(self) -> None:
        """The connection is made (see `IProtocol`), but not yet safe."""
        super().connectionMade()
        self._cut = self._reactor.callLater(self._link.handshake, self._give_up)

    def handshakeCompleted(self) -> None:
        """The peer has shown its certificate (see `IHandshakeListener`)."""
        self._spare()
        self._link.opened(self)

    def _give_up(self) -> None:
        self._late = True
        self._cut_off()


def why(error: BaseException | None) -> str:
    """Why a connection cannot be made or has ended, in words for a person."""
    for kind, words in WORDS:
        if isinstance(error, kind):
            return words
    number = getattr(error, "osError", None)
    if isinstance(error, ConnectError) and isinstance(number, int):
        return os.strerror(number)
    if type(error).__module__ == "OpenSSL.SSL":
        return "TLS: " + _tls_words(error)
    if type(error).__name__ == "VerificationError":  # of service_identity
        return "TLS: the certificate is not for this host"
    return str(error) or type(error).__name__


#: Errors whose own words say less, or nothing.
WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (DNSLookupError, "there is no such host"),
    (TimeoutError, "no answer in time"),
    (ConnectionDone, "the peer has closed the connection"),
    (ConnectionLost, "the connection broke"),
    (ConnectionClosed, "the connection was closed"),
)


def _tls_words(error: Any) -> str:
    """What OpenSSL says: the last part of every entry of its list of errors."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = ", ".join(str(entry[-1]) for entry in entries)
    if words == "certificate verify failed":
        words += "; if you trust it, say trustRoots=FOLDER, which holds it"
    return words or str(error) or type(error).__name__
