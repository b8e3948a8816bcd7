"""The fast reactor: any reactor, with faster TCP and UNIX connections.

One call makes it, and every endpoint takes it::

    endpoint = serverFromString(fast(reactor), "tcp:1234")

Connections made through it are polled by an `InnerPoller` and send at once. Everything else is
the reactor's own; other connections of the application do not change.
"""

from __future__ import annotations

import socket
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger

from twisted_sock.transports.tcp import FastConnector, FastPort
from twisted_sock.transports.unix import FastUNIXConnector, FastUNIXPort

try:
    from twisted_sock.poller import InnerPoller
except ImportError:  # a platform without epoll
    InnerPoller = None  # type: ignore[assignment,misc]

#: Connections that the system may keep ready for us to accept.
BACKLOG = 1024

log = Logger()


def fast(reactor: Any) -> Any:
    """A reactor with faster connections.

    Args:
        reactor: any reactor that polls descriptors.

    Returns:
        The same reactor in all other respects; the very same where the platform has no epoll, or
        the reactor polls no descriptors.
    """
    if InnerPoller is None or not IReactorFDSet.providedBy(reactor):
        log.info("no epoll here: connections are polled by the reactor")
        return reactor
    return FastReactor(reactor)


if InnerPoller is not None:

    class FastReactor(InnerPoller):
        """Listens and connects with fast transports; passes everything else on."""

        def listenTCP(
            self, port: int, factory: Any, backlog: int = BACKLOG, interface: str = ""
        ) -> FastPort:
            """Listen on a TCP port (see `IReactorTCP`)."""
            return _started(FastPort(port, factory, max(backlog, BACKLOG), interface, self))

        def connectTCP(
            self,
            host: str,
            port: int,
            factory: Any,
            timeout: float = 30,
            bindAddress: Any = None,
        ) -> FastConnector:
            """Connect to a TCP port (see `IReactorTCP`)."""
            return _connected(FastConnector(host, port, factory, timeout, bindAddress, self))

        def listenUNIX(
            self,
            address: Any,
            factory: Any,
            backlog: int = BACKLOG,
            mode: int = 0o666,
            wantPID: bool = False,
        ) -> FastUNIXPort:
            """Listen on a UNIX socket (see `IReactorUNIX`)."""
            backlog = max(backlog, BACKLOG)
            return _started(FastUNIXPort(address, factory, backlog, mode, self, wantPID))

        def adoptStreamPort(
            self, fileDescriptor: int, addressFamily: int, factory: Any
        ) -> FastPort | FastUNIXPort:
            """Listen on a socket that is bound already (see `IReactorSocket`)."""
            if addressFamily == socket.AF_UNIX:
                unix: FastUNIXPort = FastUNIXPort._fromListeningDescriptor(
                    self, fileDescriptor, factory
                )
                return _started(unix)
            tcp: FastPort = FastPort._fromListeningDescriptor(
                self, fileDescriptor, addressFamily, factory
            )
            return _started(tcp)

        def connectUNIX(
            self, address: Any, factory: Any, timeout: float = 30, checkPID: bool = False
        ) -> FastUNIXConnector:
            """Connect to a UNIX socket (see `IReactorUNIX`)."""
            return _connected(FastUNIXConnector(address, factory, timeout, self, checkPID))


P = TypeVar("P", FastPort, FastUNIXPort)
C = TypeVar("C", FastConnector, FastUNIXConnector)


def _started(port: P) -> P:
    port.startListening()
    return port


def _connected(connector: C) -> C:
    connector.connect()
    return connector
