"""Twisted's `LineReceiver` on the default reactor."""

from __future__ import annotations

from twisted.protocols.basic import LineReceiver

from benchmarks.servers.answers import echo, ping
from benchmarks.servers.basic import serve

serve(LineReceiver, ping=ping, echo=echo)
