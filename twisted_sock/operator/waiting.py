"""A line that waits for somebody's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall


@dataclass(slots=True, eq=False)
class Waiting:
    """A line that waits for an answer.

    Args:
        number: the how-manyth line of the peer it is, from 1; its name in the conversation.
        line: the line.
        answer: fires with the lines of the answer; with None for the script to answer.
        timer: when it does.
    """

    number: int
    line: str
    answer: Deferred[Any]
    timer: IDelayedCall
