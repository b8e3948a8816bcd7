"""Ours, on Twisted's own transports and the default reactor."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint

from benchmarks.servers import ours
from benchmarks.servers.answers import BACKLOG, arguments
from twisted_sock import Limits, LineFactory

port, answer = arguments(ping=ours.ping, echo=ours.echo, late=ours.late)

factory = LineFactory(answer, limits=Limits(max_connections=0))
TCP4ServerEndpoint(reactor, port, BACKLOG, "127.0.0.1").listen(factory)
reactor.run()
