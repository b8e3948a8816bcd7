"""Clients that come back: `LineClient` for endpoints, a factory for `reactor.connectTCP`.

    client = LineClient(clientFromString(reactor, "tcp:127.0.0.1:1234"))
    client.startService()
    print(await client.request("hello"))

Both are a `Caller`; they differ in who makes their connections.
"""

from __future__ import annotations

from typing import Any

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory, ReconnectingClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.client.caller import Caller
from twisted_sock.client.events import ClientState
from twisted_sock.transports.stream import LineStream


class LineClient(Caller, ClientService):
    """A service that keeps one connection to an endpoint, and talks over it.

    Args:
        endpoint: what to connect to.
        settings: what `Caller` takes.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, **settings: Any) -> None:
        Caller.__init__(self, **settings)
        self._delay = 0.0
        self._in_attempt = False  # Twisted's state machine is at work, and must not be entered
        self._start_again = False
        ClientService.__init__(
            self,
            _Attempts(endpoint, self),
            _Streams(self),
            retryPolicy=lambda _: self._delay,
            clock=self.reactor,
        )

    def startService(self) -> None:
        """Connect, and stay connected."""
        if self.state is ClientState.STOPPING:
            self._start_again = True
        elif not self.running:
            self.begin()
            ClientService.startService(self)

    def stopService(self) -> Deferred[None]:
        """Stop (see `Caller.stop`)."""
        Service.stopService(self)
        self._start_again = False
        return self.stop()

    def schedule(self, delay: float) -> None:
        """Twisted asks for the delay in a moment."""
        self._delay = delay

    def disconnect(self) -> None:
        """End what Twisted is at."""
        if self._in_attempt:
            self.reactor.callLater(0, self.disconnect)
            return
        ClientService.stopService(self).addCallback(lambda _: self.disconnected())

    def disconnected(self) -> None:
        """There is no connection, and there will be none."""
        super().disconnected()
        if self._start_again:
            self._start_again = False
            self.startService()

    def begin_attempt(self, endpoint: IStreamClientEndpoint, factory: Any) -> Deferred[Any]:
        """Connect, and note how that ends."""
        self._in_attempt = True
        try:
            self.attempt()
            return maybeDeferred(endpoint.connect, factory).addErrback(self._note_failure)
        finally:
            self._in_attempt = False

    def _note_failure(self, failure: Failure) -> Failure:
        self.attempt_failed(failure)
        return failure


@implementer(IStreamClientEndpoint)
class _Attempts:
    """An endpoint that tells the client of each attempt, and never raises."""

    def __init__(self, endpoint: IStreamClientEndpoint, client: LineClient) -> None:
        self._endpoint = endpoint
        self._client = client

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        return self._client.begin_attempt(self._endpoint, protocolFactory)

    def __repr__(self) -> str:
        return repr(self._endpoint)


class _Streams(Factory):
    """Makes the protocols of a client's connections."""

    noisy = False

    def __init__(self, client: LineClient) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> LineStream | None:  # type: ignore[override]
        return self._client.build_stream()


class ReconnectingLineClientFactory(Caller, ReconnectingClientFactory):
    """A factory for `reactor.connectTCP` and its kin, that keeps one connection and talks over it.

        factory = ReconnectingLineClientFactory()
        reactor.connectTCP("127.0.0.1", 1234, factory)

    Delays follow `retry`, not the attributes of Twisted's class.

    Args:
        settings: what `Caller` takes.
    """

    noisy = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.clock = self.reactor
        self._delay = 0.0

    def startedConnecting(self, connector: Any) -> None:
        """An attempt begins (see `ClientFactory`)."""
        self.connector = connector
        if self.state in (ClientState.NEW, ClientState.STOPPED, ClientState.GAVE_UP):
            self.continueTrying = 1
            self.begin()
        self.attempt()

    def buildProtocol(self, addr: IAddress | None) -> LineStream | None:  # type: ignore[override]
        """The protocol of a new connection (see `Factory`)."""
        return self.build_stream()

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """There is no connection (see `ClientFactory`)."""
        self.attempt_failed(reason)
        self.retry(connector)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """The connection is gone, as the session has told already (see `ClientFactory`)."""
        self.retry(connector)

    def retry(self, connector: Any = None) -> None:
        """Connect again after the delay that is due."""
        if self.state is ClientState.WAITING and self._callID is None:
            connector = connector or self.connector
            self._callID: IDelayedCall | None = self.reactor.callLater(
                self._delay, self._connect, connector
            )

    def stopTrying(self) -> None:
        """Give up; a connection that there is lives on (see `ReconnectingClientFactory`)."""
        super().stopTrying()  # type: ignore[no-untyped-call]
        self._retry("stopTrying was called")

    def may_retry(self) -> bool:
        """Whether `stopTrying` was not called."""
        return bool(self.continueTrying)

    def schedule(self, delay: float) -> None:
        """Twisted tells in a moment that it can connect again."""
        self._delay = delay

    def disconnect(self) -> None:
        """Try no more."""
        self.stopTrying()
        self.disconnected()

    def _connect(self, connector: Any) -> None:
        self._callID = None
        connector.connect()
