"""systemd: listening sockets that it has opened, and telling it how the service is.

`inherited` makes an endpoint of a socket that came with socket activation (`man 3
sd_listen_fds`). A `Notifier` says when the service is ready, reloading and stopping, and that the
reactor still runs (`man 3 sd_notify`); where nobody listens to that it says nothing.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sock.display import one_line
from twisted_sock.errors import SettingError
from twisted_sock.transports.unix import adopt

FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)

#: Seconds until something is said again that systemd had no room for.
AGAIN = 0.5

#: Messages that wait for room; with more the oldest are forgotten.
WAITING = 16


# Sockets.


@dataclass(frozen=True, slots=True)
class Passed:
    """A descriptor that came with socket activation.

    Args:
        name: what `FileDescriptorName=` says, or the socket unit is called.
        fd: its number.
    """

    name: str
    fd: int


def passed(reactor: Any) -> list[Passed]:
    """The descriptors that systemd has passed to this process, in their order.

    Twisted has taken them out of the environment by now, all but their names, and only its own
    endpoints tell their numbers.
    """
    numbers: list[int] = []
    with suppress(IndexError):
        while True:
            text = f"systemd:domain=INET:index={len(numbers)}"
            endpoint: Any = serverFromString(reactor, text)
            numbers.append(endpoint.fileno)
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return [Passed(name, fd) for name, fd in zip(names, numbers, strict=False)]


def inherited(reactor: Any, name: str, index: str = "") -> IStreamServerEndpoint:
    """A socket that systemd has opened, for TCP or UNIX as it comes.

    Args:
        reactor: the reactor, `fast` or not.
        name: what `FileDescriptorName=` in its unit says; any when empty.
        index: which of those that are called so, from 0; there must be but one when empty.

    Returns:
        The endpoint. The descriptor itself stays open, so that the endpoint can listen again.

    Raises:
        SettingError: there is no such socket, or none that streams of bytes come from.
    """
    found = _find(passed(reactor), name, index)
    if not stat.S_ISSOCK(os.fstat(found.fd).st_mode):
        raise SettingError(f"systemd: {found.name!r} is no socket")
    with socket.socket(fileno=os.dup(found.fd)) as listening:
        _see(found.name, listening)
        family = listening.family
    os.set_inheritable(found.fd, False)  # it is for us, and not for what we start
    return Inherited(reactor, found.fd, family)


def _find(descriptors: list[Passed], name: str, index: str) -> Passed:
    if not descriptors:
        raise SettingError(
            "systemd: it has passed no sockets, or none with a name (FileDescriptorName=, "
            "--fdname=); the service must be started by its socket unit"
        )
    known = ", ".join(sorted({each.name for each in descriptors}))
    named = [each for each in descriptors if name in ("", each.name)]
    if not named:
        raise SettingError(f"systemd: there is no socket {name!r}; there are: {known}")
    if not index and len(named) > 1:
        raise SettingError(f"systemd: there are {len(named)}: {known}; say which with index=")
    try:
        return dict(enumerate(named))[int(index or 0)]
    except (KeyError, ValueError):
        raise SettingError(f"systemd: index: below {len(named)}, not {index!r}") from None


def _see(name: str, passed_on: socket.socket) -> None:
    """See that a descriptor is a socket that listens for streams."""
    if passed_on.type == socket.SOCK_DGRAM:
        raise SettingError(f"systemd: {name!r} is for datagrams; use ListenStream=, or udp:PORT")
    if passed_on.type != socket.SOCK_STREAM or passed_on.family not in FAMILIES:
        raise SettingError(f"systemd: {name!r} is neither TCP nor a UNIX stream")
    if not passed_on.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise SettingError(f"systemd: {name!r} does not listen; its unit must say Accept=no")


@implementer(IStreamServerEndpoint)
class Inherited:
    """A listening socket that somebody else has opened.

    Args:
        reactor: the reactor, `fast` or not.
        fd: its descriptor.
        family: its family.
    """

    def __init__(self, reactor: Any, fd: int, family: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._family = family

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen (see `IStreamServerEndpoint`)."""
        return execute(self._listen, factory)

    def _listen(self, factory: IProtocolFactory) -> Any:
        if self._family == socket.AF_UNIX:
            return adopt(self._reactor, socket.socket(fileno=os.dup(self._fd)), factory)
        os.set_blocking(self._fd, False)
        return self._reactor.adoptStreamPort(self._fd, self._family, factory)


# Telling systemd.


class Notifier:
    """Tells systemd how the service is; never waits for it, and never raises.

    Args:
        reactor: the reactor, or a clock in tests.
        address: the path of systemd's socket, or `@name`; nothing is told when it is empty.
        watchdog: the seconds after which systemd takes us for hung; 0 when it does not look.
    """

    log = Logger()

    def __init__(self, reactor: Any, address: str, watchdog: float = 0.0) -> None:
        self._reactor = reactor
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._socket: socket.socket | None = None
        self._waiting: list[str] = []
        self._again: IDelayedCall | None = None
        self._next_sign: IDelayedCall | None = None
        self._complained = False

    @classmethod
    def from_environment(
        cls, reactor: Any, environ: MutableMapping[str, str] | None = None
    ) -> Notifier:
        """The notifier that the environment asks for.

        What asks for it is taken out, so that no program that we start speaks for us.

        Args:
            reactor: the reactor.
            environ: the environment; that of the process when left out.
        """
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        meant = pid in ("", str(os.getpid()))
        seconds = int(usec) / 1e6 if meant and usec.isascii() and usec.isdigit() else 0.0
        return cls(reactor, address, seconds)

    def ready(self, status: str = "") -> None:
        """Everything listens, for the first time or after a reload.

        Args:
            status: what `systemctl status` is to show.
        """
        self._say("READY=1", status)
        if self._address and self._watchdog and self._next_sign is None:
            self._sign()

    def reloading(self) -> None:
        """The settings are being read again; `ready` must follow."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={usec}")

    def stopping(self, status: str = "") -> None:
        """The service begins to stop; signs of life go on until the process ends."""
        self._say("STOPPING=1", status)

    def status(self, words: str) -> None:
        """Say in one line how things are, for `systemctl status`."""
        self._say("", words)

    def close(self) -> None:
        """Say nothing more."""
        for call in (self._again, self._next_sign):
            if call is not None and call.active():
                call.cancel()
        self._address = ""
        self._waiting.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _sign(self) -> None:
        """Give a sign of life, and go on so, as long as the reactor runs."""
        self._next_sign = self._reactor.callLater(self._watchdog / 2, self._sign)
        if not self._waiting:
            self._send("WATCHDOG=1")

    def _say(self, state: str, status: str = "") -> None:
        shown = f"STATUS={one_line(status)}" if status else ""
        message = "\n".join(filter(None, [state, shown]))
        if self._address and message:
            self._waiting = [*self._waiting, message][-WAITING:]
            self._send_waiting()

    def _send_waiting(self) -> None:
        """Say what waits, in its order, as far as there is room."""
        while self._waiting and self._send(self._waiting[0]):
            del self._waiting[0]
        if self._waiting and (self._again is None or not self._again.active()):
            self._again = self._reactor.callLater(AGAIN, self._send_waiting)

    def _send(self, message: str) -> bool:
        """Send a message; returns whether it is done with, as it is when it never can be sent."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(message.encode(), self._address)
        except BlockingIOError as error:
            self._complain(error)
            return False
        except (OSError, ValueError) as error:  # gone; or no address at all
            self._complain(error)
        return True

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            why = getattr(error, "strerror", None) or str(error)
            self.log.warn("systemd cannot be told how the service is: {why}", why=why)
