"""Twisted's UNIX transports, as fast as those of TCP.

Descriptors that a peer passes along are not received: a line protocol has no use for them.
"""

from __future__ import annotations

from twisted.internet import unix

from twisted_sock.transports.tcp import FastConnection


class FastUNIXServer(FastConnection, unix.Server):
    """The serving end of a UNIX connection."""


class FastUNIXPort(unix.Port):
    """A UNIX port whose connections are fast."""

    transport = FastUNIXServer


class FastUNIXClient(FastConnection, unix.Client):
    """The connecting end of a UNIX connection."""


class FastUNIXConnector(unix.Connector):
    """Connects to a UNIX socket, fast."""

    def _makeTransport(self) -> FastUNIXClient:  # type: ignore[override]
        return FastUNIXClient(self.address, self, self.reactor, self.checkPID)
