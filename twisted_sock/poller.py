"""An epoll inside the reactor's own: the events of our connections in one lean loop.

An epoll descriptor can itself be polled. The descriptors of our connections live in an epoll of
our own, which the reactor sees as one readable descriptor. When it fires, what is ready is read
in a short loop, without the bookkeeping that a reactor does for every event. It works on every
reactor that polls descriptors, and patches none: Twisted's own transports are merely given an
`InnerPoller` as their reactor, which has the methods about descriptors of its own and passes
everything else on.

A *turn* of the loop first reads from all connections that are ready, then sends what all of them
have to say. Sending at once, without asking first whether a socket is writable, saves two system
calls a reply. Sending together, at the end, lets a peer on another core that is woken by the
first reply be still awake for the next ones; waking it again for each would cost more than the
sending itself.

Turns follow one another while anything is ready, but none begins after a millisecond: then the
reactor has its own turn. One turn reads once, at most, from each of `MOST` connections; so a flood
delays timers and other descriptors no more than it would without us.
"""

from __future__ import annotations

import contextlib
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from time import monotonic
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

#: Events handled in one turn.
MOST = 128

#: Seconds after which no other turn is taken before the reactor has its own.
ENOUGH = 0.001

BROKEN = EPOLLERR | EPOLLHUP

#: As in Twisted's reactors, one failure serves all ends of its kind: making one is costly.
FAILURES: dict[type[BaseException], Failure] = {
    ConnectionDone: Failure(ConnectionDone()),
    ConnectionLost: Failure(ConnectionLost()),
}


class Polled(Protocol):
    """A descriptor that is polled here; everything else is the reactor's.

    Attributes:
        polled: True.
        turns: what polls it; set when that begins.
    """

    polled: bool
    turns: Turns

    def flush(self) -> BaseException | None:
        """Send what was written; return what broke the connection, if something did."""


