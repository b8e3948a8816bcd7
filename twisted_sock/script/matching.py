r"""Which lines a rule or a fault is for: a `Matcher` is one `Match` made ready.

A regular expression that begins plainly, as `LOGIN (\w+)` does, is not even tried on lines that
begin otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from typing import Any

from twisted_sock.errors import ScriptError
from twisted_sock.interfaces import Peer
from twisted_sock.script.captured import NOTHING, Captured
from twisted_sock.script.model import Match
from twisted_sock.script.pattern import Find, Pattern, Runaway
from twisted_sock.script.pattern import compile as compile_pattern
from twisted_sock.script.regex_text import literal_prefix

#: How often a pattern may run away; then it is given up, so that nobody has to wait for it.
MOST_RUNAWAYS = 20

#: What JSON may have between its parts, and before the first.
JSON_SPACE = " \t\r\n"
BEGINS_JSON = frozenset(["{", *JSON_SPACE])


class Matcher:
    """Says whether lines are what a `Match` describes.

    Args:
        match: the description.

    Attributes:
        pattern: its regular expression, if it has one.
        find: what is captured of a line, whatever state and peer; None when it does not match.
        look: the same for a line that is known to be `exact` or to begin with one of `heads`;
            None: such a line always matches, and nothing is captured.
        heads: how lines that match begin, one of these; empty: anyhow.
        runaways: how often its regular expression took too long.

    Raises:
        ScriptError: the regular expression or a network cannot be used.
    """

    __slots__ = ("_networks", "find", "heads", "look", "match", "pattern", "runaways")

    def __init__(self, match: Match) -> None:
        self.match = match
        self.runaways = 0
        self.pattern: Pattern | None = None
        self._networks = tuple(map(_network, match.client))
        if match.regex is not None:
            self.pattern = compile_pattern(match.regex)
        self.heads = _heads(match)
        self.look: Find | None = self._look()
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

    def captured(self, line: str) -> Captured | None:
        """What is captured of a line that is as `look` wants it; None when it does not match."""
        return NOTHING if self.look is None else self.look(line)

    def _look(self) -> Find | None:
        if self.pattern is not None:
            return partial(self._guarded, self.pattern.match)
        if self.match.json is not None:
            return partial(_json, self.match.json)
        return None

    def _find(self) -> Find:
        if self.match.exact is not None:
            return partial(_exact, self.match.exact)
        look = self.look or _any
        return partial(_beginning, tuple(self.heads), look) if self.heads else look

    def _guarded(self, find: Find, line: str) -> Captured | None:
        if self.runaways >= MOST_RUNAWAYS:
            return None
        try:
            return find(line)
        except Runaway:
            self.runaways += 1
            return None


def _heads(match: Match) -> frozenset[str]:
    """How lines that match begin; empty: anyhow, or there is nothing to be gained by it."""
    if match.json is not None:
        return BEGINS_JSON
    head = match.prefix if match.regex is None else literal_prefix(match.regex)
    return frozenset([head] if head else [])


def _beginning(heads: tuple[str, ...], find: Find, line: str) -> Captured | None:
    return find(line) if line.startswith(heads) else None


def _any(line: str) -> Captured | None:
    return NOTHING


def _exact(text: str, line: str) -> Captured | None:
    return NOTHING if line == text else None


def _json(wanted: Mapping[str, Any], line: str) -> Captured | None:
    return NOTHING if _has(parsed(line), wanted) else None


@lru_cache(maxsize=4)  # many rules may ask of the same line
def parsed(line: str) -> Any:
    """The JSON object that a line is; None when it is none. Not to be written to."""
    if not line.lstrip(JSON_SPACE).startswith("{"):
        return None
    try:
        return json.loads(line, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None


def _no_json(word: str) -> None:
    """`NaN` and the like, which Python would take (RFC 8259 section 6)."""
    raise ValueError(word)


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
