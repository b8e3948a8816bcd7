"""The composition root: what a command line asks for, put together.

`twistd sockservice` and `twist sockservice` come here through `twisted/plugins`. Every mistake is
one line on stderr and an exit status that is not 0.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from twisted_sock.errors import ListenError, PlugError, SettingError
from twisted_sock.fast_reactor import fast
from twisted_sock.listeners import server_endpoint
from twisted_sock.listening import LineEndpoint, LineService
from twisted_sock.options import NAME, Options, refuse
from twisted_sock.plugs import load
from twisted_sock.server import Handler, LineFactory
from twisted_sock.settings import Limits
from twisted_sock.systemd import Notifier

if TYPE_CHECKING:
    from twisted_sock.operator.serving import Operator

__all__ = ["Options", "makeService"]

#: Open files that are not connections: logs, ports, the reactor's own.
SPARE_FILES = 64

#: Where files are few, so many times fewer are for connections that have yet to begin.
FOR_HANDSHAKES = 5

log = Logger()


class CannotStart(SystemExit, Exception):
    """The service cannot start.

    As a `SystemExit` it ends the process without a traceback; as an `Exception` it makes
    twistd's daemon pass its words on to the terminal that started it.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.code = 1


class SockService(LineService):
    """The service of the command line.

    It says in one line why it cannot start, tells systemd how it is, and reloads on SIGHUP.

    Args:
        factory: the factory.
        endpoints: what to listen on, by a name for errors and logs.
        reactor: the reactor.
        notifier: tells systemd.
        operator: lets operators in, if they are let in.
    """

    def __init__(
        self,
        factory: LineFactory,
        endpoints: Mapping[str, LineEndpoint],
        reactor: Any,
        notifier: Notifier,
        operator: OperatorService | None = None,
    ) -> None:
        super().__init__(factory, endpoints)
        self._operator = operator
        self._reactor = reactor
        self._notifier = notifier
        self._terminal = False
        self._to_reload = False

    def startService(self) -> None:
        """Go on where `privilegedStartService` began, and tell systemd when the reactor runs."""
        super().startService()
        self._reactor.callWhenRunning(lambda: self._notifier.ready(self._status()))

    def _hung_up(self, *_: object) -> None:
        """SIGHUP: reload; but end when the terminal is gone that the service was started at."""
        if self._terminal and not os.isatty(0):
            self._reactor.callFromThread(self._reactor.stop)
        elif not self._to_reload:  # once for as many as come meanwhile
            self._to_reload = True
            self._reactor.callFromThread(self.reload)

    def reload(self) -> None:
        """Read again what the endpoints have from files, unless the service is stopping."""
        self._to_reload = False
        if not self.running:
            return
        self._notifier.reloading()
        super().reload()
        if self._operator is not None:
            self._operator.reload()
        self._notifier.ready(self._status())

    def stopService(self) -> Deferred[None]:
        """Stop listening, then drain (see `LineService`); operators see it to the end."""
        self._notifier.stopping("finishing the conversations")
        operator = self._operator
        if operator is None:
            return super().stopService()
        operator.hub.end()
        return super().stopService().addCallback(lambda _: operator.stopService())

    def _status(self) -> str:
        return f"listening on {', '.join(self.endpoints)}"

    def privilegedStartService(self) -> None:
        """Listen on every endpoint; exit with status 1 when one cannot be listened on.

        Operators may come first: who finds the service there finds them, too. Before anybody can
        find it, SIGHUP reloads and no longer kills.
        """
        self._terminal = os.isatty(0)  # a daemon has left it by now
        signal.signal(signal.SIGHUP, self._hung_up)
        try:
            if self._operator is not None:
                self._operator.privilegedStartService()
            super().privilegedStartService()
        except ListenError as error:
            if self._operator is not None:
                self._operator.stopService()
            # Standard error goes to the log by now; the line is for who started us.
            print(f"{NAME}: {error}", file=sys.__stderr__)
            raise CannotStart(str(error)) from None


class OperatorService(LineService):
    """Lets operators in.

    Args:
        operator: what they have to do with.
        endpoint: where they come in.
    """

    def __init__(self, operator: Operator, endpoint: LineEndpoint) -> None:
        super().__init__(operator.factory, {operator.endpoint: endpoint})
        self.hub = operator.hub


def makeService(options: Options) -> SockService:
    """The service that the options ask for.

    Raises:
        SystemExit: an endpoint string or the protocol cannot be used; says why in one line.
    """
    from twisted.internet import reactor as global_reactor

    reactor = fast(global_reactor)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    endpoints = {text: _endpoint(reactor, text, options) for text in options.endpoints}
    try:
        handler = load(options.plug)
        operator = _operator(handler, reactor, options) if options.operator else None
        if operator is not None:
            handler = operator.tap
        waiting = any(getattr(endpoint, "waits", False) for endpoint in endpoints.values())
        limits = within_open_files(options.limits, waiting)
        factory = LineFactory(handler, policy=options.policy, limits=limits)
    except (PlugError, TypeError) as error:
        refuse(f"--protocol {options.plug}: {error}")
    stepping_in = None if operator is None else _operator_service(operator, reactor, options)
    notifier = Notifier.from_environment(reactor)
    return SockService(factory, endpoints, reactor, notifier, stepping_in)


def _operator(handler: Handler, reactor: Any, options: Options) -> Operator:
    from twisted_sock.operator.serving import Operator  # needs more than most services do

    try:
        return Operator(handler, options.operator, options.operator_token, reactor)
    except SettingError as error:
        refuse(f"--operator {options.operator}: {error}")


def _operator_service(operator: Operator, reactor: Any, options: Options) -> OperatorService:
    try:
        listening = {"interface": options.interface, "web": options.web}
        ours = {"routes": operator.routes, "folders": operator.folders}
        endpoint = server_endpoint(operator.endpoint, reactor, **ours, **listening)
    except SettingError as error:
        refuse(f"--operator {options.operator}: {error}")
    return OperatorService(operator, endpoint)


def _endpoint(reactor: Any, text: str, options: Options) -> LineEndpoint:
    try:
        return server_endpoint(
            text,
            reactor,
            interface=options.interface,
            web=options.web,
            datagrams=options.datagrams,
        )
    except SettingError as error:
        flag = "--port" if text == options["port"] else "--endpoint"
        refuse(f"{flag} {text}: {error}")


def within_open_files(limits: Limits, waiting: bool = False) -> Limits:
    """The limits, with no more connections than the system lets this process have.

    Raises the soft limit of open files to the hard one where that helps.

    Args:
        limits: the limits that are wanted.
        waiting: whether there may be connections whose conversation has yet to begin, besides.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    handshakes = limits.max_handshakes or sys.maxsize if waiting else 0
    wanted = (limits.max_connections or sys.maxsize) + handshakes
    if _room(soft) < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = _room(hard)
    if room >= wanted:
        return limits
    handshakes = min(handshakes, room // FOR_HANDSHAKES)
    connections = max(1, room - handshakes)
    if limits.max_connections:
        log.warn(
            "only {files} files may be open: max_connections is {connections}",
            files=hard,
            connections=connections,
        )
    return dataclasses.replace(
        limits,
        max_connections=min(connections, limits.max_connections or connections),
        max_handshakes=handshakes or limits.max_handshakes,
    )


def _room(files: int) -> int:
    """How many connections there is room for with so many open files."""
    return sys.maxsize if files == resource.RLIM_INFINITY else max(1, files - SPARE_FILES)
