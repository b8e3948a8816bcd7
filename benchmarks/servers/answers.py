"""What the Python peers answer, and what each is told on its command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

#: Lines longer than this are not sent; peers with a shorter limit raise theirs to it.
MAX_LINE = 65536

#: Connections that may wait to be accepted: with Twisted's 50, opening thousands takes minutes.
BACKLOG = 1024

Text = TypeVar("Text", str, bytes)


def ping(line: bytes) -> bytes:
    """The same to every line."""
    return b"+PONG"


def echo(line: bytes) -> bytes:
    """The line itself."""
    return line


def arguments(**answers: Callable[[Text], Text]) -> tuple[int, Callable[[Text], Text]]:
    """The port to listen on, and the function that answers a line.

    Args:
        answers: those that the server has, by the names that a command line may have.
    """
    _, port, answer = sys.argv
    return int(port), answers[answer]
