"""The load for lines of any length and text: plain sockets and epoll.

Closed loop: each connection sends a batch of lines, waits for all their answers, and sends the
next. Connecting, and checking one answer byte by byte, come before the clock starts; after
that only bytes are counted.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from benchmarks.errors import BenchError
from benchmarks.process import HOST

TIMEOUT = 30.0
READ = 1 << 18


class ClosedLoop(contextlib.ExitStack):
    """Some connections to a server, and the batch of lines that each of them sends.

    Args:
        port: of the server.
        line: with its delimiter.
        answer: what the server sends for it.
        clients: connections.
        depth: lines of a batch.
        fresh: gives each batch to send, where they are not always the same; then `line` is a
            whole batch, too, and all are answered by as many bytes as it is.
        request: what is sent first of all, answered by a head as of HTTP; nothing for none.

    Raises:
        BenchError: the server does not answer so.
    """

    def __init__(
        self,
        port: int,
        line: bytes,
        answer: bytes,
        *,
        clients: int,
        depth: int,
        fresh: Callable[[], bytes] | None = None,
        request: bytes = b"",
    ) -> None:
        super().__init__()
        same = line * depth
        answered = len(answer) * (1 if fresh else depth)
        self._depth = depth
        self._epoll = self.enter_context(select.epoll())
        self._connections: dict[int, _Connection] = {}
        with contextlib.ExitStack() as opened:
            for _ in range(clients):
                connected = opened.enter_context(_connect(port, line, answer, request))
                connection = _Connection(connected, fresh or (lambda: same), answered)
                self._connections[connected.fileno()] = connection
                self._epoll.register(connected, select.EPOLLIN)
            self.enter_context(opened.pop_all())

    def run(self, lines: int) -> float:
        """Send so many lines, a whole number of batches, and wait for all answers.

        Returns:
            Lines per second.

        Raises:
            BenchError: the server closed a connection, or stopped answering.
        """
        batches = lines // self._depth
        started = time.perf_counter()
        issued = 0
        for fd, connection in self._connections.items():
            if issued < batches:
                issued += 1
                self._send(fd, connection.begin())
        finished = 0
        while finished < batches:
            for fd, event in self._ready():
                connection = self._connections[fd]
                if event & select.EPOLLOUT:
                    self._send(fd, connection.flush())
                if event & ~select.EPOLLOUT and connection.receive():
                    finished += 1
                    if issued < batches:
                        issued += 1
                        self._send(fd, connection.begin())
        return lines / (time.perf_counter() - started)

    def _ready(self) -> list[tuple[int, int]]:
        events = self._epoll.poll(TIMEOUT)
        if not events:
            raise BenchError(f"no answer for {TIMEOUT:g} s")
        return events

    def _send(self, fd: int, all_sent: bool) -> None:
        """Watch for room to send the rest, if there is one."""
        connection = self._connections[fd]
        if all_sent == connection.watched_for_room:
            connection.watched_for_room = not all_sent
            wanted = select.EPOLLIN if all_sent else select.EPOLLIN | select.EPOLLOUT
            self._epoll.modify(fd, wanted)


class _Connection:
    """One connection, and how far it is with its batch."""

    __slots__ = (
        "_answered", "_batch", "_into", "_next", "_owed", "_sent", "_socket", "watched_for_room"
    )  # fmt: skip

    def __init__(
        self, connected: socket.socket, batches: Callable[[], bytes], answered: int
    ) -> None:
        self.watched_for_room = False
        self._socket = connected
        self._next = batches
        self._batch = memoryview(b"")
        self._answered = answered
        self._into = bytearray(min(READ, max(4096, answered)))
        self._sent = 0
        self._owed = 0

    def begin(self) -> bool:
        """Send the next batch; whether all of it was taken."""
        self._batch = memoryview(self._next())
        self._sent = 0
        self._owed += self._answered
        return self.flush()

    def flush(self) -> bool:
        """Send what is left; whether all of it was taken."""
        with contextlib.suppress(BlockingIOError):
            self._sent += self._socket.send(self._batch[self._sent :])
        return self._sent == len(self._batch)

    def receive(self) -> bool:
        """Take what has come; whether the batch is answered.

        Raises:
            BenchError: the connection is closed, or more came than was asked for.
        """
        try:
            received = self._socket.recv_into(self._into)
        except BlockingIOError:
            return False
        except OSError as error:
            raise BenchError(f"a connection broke: {error}") from None
        self._owed -= received
        if not received or self._owed < 0:
            raise BenchError("the server closed, or answered too much")
        return self._owed == 0


def _connect(port: int, line: bytes, answer: bytes, request: bytes) -> socket.socket:
    """A connection on which one line was answered as it should be."""
    try:
        connected = socket.create_connection((HOST, port), timeout=10)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if request:
            connected.sendall(request)
            _head(connected)
        connected.sendall(line)
        heard = b""
        while len(heard) < len(answer) and (more := connected.recv(READ)):
            heard += more
    except OSError as error:
        raise BenchError(f"cannot connect: {error}") from None
    if heard != answer:
        connected.close()
        raise BenchError(f"answered {heard[:40]!r}, not {answer[:40]!r}")
    connected.setblocking(False)
    return connected


def _head(connected: socket.socket) -> None:
    """Read the head of an answer, whatever it says, and nothing behind it."""
    heard = b""
    while not heard.endswith(b"\r\n\r\n") and (more := connected.recv(1)):
        heard += more
