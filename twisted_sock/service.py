"""The composition root: what a command line asks for, put together.

`twistd sockservice` and `twist sockservice` come here through `twisted/plugins`. Every mistake is
one line on stderr and an exit status that is not 0.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger

from twisted_sock.errors import ListenError, PlugError
from twisted_sock.fast_reactor import fast
from twisted_sock.listening import LineService
from twisted_sock.options import NAME, Options, refuse
from twisted_sock.plugs import load
from twisted_sock.server import LineFactory
from twisted_sock.settings import Limits

__all__ = ["Options", "makeService"]

#: Open files that are not connections: logs, ports, the reactor's own.
SPARE_FILES = 64

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
    """The service of the command line: says in one line why it cannot start."""

    def privilegedStartService(self) -> None:
        """Listen on every endpoint; exit with status 1 when one cannot be listened on."""
        try:
            super().privilegedStartService()
        except ListenError as error:
            # Standard error goes to the log by now; the line is for who started us.
            print(f"{NAME}: {error}", file=sys.__stderr__)
            raise CannotStart(str(error)) from None


def makeService(options: Options) -> SockService:
    """The service that the options ask for.

    Raises:
        SystemExit: an endpoint string or the protocol cannot be used; says why in one line.
    """
    from twisted.internet import reactor as global_reactor

    reactor = fast(global_reactor)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    endpoints = {text: _endpoint(reactor, text) for text in options.endpoints}
    try:
        handler = load(options.plug)
        limits = within_open_files(options.limits)
        factory = LineFactory(handler, policy=options.policy, limits=limits)
    except (PlugError, TypeError) as error:
        refuse(f"--protocol {options.plug}: {error}")
    return SockService(factory, endpoints)


def _endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    try:
        return IStreamServerEndpoint(serverFromString(reactor, description))
    except Exception as error:
        refuse(f"--endpoint {description}: {error}")


def within_open_files(limits: Limits) -> Limits:
    """The limits, with no more connections than the system lets this process have.

    Raises the soft limit of open files to the hard one where that helps.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.max_connections or sys.maxsize
    if _room(soft) < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = _room(hard)
    if room >= wanted:
        return limits
    if limits.max_connections:
        log.warn(
            "only {files} files may be open: max_connections is {room}", files=hard, room=room
        )
    return dataclasses.replace(limits, max_connections=room)


def _room(files: int) -> int:
    """How many connections there is room for with so many open files."""
    return sys.maxsize if files == resource.RLIM_INFINITY else max(1, files - SPARE_FILES)
