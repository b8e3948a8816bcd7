"""A recorded line in a script: a template where it is said, matched where it is heard."""

from __future__ import annotations

import re

from twisted_sock.script.masking import MARK
from twisted_sock.script.model import Match

#: What stands where something is masked, when the line is said.
MASKED = "***"

#: What a line of a script cannot say (see `template`).
CANNOT = "\n"


def said(line: str) -> str:
    """A recorded line as a template."""
    line = line.replace(CANNOT, "\N{REPLACEMENT CHARACTER}").replace(MARK, MASKED)
    return line.replace("{", "{{").replace("}", "}}")


def match(line: str, state: str) -> Match:
    """Which lines a recorded one stands for: itself, and with something masked any secret."""
    when = (state,) if state else ()
    if MARK not in line:
        return Match(exact=line, when=when)
    parts = line.split(MARK)
    if len(parts) == 2 and not parts[1]:
        return Match(prefix=parts[0] or None, when=when)
    return Match(regex=".*".join(map(re.escape, parts)), when=when)
