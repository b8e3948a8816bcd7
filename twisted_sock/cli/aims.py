"""Which line is answered by what a person types: `[3] are you there? > I am`.

It is the one that has waited longest when they begin to type, and stays that: if somebody else
answers it meanwhile, what is typed goes nowhere. A line is named by its conversation and its
number there, so that the service can tell, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from unicodedata import east_asian_width

from twisted_sock.display import show

#: Columns of a line in the prompt.
WIDTH = 40


class Aim(NamedTuple):
    """Where a text goes.

    Args:
        talk: to which conversation.
        line: the number of the line that it answers; 0: it is said unasked.
        words: that line.
    """

    talk: int
    line: int = 0
    words: str = ""

    @property
    def key(self) -> tuple[int, int]:
        """What it is, whatever its words."""
        return self.talk, self.line

    @property
    def name(self) -> str:
        """How the service knows it."""
        return f"{self.talk}.{self.line}"


class Aims:
    """The lines that wait, and what is aimed at.

    Attributes:
        chosen: the conversation that texts go to; None: to whichever waits longest.
        talks: the conversations that go on.
    """

    def __init__(self) -> None:
        self.chosen: int | None = None
        self.talks: set[int] = set()
        self._waiting: dict[tuple[int, int], Aim] = {}
        self._pinned: dict[tuple[int, int], Aim] | None = None
        self._spent: set[tuple[int, int]] = set()  # lines whose answer is on its way

    # What the service tells.

    def begin(self, talks: Iterable[Mapping[str, Any]]) -> None:
        """All conversations, and the lines that wait in them."""
        self._waiting.clear()
        self._spent.clear()
        self.talks.clear()
        for talk in talks:
            self._open(talk.get("id"))
            for line in waiting_of(talk):
                self._wait(talk.get("id"), line)

    def happened(self, event: Mapping[str, Any]) -> None:
        """Something has happened."""
        kind, talk = event.get("event"), event.get("id")
        if kind == "waiting":
            self._wait(talk, event)
        elif kind == "answered" and isinstance(talk, int) and isinstance(event.get("line"), int):
            self._forget((talk, event["line"]))
        elif kind == "opened":
            self._open(talk)
        elif kind == "closed" and isinstance(talk, int):
            self.talks.discard(talk)
            for key in [key for key in self._waiting if key[0] == talk]:
                self._forget(key)

    def _open(self, talk: Any) -> None:
        if isinstance(talk, int):
            self.talks.add(talk)

    def _forget(self, key: tuple[int, int]) -> None:
        self._waiting.pop(key, None)
        self._spent.discard(key)

    def _wait(self, talk: Any, line: Mapping[str, Any]) -> None:
        number = line.get("line")
        if isinstance(talk, int) and isinstance(number, int):
            self._waiting[talk, number] = Aim(talk, number, str(line.get("text")))

    # What the person does.

    def pin(self) -> None:
        """They begin to type: what waits now is what they mean."""
        if self._pinned is None:
            self._pinned = {aim.key: aim for aim in self._lines()}

    def unpin(self) -> None:
        """They are done with it."""
        self._pinned = None

    def spend(self, aim: Aim) -> None:
        """It is being answered."""
        if aim.key in self._waiting:
            self._spent.add(aim.key)

    def miss(self, aim: Aim, waits: bool) -> None:
        """The answer was refused.

        Args:
            aim: to what.
            waits: whether that may be waiting still.
        """
        if waits:
            self._spent.discard(aim.key)
        else:
            self._forget(aim.key)

    @property
    def aim(self) -> Aim | None:
        """Where a text goes; None: nowhere."""
        return next(self._lines(), None) if self.chosen is None else self.at(self.chosen)

    def at(self, talk: int) -> Aim:
        """Where a text goes in one conversation."""
        return next((aim for aim in self._lines() if aim.talk == talk), Aim(talk))

    def _lines(self) -> Iterator[Aim]:
        waiting = self._waiting if self._pinned is None else self._pinned
        return (aim for aim in waiting.values() if aim.key not in self._spent)

    @property
    def prompt(self) -> str:
        """Where a text goes, to be shown before it."""
        aim = self.aim
        if aim is None:
            return "> "
        if not aim.line:
            return f"[{aim.talk}] > "
        gone = "" if aim.key in self._waiting else "waits no more: "
        return f"[{aim.talk}] {gone}{cut(aim.words)} > "


def waiting_of(talk: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of a conversation that wait, if they are told as such."""
    waiting = talk.get("waiting")
    lines = waiting if isinstance(waiting, list) else []
    return [line for line in lines if isinstance(line, dict)]


def cut(words: str) -> str:
    """A line, safe to show and not too wide."""
    shown = show(words[: 2 * WIDTH]) or "(an empty line)"
    width = 0
    for place, character in enumerate(shown):
        width += 2 if east_asian_width(character) in "WF" else 1
        if width > WIDTH:
            return f"{shown[: place - 1]}…"
    return shown
