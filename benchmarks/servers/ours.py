"""Ours: what `twistd sockservice --protocol benchmarks.servers.ours.ping` and the like run.

Imported by twistd, which has chosen its reactor by then.
"""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from benchmarks.servers.lateness import Lateness

lateness = Lateness(reactor)


def ping(line: str) -> str:
    """The same to every line."""
    return "+PONG"


def echo(line: str) -> str:
    """The line itself."""
    return line


def late(line: str) -> str:
    """The same to every line, but how late timers were to `LATE`."""
    if line == "LATE":
        return lateness.report()
    lateness.lines += 1
    return "+PONG"


async def ping_async(line: str) -> str:
    """The same to every line, from a coroutine that waits for nothing."""
    return "+PONG"


async def ping_later(line: str) -> str:
    """The same to every line, one turn of the reactor later."""
    await deferLater(reactor, 0)
    return "+PONG"
