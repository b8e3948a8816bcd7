"""Text from outside, made safe to show on a terminal or in a log.

A peer's text can move the cursor, recolour the screen or reverse the reading direction. What is
shown goes through `escape` first; what is sent or delivered never does.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1 controls
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u2028\u2029\ufeff\ud800-\udfff"  # line and paragraph separators, BOM, lone surrogates
    "\\\\]"  # the backslash, so that an escape cannot be forged
)


def escape(text: str) -> str:
    """`text` with everything that could disturb a terminal written as an escape.

    >>> escape("\\x1b[2Jhello")
    '\\\\x1b[2Jhello'
    """
    return _UNSAFE.sub(_escaped, text)


def show(text: str) -> str:
    """`text` escaped for people only: backslashes stay single, so an escape may be the peer's."""
    return escape(text).replace("\\\\", "\\")


def one_line(text: str) -> str:
    """`text` as one line that can be shown, whatever is in it."""
    return show(" ".join(text.split()))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] == "\\":
        return "\\\\"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
