"""Listening: `LineService` serves a factory on endpoints, and stops when everything is over.

It is an ordinary Twisted service. It fails at start when it cannot listen, instead of running on
with nobody to talk to, and its stop waits for the last conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.display import one_line
from twisted_sock.errors import ListenError, SockError
from twisted_sock.server import LineFactory


class LineEndpoint(Protocol):
    """Something to listen on for conversations in lines: any stream endpoint of Twisted's is."""

    def listen(self, factory: Any) -> Deferred[IListeningPort]:
        """Open the conversations that come as those of a `LineFactory`."""


class LineService(Service):
    """Serves a factory on some endpoints, and drains it when stopped.

    Args:
        factory: the factory.
        endpoints: what to listen on, by a name for errors and logs.
    """

    log = Logger()

    def __init__(
        self,
        factory: LineFactory,
        endpoints: Mapping[str, LineEndpoint | IStreamServerEndpoint],
    ) -> None:
        self.factory = factory
        self.endpoints = dict(endpoints)
        self.ports: list[IListeningPort] = []
        self._listening: list[Deferred[Any]] = []

    def privilegedStartService(self) -> None:
        """Listen on every endpoint.

        Raises:
            ListenError: one cannot be listened on; then none is.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        failed: list[ListenError] = []
        for name, endpoint in self.endpoints.items():
            listening: Deferred[Any] = maybeDeferred(endpoint.listen, self.factory)
            self._listening.append(listening)
            listening.addCallbacks(
                self._listens, self._cannot_listen, (name,), errbackArgs=(name, failed)
            )
            if failed:
                self._stop_listening()
                raise failed[0]

    def startService(self) -> None:
        """Listen, unless `privilegedStartService` did.

        Raises:
            ListenError: an endpoint cannot be listened on.
        """
        super().startService()  # type: ignore[no-untyped-call]
        if not self._listening:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        """Stop listening, then drain.

        Returns:
            Fires with None when nothing listens and the last connection is gone.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        stopped = self._stop_listening()
        drained = self.factory.drain()
        return DeferredList([stopped, drained]).addCallback(lambda _: None)

    def reload(self) -> None:
        """Read again what comes from files: certificates, and what the application reads."""
        self.log.info("reloading")
        self.factory.reload()
        for endpoint in self.endpoints.values():
            if hasattr(endpoint, "reload"):
                endpoint.reload()

    def _listens(self, port: IListeningPort, name: str) -> None:
        self.ports.append(port)
        self.log.info("{name} listens on {address}", name=name, address=port.getHost())

    def _cannot_listen(self, failure: Failure, name: str, failed: list[ListenError]) -> None:
        if failure.check(CancelledError):
            return
        failed.append(ListenError(_why(failure.value, name)))
        self.log.error("{error}", error=str(failed[-1]))

    def _stop_listening(self) -> Deferred[Any]:
        listening, self._listening = self._listening, []
        for each in listening:
            each.cancel()
        ports, self.ports = self.ports, []
        return DeferredList(
            [maybeDeferred(port.stopListening).addErrback(self._cannot_stop) for port in ports]
        )

    def _cannot_stop(self, failure: Failure) -> None:
        self.log.failure("a port could not be stopped", failure=failure)


def _why(error: BaseException | None, name: str) -> str:
    """Why an endpoint cannot be served, in one line: in the system's words for a socket error."""
    if isinstance(error, SockError):
        return one_line(str(error))
    cause = getattr(error, "socketError", error)
    words = one_line(str(getattr(cause, "strerror", None) or cause))
    return f"{words}: cannot listen on {name}"
