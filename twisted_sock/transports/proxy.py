"""The PROXY protocol: the address of a client that a proxy in front of us speaks for.

Such a proxy, HAProxy or nginx, connects in the place of its client, and says in a header before
the client's own bytes who that is. Whoever may write the header may claim any address, so it is
taken only from networks that are trusted. Where it is expected, it must come (HAProxy's
doc/proxy-protocol.txt section 2): a peer without one is dropped.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.python.failure import Failure

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.proxy_header import Malformed, read_header
from twisted_sock.transports.layers import Layer, LayerFactory
from twisted_sock.trust import Network, trusts


class FromProxy:
    """Lays a PROXY header before what comes next.

    Args:
        networks: where the proxies are that may say so. Those on a UNIX socket always may: the
            mode of its file says who can connect.
    """

    waits = True

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks

    def __call__(self, owner: LineOwner, inner: IProtocolFactory) -> IProtocolFactory:
        """The factory that awaits the header before the protocols of another (see `Laying`)."""
        return ProxiedFactory(owner, inner, self._networks)


class ProxiedFactory(LayerFactory):
    """Awaits a header on each connection.

    Args:
        owner: whom the conversations belong to.
        inner: the factory of the next layer.
        networks: see `FromProxy`.
    """

    def __init__(
        self, owner: LineOwner, inner: IProtocolFactory, networks: tuple[Network, ...]
    ) -> None:
        super().__init__(owner, inner)
        self._networks = networks

    def layer(self, peer: Peer) -> Layer:
        """The layer of a new connection."""
        trusted = trusts(self._networks, peer.address)
        return (AwaitHeader if trusted else Distrust)(self.owner, self.inner, peer)


class Distrust(Layer):
    """Drops a peer that may not send a header; it takes no room among those that may."""

    def makeConnection(self, transport: Any) -> None:
        """The connection is made (see `IProtocol`)."""
        self.transport = transport
        self.fail("this address is not a trusted proxy; add it to proxy= if it is one")


class AwaitHeader(Layer):
    """Waits for the header and reads it."""

    #: What has come of it; None once nothing more is awaited.
    _head: bytes | None = b""

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""
        if self._head is None:
            return
        self._head += data
        try:
            header = read_header(self._head)
        except Malformed as error:
            self.fail(str(error))
            return
        if header is not None:
            behind = self._head[header.size :]
            self._head = None
            self.step_aside(self._behind(header.source), behind)

    def _behind(self, source: IAddress | None) -> Peer:
        """Who is behind the proxy; the proxy itself when it speaks for itself."""
        if source is None:
            return self.peer
        # What the proxy has proved of itself, its client has not.
        return Peer(source, via=self.peer.address)

    def fail(self, why: str) -> None:
        """Drop the connection (see `Layer`)."""
        self._head = None
        super().fail(why)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone (see `IProtocol`).

        One without a single byte is no problem: so do health checks look whether we listen.
        """
        super().connectionLost(reason)
        if self._head:
            self._head = None
            problem = Problem(Reason.HANDSHAKE, "it ended within its PROXY header")
            self.owner.note(problem, self.peer)
