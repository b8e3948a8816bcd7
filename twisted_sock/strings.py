r"""Strings in the style of Twisted's endpoint strings: `name:argument:key=value`.

A colon in a value is written `\:`, an equals sign `\=`, a backslash before either `\\`.
"""

from __future__ import annotations

import re

PART = re.compile(r"((?:\\.|[^:\\])*)(:|$)", re.DOTALL)
PAIR = re.compile(r"((?:\\.|[^=\\])*)(?:=(.*))?", re.DOTALL)


def parse(text: str) -> tuple[str, list[str], dict[str, str]]:
    """The parts of a string.

    Returns:
        Its name, its values without a key, and those with one.

    Raises:
        ValueError: a key is given twice.
    """
    name, *parts = split(text)
    arguments: list[str] = []
    options: dict[str, str] = {}
    for part in parts:
        match = PAIR.fullmatch(part)
        key, value = match.groups() if match else (part, None)
        if value is None:
            arguments.append(unescape(key))
        elif unescape(key) in options:
            raise ValueError(f"{unescape(key)}: given twice")
        else:
            options[unescape(key)] = unescape(value)
    return unescape(name), arguments, options


def split(text: str) -> list[str]:
    """What stands between the colons, still escaped."""
    parts: list[str] = []
    start = 0
    while True:
        match = PART.match(text, start)
        if match is None:  # a lone backslash at the end
            return [*parts, text[start:]]
        parts.append(match[1])
        if not match[2]:
            return parts
        start = match.end()


def escape(text: str) -> str:
    """A text as one value of such a string."""
    return re.sub(r"[\\:=]", r"\\\g<0>", text)


def unescape(text: str) -> str:
    """A value as it was meant."""
    return re.sub(r"\\([\\:=])", r"\1", text)
