"""UNIX sockets: Twisted's transports as fast as those of TCP, and listening with care.

`UNIXEndpoint` is for our own sockets, `adopt` for those that somebody else has opened, and
`WithCredentials` tells the line protocol which process is at the other end.
"""

from __future__ import annotations

import dataclasses
import socket
import struct
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.errors import SettingError
from twisted_sock.interfaces import Credentials, Peer
from twisted_sock.transports import unix_socket
from twisted_sock.transports.layers import Layer, LayerFactory
from twisted_sock.transports.tcp import ACCEPTED, Ended, FastConnection, FewAccepts
from twisted_sock.transports.unix_socket import Access, SocketFile

#: What SO_PEERCRED gives: `struct ucred` of Linux.
UCRED = struct.Struct("=iII")


class FastUNIXConnection(FastConnection):
    """Reads in fewer steps, unless the protocol wants descriptors that the peer passes along."""

    _slow: bool | None = None

    def doRead(self) -> Ended | None:  # type: ignore[override]
        """Read once, and hand it on."""
        if self._slow is None:
            self._slow = bool(IFileDescriptorReceiver.providedBy(self.protocol))
        if self._slow:
            return super(FastConnection, self).doRead()
        return super().doRead()


class FastUNIXServer(FastUNIXConnection, unix.Server):
    """The serving end of a UNIX connection."""


class FastUNIXPort(FewAccepts, unix.Port):
    """A UNIX port whose connections are fast."""

    transport = FastUNIXServer


class FastUNIXClient(FastUNIXConnection, unix.Client):
    """The connecting end of a UNIX connection."""


class FastUNIXConnector(unix.Connector):
    """Connects to a UNIX socket, fast."""

    def _makeTransport(self) -> FastUNIXClient:  # type: ignore[override]
        return FastUNIXClient(self.address, self, self.reactor, self.checkPID)


class UNIXPort(unix.Port):
    """A UNIX port on a socket that listens already.

    Twisted's own would make the file of such a socket 0666, shut the socket down for all who
    share it, remove whatever is at its path when it stops, and never stop when nothing is there.

    Args:
        listening: the socket; it is closed when the port stops.
        factory: makes the protocols.
        reactor: the reactor.
        file: the file to remove then, when it is ours.
    """

    log = Logger()
    factory: Any
    _shouldShutdown = False

    def __init__(
        self, listening: socket.socket, factory: Any, reactor: Any, file: SocketFile | None = None
    ) -> None:
        super().__init__(listening.getsockname(), factory, reactor=reactor)
        self.socket = listening
        self._file = file

    def startListening(self) -> None:
        """Accept connections (see `IListeningPort`)."""
        tcp._reservedFD.reserve()
        self.factory.doStart()
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.numberAccepts = ACCEPTED
        self.connected = True
        self.startReading()

    def loseConnection(self, *args: Any, **kwargs: Any) -> Any:
        """Listen no more; the file goes at once, even if the process ends before the turn does."""
        self.remove_file()
        return super().loseConnection(*args, **kwargs)

    stopListening = loseConnection

    def connectionLost(self, reason: Failure) -> None:
        """It has stopped."""
        self.remove_file()
        tcp.Port.connectionLost(self, reason)

    def remove_file(self) -> None:
        """Remove the file of the socket, if it is ours."""
        try:
            if self._file is not None:
                self._file.remove()
        except OSError as error:  # the user may be another by now
            self.log.warn(
                "{path} could not be removed: {why}", path=self._bindPath, why=error.strerror
            )


class FastOwnUNIXPort(FewAccepts, UNIXPort):
    """The same, with fast connections."""

    transport = FastUNIXServer


def adopt(
    reactor: Any, listening: socket.socket, factory: Any, file: SocketFile | None = None
) -> IListeningPort:
    """Listen on a UNIX socket that somebody has opened.

    Args:
        reactor: the reactor, `fast` or not.
        listening: the socket, which listens; it is closed when the port stops.
        factory: makes the protocols.
        file: the file to remove then.

    Returns:
        The port.
    """
    kind = FastOwnUNIXPort if hasattr(reactor, "turns") else UNIXPort
    listening.setblocking(False)
    port = kind(listening, factory, reactor, file)
    try:
        port.startListening()
    except BaseException:
        port.remove_file()
        listening.close()
        raise
    return port


@implementer(IStreamServerEndpoint)
class UNIXEndpoint:
    """A UNIX socket to listen on.

    Args:
        reactor: the reactor, `fast` or not.
        path: the path of its file; `@name` for an abstract name, which has no permissions.
        mode: the permissions of the file; who may write may connect.
        user: the name or number of its owner; ourselves when empty.
        group: that of its group; the one that new files have there when empty.
        backlog: the connections that may wait to be accepted.

    Raises:
        SettingError: the path cannot be one, or there is no such user or group.
    """

    def __init__(  # noqa: PLR0917 (as strings and callers have them)
        self,
        reactor: Any,
        path: str,
        mode: int = 0o660,
        user: str = "",
        group: str = "",
        backlog: int = 1024,
    ) -> None:
        if mode & ~0o777:
            raise SettingError(f"mode: up to 777, not {mode:o}")
        if unix_socket.see(path) and (user or group):
            raise SettingError(f"{path!r}: an abstract name has no owner")
        self._reactor = reactor
        self._path = path
        self._backlog = backlog
        self._access = Access(mode, unix_socket.user(user), unix_socket.group(group))

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen (see `IStreamServerEndpoint`); fails with a `ListenError`."""
        return execute(self._listen, factory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        listening, file = unix_socket.listen(self._path, self._access, self._backlog)
        return adopt(self._reactor, listening, factory, file)


# Who is there.


class WithCredentials:
    """To lay upon a UNIX socket: the line protocol's `peer` gets `credentials`.

    Connections of any other kind pass unchanged.
    """

    waits = False

    def __call__(self, owner: Any, inner: IProtocolFactory) -> IProtocolFactory:
        """The factory that does it (see `listeners.Laying`)."""
        return IntroducingFactory(owner, inner)


class IntroducingFactory(LayerFactory):
    """Sees which process has connected."""

    def layer(self, peer: Peer) -> IProtocol:
        """The layer of a new connection (see `LayerFactory`)."""
        return Introducing(self.owner, self.inner, peer)


class Introducing(Layer):
    """Asks the system which process has connected, and steps aside at once."""

    def makeConnection(self, transport: Any) -> None:
        """The connection is made (see `IProtocol`); there is no opening to be watched."""
        self.transport = transport
        self.step_aside(dataclasses.replace(self.peer, credentials=credentials(transport)))


def credentials(transport: Any) -> Credentials | None:
    """The process at the other end of a transport, as it was when it connected.

    Returns:
        None where that cannot be known: it is no UNIX socket, or the system does not tell.
    """
    handle: Any = transport.getHandle() if hasattr(transport, "getHandle") else None
    if getattr(handle, "family", None) != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        data = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
    except OSError:
        return None
    return Credentials(*UCRED.unpack(data))
