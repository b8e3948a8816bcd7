"""What becomes of the lines that a person types: commands, answers, and what is given back.

Of lines that are pasted, one is an answer at most: the next may be meant for the same question.
A text that was given back for one line or conversation does not go to another before the person
was told so, or has edited it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from twisted_sock.cli.aims import Aim, Aims

#: A conversation, maybe with one of its lines.
NAME = re.compile(r"(?a:\d{1,15})(?a:\.\d{1,15})?")

NOWHERE = "no line waited when you began to type: not sent; /3 text speaks to 3"
AFTER_AN_ANSWER = "the line before it is an answer; this was not sent"


class Returned(NamedTuple):
    """What was given back.

    Args:
        text: its first line.
        aim: what that was for; None: nothing that is known.
    """

    text: str
    aim: Aim | None


class Typed:
    """Does what is typed.

    Args:
        aims: what is aimed at.
        say: says a text; given where to, the text, and what was typed.
        command: does a command, without its slash.
    """

    def __init__(
        self,
        aims: Aims,
        say: Callable[[Aim, str, str], object],
        command: Callable[[str], object],
    ) -> None:
        self._aims = aims
        self._say = say
        self._command = command
        self._returned: Returned | None = None

    def give_back(self, text: str, aim: Aim | None) -> None:
        """Something was given back.

        Args:
            text: what was typed.
            aim: what the first line of it was for; None: nothing that is known.
        """
        self._returned = Returned(text.partition("\n")[0], aim)

    def do(self, lines: list[str]) -> tuple[str, Aim | None]:
        """Do some lines, up to one that answers.

        Args:
            lines: what is typed; what is done is taken from it.

        Returns:
            Why the others are not done, and what the first of them was for, if that is known.
        """
        returned, self._returned = self._returned, None
        while lines:
            line = lines[0]
            aim, text = self._target(line)
            if text is not None:
                was = returned.aim if returned is not None and returned.text == line else None
                if aim is None:
                    return NOWHERE, was
                if was is not None and was.key != aim.key:
                    return f"not sent: Enter sends it to {whither(aim)} now", aim
                self._say(aim, text, line)
            elif line:
                self._command(line[1:])
            del lines[0]
            if aim is not None and aim.line and is_text(line):
                return AFTER_AN_ANSWER, None
        return "", None

    def _target(self, line: str) -> tuple[Aim | None, str | None]:
        """Where a line goes, and what of it; the latter is None if it is a command, or nothing."""
        if is_text(line):
            return self._aims.aim, line.removeprefix("/")
        name, space, text = line[1:].partition(" ")
        if not (space and NAME.fullmatch(name)):
            return None, None
        talk, dot, number = name.partition(".")
        return (Aim(int(talk), int(number)) if dot else self._aims.at(int(talk))), text


def is_text(line: str) -> bool:
    """Whether a line is no command, but text for what is aimed at."""
    return bool(line) and (not line.startswith("/") or line.startswith("//"))


def whither(aim: Aim) -> str:
    """Where something goes, in words."""
    return f"[{aim.talk}], line {aim.line}," if aim.line else f"[{aim.talk}], unasked,"
