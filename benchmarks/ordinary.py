"""An ordinary connection: it says a line, waits for the answer, and notes how long that took."""

from __future__ import annotations

import contextlib
import socket
import time

from benchmarks.errors import BenchError
from benchmarks.process import HOST

TIMEOUT = 30.0

#: Seconds between two lines.
PAUSE = 0.01


class Ordinary(contextlib.ExitStack):
    """One connection.

    Args:
        port: of the server.

    Raises:
        BenchError: it cannot be made.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        try:
            connected = self.enter_context(socket.create_connection((HOST, port), TIMEOUT))
        except OSError as error:
            raise BenchError(f"an ordinary connection cannot be made: {error}") from None
        self._connection = connected

    def ask(self, line: str) -> str:
        """Say a line and hear the answer.

        Raises:
            BenchError: there is none, or not in time.
        """
        heard = b""
        try:
            self._connection.sendall(line.encode() + b"\r\n")
            while not heard.endswith(b"\n"):
                more = self._connection.recv(4096)
                if not more:
                    raise BenchError("an ordinary connection was closed")
                heard += more
        except OSError as error:
            raise BenchError(f"an ordinary line was not answered: {error}") from None
        return heard.decode().rstrip("\r\n")

    def waits(self, seconds: float) -> list[float]:
        """Say a line now and then for a while; how long each waited for its answer, in seconds.

        Raises:
            BenchError: one was not answered.
        """
        waited: list[float] = []
        end = time.monotonic() + seconds
        while not waited or time.monotonic() < end:
            began = time.monotonic()
            self.ask("PING")
            waited.append(time.monotonic() - began)
            time.sleep(PAUSE)
        return waited