class InnerPoller:
    """A reactor to the transports that it is given to: polls them, passes on everything else.

    Args:
        reactor: the reactor that everything else is passed on to.

    Attributes:
        turns: polls our descriptors.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.turns = Turns(reactor)
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    # IReactorFDSet.

    def addReader(self, descriptor: Any) -> None:
        """Call `doRead` when there is something to read."""
        if hasattr(descriptor, "polled"):
            self.turns.add(descriptor, EPOLLIN)
        else:
            self._reactor.addReader(descriptor)

    def addWriter(self, descriptor: Any) -> None:
        """Call `doWrite` when something can be written."""
        if hasattr(descriptor, "polled"):
            self.turns.add(descriptor, EPOLLOUT)
        else:
            self._reactor.addWriter(descriptor)

    def removeReader(self, descriptor: Any) -> None:
        """Call `doRead` no more."""
        if hasattr(descriptor, "polled"):
            self.turns.remove(descriptor, EPOLLIN)
        else:
            self._reactor.removeReader(descriptor)

    def removeWriter(self, descriptor: Any) -> None:
        """Call `doWrite` no more."""
        if hasattr(descriptor, "polled"):
            self.turns.remove(descriptor, EPOLLOUT)
        else:
            self._reactor.removeWriter(descriptor)

    def getReaders(self) -> list[Any]:
        """Everything that is read from, here and in the reactor."""
        return [*self._reactor.getReaders(), *self.turns.waiting_for(EPOLLIN)]

    def getWriters(self) -> list[Any]:
        """Everything that waits to be writable, here and in the reactor."""
        return [*self._reactor.getWriters(), *self.turns.waiting_for(EPOLLOUT)]


@implementer(IReadDescriptor)
class Turns:
    """Our epoll and what is in it; to the reactor, one descriptor that is readable when any is.

    Args:
        reactor: reads us.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = epoll()
        self._events: dict[int, int] = {}
        self._descriptors: dict[int, Any] = {}
        self._fresh: set[int] = set()  # numbers of descriptors that are new in this turn
        self._senders: list[Polled] = []
        self._turning = False

    def __repr__(self) -> str:
        return f"<turns of {list(self._descriptors.values())}>"

    # What is polled.

    def waiting_for(self, event: int) -> list[Any]:
        """The descriptors that wait for an event."""
        return [self._descriptors[fd] for fd, events in self._events.items() if events & event]

    def add(self, descriptor: Any, event: int) -> None:
        """Let a descriptor wait for an event, too."""
        fd = descriptor.fileno()
        events = self._events.get(fd, 0)
        if events & event:
            return
        if events:
            self._epoll.modify(fd, events | event)
        else:
            self._epoll.register(fd, event)
            if not self._events:
                self._reactor.addReader(self)
            self._descriptors[fd] = descriptor
            if getattr(descriptor, "turns", None) is not self:
                descriptor.turns = self
                self._fresh.add(fd)
        self._events[fd] = events | event

    def remove(self, descriptor: Any, event: int) -> None:
        """Let a descriptor wait for an event no more."""
        fd = self._number_of(descriptor)
        events = self._events.get(fd, 0)
        if not events & event:
            return
        events &= ~event
        with contextlib.suppress(OSError):  # closed behind our back, and so gone already
            if events:
                self._events[fd] = events
                self._epoll.modify(fd, events)
                return
            del self._descriptors[fd], self._events[fd]
            self._epoll.unregister(fd)
        if not self._events:
            self._reactor.removeReader(self)

    def _number_of(self, descriptor: Any) -> int:
        """The number under which a descriptor is polled; -1 if it is not."""
        fd: int = descriptor.fileno()
        if fd >= 0:
            return fd if self._descriptors.get(fd) is descriptor else -1
        # Its socket is closed already, so it must be looked for.
        return next((fd for fd, each in self._descriptors.items() if each is descriptor), -1)

    # IReadDescriptor.

    def fileno(self) -> int:
        """The number of our epoll."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """What log lines of our connections begin with, for observers that show it."""
        return "twisted_sock"

    def doRead(self) -> None:
        """Something is ready: take turns until nothing is, or it was enough for now."""
        until = monotonic() + ENOUGH
        while ready := self._epoll.poll(0, MOST):
            self.turn(ready)
            # After accepting, those that were refused must be closed before more come.
            if self._fresh or monotonic() > until:
                return

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops: so does everything that is polled here."""
        for descriptor in list(self._descriptors.values()):
            self.remove(descriptor, EPOLLIN)
            self.remove(descriptor, EPOLLOUT)
            self._tell(descriptor.connectionLost, reason)

    # A turn.

    def send_later(self, sender: Polled) -> None:
        """Let a transport send what was written to it, at the end of this turn.

        Outside a turn, where timers and other descriptors have theirs, as soon as those are done.
        """
        if not self._turning and not self._senders:
            self._reactor.callLater(0, self._send)
        self._senders.append(sender)

    def turn(self, ready: list[tuple[int, int]]) -> None:
        """Handle what is ready, then send what was said.

        Args:
            ready: descriptors' numbers and their events.
        """
        descriptors = self._descriptors
        self._fresh.clear()
        self._turning = True
        try:
            for fd, event in ready:
                descriptor = descriptors.get(fd)
                if descriptor is None:  # it ended in this very turn
                    continue
                if event != EPOLLIN:
                    self._handle(descriptor, fd, event)
                    continue
                try:
                    why = descriptor.doRead()
                except BaseException as error:
                    why = self._broken(error)
                if why is not None:
                    self._disconnect(descriptor, why, reading=True)
        finally:
            self._turning = False
        self._send()

    def _send(self) -> None:
        """Let everyone send who has something to."""
        senders, self._senders = self._senders, []
        for sender in senders:
            try:
                why = sender.flush()
            except BaseException as error:
                why = self._broken(error)
            if why is not None:
                self._disconnect(sender, why, reading=False)

    def _handle(self, descriptor: Any, fd: int, event: int) -> None:
        """Handle an event that is not just input, in the order that Twisted's reactors have."""
        if fd in self._fresh:  # what happened was with the one that had this number before
            return
        why: BaseException | None = None
        reading = False
        if event & BROKEN and not event & EPOLLIN:
            reading = bool(self._events[fd] & EPOLLIN)
            why = CONNECTION_DONE if reading else CONNECTION_LOST
        else:
            try:
                if event & EPOLLIN:
                    reading = True
                    why = descriptor.doRead()
                still = self._descriptors.get(fd) is descriptor
                if why is None and event & EPOLLOUT and still:
                    reading = False
                    why = descriptor.doWrite()
            except BaseException as error:
                why = self._broken(error)
        if why is not None:
            self._disconnect(descriptor, why, reading)

    def _broken(self, error: BaseException) -> BaseException:
        """A descriptor has raised: that ends its own connection, and no other."""
        self.log.failure("a connection is broken off")
        return error

    def _disconnect(self, descriptor: Any, why: BaseException, reading: bool) -> None:
        """Tell a descriptor that it has come to its end, or its input has."""
        self.remove(descriptor, EPOLLIN)
        reason = FAILURES.get(type(why)) or Failure(why)
        half = reading and isinstance(why, ConnectionDone)
        if half and IHalfCloseableDescriptor.providedBy(descriptor):
            self._tell(descriptor.readConnectionLost, reason)
            return
        self.remove(descriptor, EPOLLOUT)
        self._tell(descriptor.connectionLost, reason)

    def _tell(self, method: Any, reason: Failure) -> None:
        """Tell of an end; code that fails then must not cost anybody else their connection."""
        try:
            method(reason)
        except BaseException:
            self.log.failure("a connection could not be told that it has ended")
