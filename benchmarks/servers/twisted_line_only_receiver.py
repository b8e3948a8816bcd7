"""Twisted's `LineOnlyReceiver` on the default reactor."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.servers.answers import echo, ping
from benchmarks.servers.basic import serve
from benchmarks.servers.lateness import Lateness

lateness = Lateness(reactor)


def late(line: bytes) -> bytes:
    """The same to every line, but how late timers were to `LATE`."""
    if line == b"LATE":
        return lateness.report().encode()
    lateness.lines += 1
    return b"+PONG"


serve(LineOnlyReceiver, ping=ping, echo=echo, late=late)
