"""What the Python peers answer, and what each is told on its command line."""

from __future__ import annotations

import sys
from collections.abc import Callable

#: Lines longer than this are not sent; peers with a shorter limit raise theirs to it.
MAX_LINE = 65536


def ping(line: bytes) -> bytes:
    """The same to every line."""
    return b"+PONG"


def echo(line: bytes) -> bytes:
    """The line itself."""
    return line


def arguments() -> tuple[int, Callable[[bytes], bytes]]:
    """The port to listen on, and the function that answers a line."""
    _, port, answer = sys.argv
    return int(port), {"ping": ping, "echo": echo}[answer]
