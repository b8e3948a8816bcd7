"""The `websockets` package on asyncio: echoes text messages."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from benchmarks.servers.answers import BACKLOG, arguments, echo


async def answer(connection: ServerConnection) -> None:
    """Send every message back."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosedError:
        pass  # gone without a goodbye


async def main() -> None:
    """Serve for ever."""
    port, _ = arguments(websocket=echo)
    async with serve(answer, "127.0.0.1", port, backlog=BACKLOG, compression=None) as server:
        await server.serve_forever()


asyncio.run(main())
