"""Telling watchers what happens, as JSON: what peers say comes in no other form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Watcher(Protocol):
    """Somebody who is told what happens."""

    @property
    def full(self) -> bool:
        """Whether it has enough for now, so that it misses what happens."""

    def tell(self, event: str) -> None:
        """Something has happened. Must not wait, and must not raise."""

    def miss(self) -> None:
        """Something has happened that it is not told."""


def tell(watchers: Iterable[Watcher], event: Callable[[], str]) -> None:
    """Tell some watchers of an event.

    Args:
        watchers: who is to be told.
        event: gives it as text; called once, and only if somebody listens.
    """
    text = ""
    for watcher in watchers:
        if watcher.full:
            watcher.miss()
        else:
            text = text or event()
            watcher.tell(text)


#: Data as JSON in one line of ASCII: nothing in it can end the line, or move a cursor.
encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
