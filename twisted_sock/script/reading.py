"""Reads scripts: TOML, checked by the tables in `keys`, made into what `model` describes.

Every mistake is one line that says where it is::

    login.toml:12: rule 3 (login): there is no 'repy'; did you mean 'reply'?

`read` and `parse` raise the first as a `ScriptError`; `examine` returns them all.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted_sock.display import one_line
from twisted_sock.errors import ScriptError
from twisted_sock.script.building import Builder
from twisted_sock.script.mistakes import At, Mistakes, shown
from twisted_sock.script.model import Fault, Script
from twisted_sock.script.places import Places

#: The largest script, in bytes.
LARGEST = 10_000_000

#: Where `tomllib` says that something is wrong.
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Examined:
    """A script and what is wrong with it.

    Args:
        script: the script, without what is wrong.
        mistakes: one line each, in the order of the file; none: it can be played.
    """

    script: Script
    mistakes: tuple[str, ...]


def read(path: str) -> Script:
    """The script in a file.

    Raises:
        ScriptError: it cannot be read, or there is a mistake in it.
    """
    return parse(load(path), path)


def parse(text: str, path: str) -> Script:
    """The script that a text is.

    Args:
        text: the text.
        path: what to call it in messages.

    Raises:
        ScriptError: there is a mistake in it: the first, and how many more there are.
    """
    examined = examine(text, path)
    if examined.mistakes:
        first, *more = examined.mistakes
        raise ScriptError(f"{first} (and {len(more)} more)" if more else first)
    return examined.script


def parse_fault(table: Mapping[str, Any], where: str) -> Fault:
    """One fault that is injected while a script is played.

    Args:
        table: its keys and values. Without a name it is called after what it does.
        where: what it stands in, for messages.

    Raises:
        ScriptError: there is a mistake in it.
    """
    mistakes = Mistakes(where, Places())
    if isinstance(table, Mapping):
        fault = Builder(mistakes).fault(table, At(), str(table.get("do", "")))
    else:
        mistakes.add(At(), "", f"a fault is a table, not {shown(table)}")
    for mistake in mistakes.in_order():
        raise ScriptError(mistake)
    return fault


def examine(text: str, path: str) -> Examined:
    """The script that a text is, and all mistakes that can be found in one go.

    Args:
        text: the text.
        path: what to call it in messages.
    """
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return Examined(Script(path), (one_line(f"{path}: it is nested too deeply"),))
    except ValueError as error:
        return Examined(Script(path), (one_line(_syntax(str(error), text, path)),))
    mistakes = Mistakes(path, Places(text, data))
    script = Builder(mistakes).script(data)
    return Examined(script, mistakes.in_order())


def _syntax(words: str, text: str, path: str) -> str:
    """What `tomllib` does not like, in our words."""
    place = _PLACE.search(words)
    if place is None:
        return f"{path}: this is not TOML: {words}"
    words = words[0].lower() + words[1 : place.start()]
    if place[1] is None:
        line = text.rstrip().count("\n") + 1
        return f"{path}:{line}: this is not TOML: at its end: {words}"
    return f"{path}:{place[1]}: this is not TOML: column {place[2]}: {words}"


def load(path: str) -> str:
    """The text in a file.

    Raises:
        ScriptError: there is none, or it is too large, or not UTF-8.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            return decode(file.read(LARGEST + 1), path)
    except OSError as error:
        raise ScriptError(one_line(f"{path}: {error.strerror}")) from None
    except ValueError:
        raise ScriptError(one_line(f"{path}: no file has such a name")) from None


def _open(path: str, flags: int) -> int:
    """Open a plain file. Anything else, a pipe say, could make the whole service wait."""
    fd = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is no plain file", path)


def decode(data: bytes, path: str) -> str:
    """The text that some bytes are.

    Args:
        data: the bytes, of a file in UTF-8.
        path: what to call it in messages.

    Raises:
        ScriptError: they are too many, or not UTF-8.
    """
    if len(data) > LARGEST:
        raise ScriptError(one_line(f"{path}: a script has at most {LARGEST:,} bytes"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScriptError(one_line(f"{path}:{line}: this is not UTF-8")) from None
