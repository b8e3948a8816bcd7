"""Twisted's UNIX transports, as fast as those of TCP."""

from __future__ import annotations

from twisted.internet import unix
from twisted.internet.interfaces import IFileDescriptorReceiver

from twisted_sock.transports.tcp import Ended, FastConnection, FewAccepts


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
