"""asyncio's streams on its own event loop."""

from __future__ import annotations

import asyncio

from benchmarks.servers.answers import BACKLOG, MAX_LINE, arguments, echo, ping

port, answer = arguments(ping=ping, echo=echo)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line of one connection."""
    try:
        while line := await reader.readline():
            writer.write(answer(line.rstrip(b"\r\n")) + b"\r\n")
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_server(
        converse, "127.0.0.1", port, limit=MAX_LINE, backlog=BACKLOG
    )
    await server.serve_forever()


asyncio.run(main())
