"""Layers: what stands between a connection and its conversation until it is known who is there.

A layer is the first protocol of a connection. It finds something out, the address behind a
proxy, a certificate, the process at the other end of a UNIX socket, and then steps aside: the
protocol of the next layer, or of the conversation itself, takes its place on the transport. So a
layer costs nothing afterwards, and the transport keeps what it can do, half-close included.

What it found out goes to the next factory as the address that `buildProtocol` is given: a `Peer`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.openings import Opening


def switch(transport: Any, protocol: IProtocol) -> None:
    """Give what arrives on a transport to another protocol from now on."""
    if isinstance(transport, ProtocolWrapper):  # TLS
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


def current(transport: Any) -> Any:
    """The protocol that is given what arrives on a transport; None when it is gone."""
    name = "wrappedProtocol" if isinstance(transport, ProtocolWrapper) else "protocol"
    return getattr(transport, name, None)


@implementer(IProtocol)
class Layer(Opening):
    """The first protocol of a connection.

    Subclasses override `begin` or `dataReceived`, and end in `step_aside` or `fail`.

    Args:
        owner: whom its conversation belongs to.
        inner: the factory of the next layer.
        peer: what is known of the other end so far.
    """

    transport: Any

    def __init__(self, owner: LineOwner, inner: IProtocolFactory, peer: Peer) -> None:
        self.owner = owner
        self.inner = inner
        self.peer = peer

    def makeConnection(self, transport: Any) -> None:
        """The connection is made (see `IProtocol`)."""
        self.transport = transport
        self.owner.openings.begin(self)
        self.begin()

    def connectionMade(self) -> None:
        """Nothing is left to do (see `IProtocol`)."""

    def begin(self) -> None:
        """Find out what can be without waiting."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone (see `IProtocol`)."""
        self.owner.openings.gone(self)

    def give_up(self, why: str) -> None:
        """Drop the connection (see `Opening`)."""
        self.fail(why)

    def abort(self) -> None:
        """Drop the connection now (see `Opening`)."""
        self.transport.abortConnection()

    def fail(self, why: str) -> None:
        """Drop the connection, count it and log why.

        Args:
            why: what is wrong, and what to do, without the peer's own words.
        """
        self.owner.openings.done(self)
        self.owner.note(Problem(Reason.HANDSHAKE, why), self.peer)
        self.transport.abortConnection()

    def step_aside(self, peer: Peer, data: bytes = b"") -> None:
        """Make way for the next layer.

        Args:
            peer: what is known of the other end now.
            data: what came behind what this layer was for.
        """
        self.owner.openings.done(self)
        protocol = self.inner.buildProtocol(peer)
        if protocol is None:
            self.transport.abortConnection()
            return
        switch(self.transport, protocol)
        protocol.makeConnection(self.transport)
        self.owner.openings.gone(self)
        receiver = current(self.transport)  # perhaps the next has stepped aside at once
        if data and receiver is not None:
            receiver.dataReceived(data)


class LayerFactory(Factory):
    """Puts a layer before the protocols of another factory. Subclasses override `layer`.

    Args:
        owner: whom the conversations belong to.
        inner: the other factory.
    """

    noisy = False

    def __init__(self, owner: LineOwner, inner: IProtocolFactory) -> None:
        self.owner = owner
        self.inner = inner

    def doStart(self) -> None:
        """A port listens (see `Factory`)."""
        super().doStart()  # type: ignore[no-untyped-call]
        self.inner.doStart()

    def doStop(self) -> None:
        """A port has stopped (see `Factory`)."""
        super().doStop()  # type: ignore[no-untyped-call]
        self.inner.doStop()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:  # type: ignore[override]
        """The protocol of a new connection (see `Factory`); `addr` may be a `Peer`."""
        return self.layer(addr if isinstance(addr, Peer) else Peer(addr))  # type: ignore[arg-type]

    def layer(self, peer: Peer) -> IProtocol:
        """The layer of a new connection."""
        raise NotImplementedError
