"""WebSocket: short text messages that are echoed, at several depths, from a load of our own.

The frames are made once, before the clock starts, and answers are only counted: so the load is
never what is measured.
"""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.closed_loop import ClosedLoop
from benchmarks.cost import cost
from benchmarks.pace import Pace
from benchmarks.registry import OURS, WEBSOCKET, Server

#: Bytes of a message.
SIZE = 32

MASK = b"\x37\xfa\x21\x3d"

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def websocket(bench: Bench) -> None:
    """Messages as fast as they go, at the depths of the throughput section."""
    if OURS not in bench.servers:
        return
    servers = [server for server in WEBSOCKET if not server.missing()]
    bench.prepare(servers, "websocket")
    pace = Pace(bench.plan)
    for server, depth in bench.turns(servers, bench.plan.depths, bench.plan.rounds):
        with bench.guarding(server):
            bench.add(f"depth {depth}", server, _messages(bench, server, depth, pace))


def question(text: bytes) -> bytes:
    """The frame of a client for a short text (RFC 6455 section 5.2)."""
    masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(text))
    return bytes([0x81, 0x80 | len(text)]) + MASK + masked


def answer(text: bytes) -> bytes:
    """The frame of a server for a short text."""
    return bytes([0x81, len(text)]) + text


def _messages(bench: Bench, server: Server, depth: int, pace: Pace) -> dict[str, float]:
    process, plan = bench.running(server, "websocket"), bench.plan
    text = b"PING ".ljust(SIZE, b"x")
    with ClosedLoop(
        process.port,
        question(text),
        answer(text),
        clients=plan.clients,
        depth=depth,
        request=REQUEST,
    ) as loop:
        return cost(loop, process.pid, pace, (server.name, f"{depth}"), plan.clients * depth)
