"""What a command is given: numbers, seconds, texts and tables, in a line or as JSON."""

from __future__ import annotations

import math
import tomllib
from typing import Any

from twisted_sock.operator.syntax import Refused

#: Seconds that a line may wait at most: a day.
MOST = 86400


def number(given: Any, usage: str) -> int:
    """A number, in digits or as JSON has it.

    Raises:
        Refused: it is none; in these words.
    """
    words = "" if isinstance(given, float) else str(given)
    if not (words.isascii() and words.isdigit() and len(words) < 16):
        raise Refused("usage", usage)
    return int(words)


def seconds(given: Any) -> float:
    """How long a line may wait.

    Raises:
        Refused: it is no such number.
    """
    try:
        found = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not 0 < found <= MOST:
        raise Refused("usage", f"SECONDS is a number above 0, and {MOST} at most")
    return found


def text(given: Any) -> str:
    """What is to be said.

    Raises:
        Refused: it is not one line.
    """
    if not isinstance(given, str) or "\n" in given:
        raise Refused("usage", "TEXT is one line of text")
    return given


def file(given: Any) -> str:
    """The name of a file.

    Raises:
        Refused: it is none.
    """
    if not isinstance(given, str) or not given:
        raise Refused("usage", "FILE is the name of a file")
    return given


def table(given: Any) -> dict[str, Any]:
    """The table of a fault: as JSON has it, or an inline table of TOML.

    Raises:
        Refused: it is none.
    """
    if isinstance(given, dict):
        return given
    try:
        if "\n" in str(given):  # there might be other keys behind it
            raise Refused("fault", "TABLE is one line")
        found = tomllib.loads(f"fault = {given}")["fault"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Refused("fault", f"TABLE is an inline table of TOML: {error}") from None
    if not isinstance(found, dict):
        raise Refused("fault", 'TABLE is an inline table of TOML: {do = "drop", nth = 3}')
    return found
