"""How commands name conversations and the lines that wait in them, and tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted_sock.operator import given
from twisted_sock.operator.syntax import Data, Refused
from twisted_sock.operator.talk import Talk
from twisted_sock.operator.waiting import Waiting

#: Stands for every conversation.
ALL = "all"

#: How a conversation is named.
AN_ID = "ID is the number of a conversation; list tells them"


def line_of(values: Mapping[str, Any]) -> int | None:
    """Which line is meant: its number, 0 for none, or None for whichever waits.

    Raises:
        Refused: it is no number, or all conversations are meant.
    """
    line = values.get("line")
    if line is None:
        return None
    if values["id"] == ALL:
        raise Refused("usage", "LINE is a line of one conversation, not of all")
    return given.number(line, "LINE is the number of a line that waits, or 0 for none; list tells")


def described(talk: Talk, now: float) -> Data:
    """A conversation, as lists have it."""
    return {
        "id": talk.number,
        "peer": str(talk.peer),
        "who": talk.peer.identity,
        "state": talk.state,
        "since": round(talk.since, 6),
        **talk.history.counts,
        "waiting": [left(each, now) for each in talk.waiting.values()],
    }


def left(waiting: Waiting, now: float) -> Data:
    """A line that waits, and how long it still does."""
    seconds = round(waiting.timer.getTime() - now, 3)
    return {"line": waiting.number, "text": waiting.line, "seconds": max(0.0, seconds)}


def answered(talk: Talk, line: int) -> Data:
    """A line was answered."""
    return {"id": talk.number, "answered": True, "line": line}


def waits(talk: Talk, line: int | None) -> bool:
    """Whether a line waits, or any."""
    return bool(talk.waiting) if line is None else line in talk.waiting


def line_waits(talk: Talk) -> Refused:
    """Nothing can be said there as if no line waited."""
    line = next(iter(talk.waiting))
    return Refused("line-waits", f"line {line} of {talk.number} waits for an answer")


def ending(talk: Talk) -> Refused:
    """Nothing is said there any more."""
    return Refused("closing", f"conversation {talk.number} is closing")


def unsent(talk: Talk) -> Refused:
    """What was to be said cannot be sent."""
    return Refused("unsent", f"it cannot be sent to the peer of {talk.number}")


def no_talk(wanted: int) -> Refused:
    """There is no such conversation."""
    return Refused("no-conversation", f"there is no conversation {wanted}; list tells them")
