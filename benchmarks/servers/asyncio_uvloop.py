"""An asyncio Protocol on uvloop that takes its lines one by one."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop

from benchmarks.servers.answers import BACKLOG, arguments, echo, ping

port, answer = arguments(ping=ping, echo=echo)


class Answer(asyncio.Protocol):
    """Answers each line."""

    def __init__(self) -> None:
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection is there."""
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        for line in lines:
            self.transport.write(answer(line) + b"\r\n")


async def main() -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


uvloop.run(main())
