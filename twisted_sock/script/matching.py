r"""Which lines a rule or a fault is for: a `Matcher` is one `Match` made ready.

A regular expression that begins plainly, as `LOGIN (\w+)` does, is not even tried on lines that
begin otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from typing import Any

from twisted_sock.errors import ScriptError
from twisted_sock.interfaces import Peer
from twisted_sock.script.model import Match
from twisted_sock.script.pattern import Captured, Pattern, Runaway
from twisted_sock.script.pattern import compile as compile_pattern

#: There is nothing to capture.
NOTHING = Captured((), {})

#: How often a pattern may run away; then it is given up, so that nobody has to wait for it.
MOST_RUNAWAYS = 20

#: What stands for itself wherever it stands in a pattern, besides letters and digits.
PLAIN = frozenset(" _:;,/@=<>'\"!~&%-")

#: What JSON may have between its parts, and before the first.
JSON_SPACE = " \t\r\n"
BEGINS_JSON = frozenset(["{", *JSON_SPACE])


#: What is captured of a line; None when it does not match.
Find = Callable[[str], Captured | None]


class Matcher:
    """Says whether lines are what a `Match` describes.

    Args:
        match: the description.

    Attributes:
        pattern: its regular expression, if it has one.
        find: what is captured of a line, whatever state and peer; None when it does not match.
        prefix: what every line that matches begins with, as far as is known.
        runaways: how often its regular expression took too long.

    Raises:
        ScriptError: the regular expression or a network cannot be used.
    """

    __slots__ = ("_networks", "find", "match", "pattern", "prefix", "runaways")

    def __init__(self, match: Match) -> None:
        self.match = match
        self.runaways = 0
        self.pattern: Pattern | None = None
        self._networks = tuple(map(_network, match.client))
        self.prefix = match.prefix or ""
        if match.regex is not None:
            self.pattern = compile_pattern(match.regex)
            self.prefix = literal_prefix(match.regex)
        self.find: Find = self._find()

    def __call__(self, line: str, state: str, peer: Peer) -> Captured | None:
        """What is captured of a line; None when it does not match."""
        return self.find(line) if self.concerns(state, peer.host) else None

    def knows(self, host: str) -> bool:
        """Whether lines of a peer can match at all.

        Args:
            host: the peer's IP address; empty where there is none.
        """
        if not self._networks:
            return True
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)

    def concerns(self, state: str, host: str) -> bool:
        """Whether lines of a peer can match while its conversation is in a state."""
        return (not self.match.when or state in self.match.when) and self.knows(host)

    def characters(self, place: int) -> frozenset[str]:
        """The characters that lines can match with in a place; empty: any, or none at all."""
        if self.match.json is not None and place == 0:
            return BEGINS_JSON
        return frozenset(self.prefix[place : place + 1])

    def _find(self) -> Find:
        match = self.match
        if match.exact is not None:
            return partial(_exact, match.exact)
        if match.prefix is not None:
            return partial(_prefix, match.prefix)
        if self.pattern is not None:
            return partial(self._captured, self.pattern.match, self.prefix)
        if match.json is not None:
            return partial(_json, match.json)
        return _any

    def _captured(self, find: Find, prefix: str, text: str) -> Captured | None:
        if not text.startswith(prefix) or self.runaways >= MOST_RUNAWAYS:
            return None
        try:
            return find(text)
        except Runaway:
            self.runaways += 1
            return None


def literal_prefix(pattern: str) -> str:
    """What every line that a pattern matches begins with, as far as it is plain to see.

    Args:
        pattern: the regular expression; in doubt the answer is shorter, never wrong.
    """
    if _is_doubtful(pattern):
        return ""
    for place, char in enumerate(pattern):
        if not (char in PLAIN or (char.isascii() and char.isalnum())):
            return pattern[: max(0, place - (char in "?*{"))]
    return pattern


def _is_doubtful(pattern: str) -> bool:
    """Whether a pattern may have alternatives or flags that concern its beginning."""
    depth = 0
    for place, char in enumerate(pattern):
        if char in "[\\" and "|" in pattern[place:]:
            return True  # from here on it is hard to say what a bracket or a bar means
        if char == "|" and depth == 0:
            return True
        if pattern.startswith("(?", place) and pattern[place + 2 : place + 3] not in (":", "P"):
            return True
        depth += (char == "(") - (char == ")")
    return False


def _any(line: str) -> Captured | None:
    return NOTHING


def _exact(text: str, line: str) -> Captured | None:
    return NOTHING if line == text else None


def _prefix(text: str, line: str) -> Captured | None:
    return NOTHING if line.startswith(text) else None


def _json(wanted: Mapping[str, Any], line: str) -> Captured | None:
    return NOTHING if _has(parsed(line), wanted) else None


@lru_cache(maxsize=4)  # many rules may ask of the same line
def parsed(line: str) -> Any:
    """The JSON object that a line is; None when it is none. Not to be written to."""
    if not line.lstrip(JSON_SPACE).startswith("{"):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _has(value: Any, wanted: Any) -> bool:
    """Whether some JSON is what is wanted, and objects in it at least that."""
    if isinstance(wanted, Mapping):
        return isinstance(value, dict) and all(
            key in value and _has(value[key], each) for key, each in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list) and len(value) == len(wanted) and all(map(_has, value, wanted))
        )
    # To Python `true` is 1, to JSON it is not.
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ScriptError(f"{text!r} is no network: {error}") from None


@lru_cache(maxsize=1024)
def _address(host: str) -> Any:
    """An IP address; None where there is none, as on UNIX sockets."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
