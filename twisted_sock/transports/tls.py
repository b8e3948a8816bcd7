"""TLS: what `tls:` and `wss:` lay upon a connection.

    TLS("server.pem", client_ca="clients.pem")

A conversation begins when the handshake is over, and its `Peer` has the client's certificate
then. How it is encrypted is said in `tls_contexts`.

Files are looked at while something listens. When one has changed, connections from then on get
what is in it; those that are open go on. As long as something is wrong with the files, what was
read before is served.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    ISSLTransport,
)
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.display import one_line
from twisted_sock.errors import Problem, Reason, SettingError
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.tls.certificates import (
    files,
    identity,
    out_of_date,
    read_authorities,
    read_served,
    stamps,
)
from twisted_sock.tls.contexts import Identities
from twisted_sock.tls.turnstile import Turnstile
from twisted_sock.tls.words import why
from twisted_sock.transports.layers import Layer, LayerFactory

try:
    from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
except ImportError as missing:
    raise SettingError("TLS needs `pip install 'twisted_sock[tls]'`") from missing

#: Seconds between two looks at the files.
LOOK_EVERY = 3.0


class TLS:
    """Lays TLS upon connections (see `listeners.Laying`).

    Args:
        certificate: PEM files, or folders of them, with commas between. The first, of a folder
            `default.pem`, is for whoever asks for no name in any of them.
        key: files with the keys, where they are not in the same.
        chain: files with those who have issued the certificates, likewise.
        client_ca: a file with the certificates of those who may issue the certificates of
            clients; without one no client is asked.
        required: whether a client must show a certificate that is asked for.

    Raises:
        SettingError: something is wrong with a file; says which and what.
    """

    log = Logger()

    waits = True

    def __init__(
        self,
        certificate: str,
        key: str = "",
        chain: str = "",
        client_ca: str = "",
        required: bool = True,
    ) -> None:
        if not certificate:
            raise SettingError("certificate: which PEM file?")
        self._texts = (certificate, key, chain)
        self._client_ca = client_ca
        self._required = required
        self._seen = self._stamps()
        self.identities = self._read()

    def __call__(self, owner: LineOwner, inner: IProtocolFactory) -> IProtocolFactory:
        """The factory that shakes hands before the protocols of another."""
        return EncryptedFactory(Creator(self), Handshakes(owner, inner, self), owner.reactor)

    def tell(self) -> None:
        """Log what is served until when, and what will not be accepted."""
        for served in self.identities.served:
            self.log.info("TLS: serving {served}", served=one_line(str(served)))
            if late := out_of_date(served.certificate):
                file = one_line(str(served.file))
                self.log.warn("TLS: {file}: the certificate {late}", file=file, late=late)

    def look(self) -> None:
        """Read the files if they have changed."""
        if self._stamps() != self._seen:
            self.reload()

    def reload(self) -> None:
        """Read the files; keep what was read before if something is wrong with them."""
        self._seen = self._stamps()  # before: what changes meanwhile is seen at the next look
        try:
            self.identities = self._read()
        except SettingError as error:
            words = one_line(str(error))
            self.log.error("TLS: {error}; serving what was read before", error=words)
        except Exception:
            self.log.failure("TLS: the files cannot be read; serving what was read before")
        else:
            self.tell()

    def _stamps(self) -> Any:
        return stamps([*self._texts, self._client_ca])

    def _read(self) -> Identities:
        served = read_served(path for text in self._texts for path in files(text))
        authorities = read_authorities(Path(self._client_ca)) if self._client_ca else []
        return Identities(served, authorities, self._required)


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """Makes the connections of OpenSSL, with what is served at the time."""

    def __init__(self, tls: TLS) -> None:
        self._tls = tls

    def serverConnectionForTLS(self, protocol: Any) -> Any:
        """A new connection (see `IOpenSSLServerConnectionCreator`)."""
        return self._tls.identities.connection()


@implementer(ISSLTransport)
class Encrypted(TLSMemoryBIOProtocol):
    """The transport of the conversations.

    What comes before the handshake is over waits for its turn (see `turnstile`).
    """

    factory: EncryptedFactory
    transport: Any
    log = Logger()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)  # type: ignore[no-untyped-call]
        self._waiting = b""
        # Of the object, so that it costs nothing once it is taken away.
        self.dataReceived = self._handshake_received  # type: ignore[method-assign]

    def handshake_over(self) -> None:
        """From now on nothing waits."""
        del self.dataReceived

    def _handshake_received(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) > len(data):
            return
        if self.factory.turnstile.enter(self):
            self._handshake_on()
        else:
            self.transport.pauseProducing()

    def _handshake_on(self) -> None:
        data, self._waiting = self._waiting, b""
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def proceed(self) -> None:
        """Go on with the handshake (see `turnstile.Waiting`)."""
        try:
            self.transport.resumeProducing()
            self._handshake_on()
        except Exception:
            self.log.failure("TLS: a conversation could not begin")
            self.abortConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone (see `IProtocol`)."""
        self.factory.turnstile.leave(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """Say goodbye, and close when the peer has said it (see `ITransport`)."""
        super().loseConnection()  # type: ignore[no-untyped-call]
        self.transport.resumeProducing()  # or its goodbye would never be read


class EncryptedFactory(TLSMemoryBIOFactory):
    """Makes them. Small writes are not gathered: above there is a stream that does.

    Args:
        creator: makes the connections of OpenSSL.
        inner: the factory of the first protocol upon them.
        clock: the reactor.
    """

    protocol = Encrypted

    def __init__(self, creator: Creator, inner: IProtocolFactory, clock: Any) -> None:
        super().__init__(creator, False, inner, clock)
        self.turnstile = Turnstile(clock)


class Handshakes(LayerFactory):
    """Sees that hands are shaken first.

    Args:
        tls: what is served; its files are looked at while a port listens.
    """

    def __init__(self, owner: LineOwner, inner: IProtocolFactory, tls: TLS) -> None:
        super().__init__(owner, inner)
        self._tls = tls
        self._looking = LoopingCall(tls.look)
        self._looking.clock = owner.reactor

    def startFactory(self) -> None:
        """The first port listens (see `Factory`)."""
        self._tls.tell()
        self._looking.start(LOOK_EVERY, now=False)

    def stopFactory(self) -> None:
        """The last port has stopped (see `Factory`)."""
        self._looking.stop()

    def layer(self, peer: Peer) -> IProtocol:
        """The layer of a new connection."""
        return Handshake(self.owner, self.inner, peer)


@implementer(IHandshakeListener)
class Handshake(Layer):
    """A connection whose handshake is going on.

    Attributes:
        refused: why the client's certificate was not accepted, once it was not.
    """

    refused = ""
    _over = False  # why it ended is known, or it is another's

    def handshakeCompleted(self) -> None:
        """The peer may speak (see `IHandshakeListener`)."""
        shown = self.transport.getPeerCertificate()
        if shown is None:
            self.step_aside(self.peer)
            return
        try:
            certificate = identity(shown.to_cryptography())
        except ValueError:
            self.fail("the client certificate cannot be read")
        else:
            self.step_aside(dataclasses.replace(self.peer, certificate=certificate))

    def fail(self, why: str) -> None:
        """Drop the connection (see `Layer`)."""
        self._over = True
        super().fail(f"TLS: {why}")

    def step_aside(self, peer: Peer, data: bytes = b"") -> None:
        """Make way for the next layer (see `Layer`)."""
        self._over = True
        self.transport.handshake_over()
        super().step_aside(peer, data)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone before its conversation began (see `IProtocol`)."""
        super().connectionLost(reason)
        words = why(reason.value, self.refused)
        if not words and self._greeted():
            words = "closed before the handshake was over"
        if words and not self._over:
            self.owner.note(Problem(Reason.HANDSHAKE, f"TLS: {words}"), self.peer)

    def _greeted(self) -> bool:
        """Whether the client has begun at all; health checks do not, and nothing is wrong then."""
        return self.transport.getHandle().client_random() is not None
