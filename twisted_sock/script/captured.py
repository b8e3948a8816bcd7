"""What was captured of a line by the rule that is for it."""

from __future__ import annotations

from typing import Protocol


class Captured(Protocol):
    """What the groups of a pattern have matched, by number or name; None where one took no part.

    It is the match as `re` or `regex` gives it.
    """

    def __getitem__(self, group: int | str, /) -> str | None:
        """What one group has matched; 0 is the whole line."""


class Nothing:
    """There is nothing to capture (see `Captured`)."""

    def __getitem__(self, group: int | str, /) -> None:
        """No group has matched anything."""


NOTHING = Nothing()
