"""Lines between a client and a server that stand crosswise: see `Crossed`."""

from __future__ import annotations

import dataclasses

from twisted_sock.framing import make_framer
from twisted_sock.settings import LinePolicy


class Crossed:
    """A framer that reads as a server speaks, and writes as a client does (see `Framer`).

    Elsewhere lines are ended as the peer ends its own. What is passed on is ended as whoever said
    it has ended it: a server may insist on that.

    Args:
        policy: what a line is.
    """

    __slots__ = ("_policy", "_reading", "encode", "end", "feed", "whole_lines")

    def __init__(self, policy: LinePolicy) -> None:
        self._policy = policy
        self._reading = make_framer(policy)
        self.whole_lines = self._reading.whole_lines
        self.feed = self._reading.feed
        self.end = self._reading.end
        self.encode = make_framer(policy).encode

    @property
    def partial(self) -> bool:
        """Whether something was begun that more bytes must finish."""
        return self._reading.partial

    def end_lines_with(self, delimiter: bytes) -> None:
        """How lines are to end that are written, if the policy leaves it open."""
        if delimiter == b"\r\n" and self._policy.delimiter == "lenient":
            self.encode = make_framer(dataclasses.replace(self._policy, delimiter="crlf")).encode
