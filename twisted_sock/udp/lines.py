"""Finds the lines of datagrams: each stands alone, and its end is the end of its last line."""

from __future__ import annotations

from typing import NamedTuple

from twisted_sock.framing import Framer, Run, make_framer
from twisted_sock.settings import LinePolicy


class Ending(NamedTuple):
    """How to end what answers a datagram: as the datagram was ended.

    Args:
        framer: ends lines like the peer.
        spare: bytes of the last delimiter that the answer does without, as the question did.
    """

    framer: Framer
    spare: int


class Lines:
    """Finds the lines of datagrams, for all peers of a port.

    Args:
        policy: what a line is.

    Attributes:
        newline: how to answer where nothing else is known.
    """

    def __init__(self, policy: LinePolicy) -> None:
        self._policy = policy
        # These framers are only shown whole lines, of which they keep nothing.
        newline, crlf = make_framer(policy), make_framer(policy)
        crlf.feed(b"\r\n")
        self._delimiter = newline.encode([""])
        self.newline = Ending(newline, 0)
        self._crlf = Ending(crlf, 0)
        self._bare = Ending(newline, len(self._delimiter))

    def whole(self, data: bytes) -> tuple[list[str], Ending] | None:
        """The lines of a datagram that are all good, the short way; else None: see `runs`."""
        if not data.endswith(b"\n"):
            ending = self._bare
            data += self._delimiter
        else:
            ending = self._crlf if data.endswith(b"\r\n") else self.newline
        lines = ending.framer.whole_lines(data)
        return None if lines is None else (lines, ending)

    def runs(self, data: bytes) -> tuple[list[Run], Ending]:
        """The lines of any datagram, and what is wrong with them."""
        if whole := self.whole(data):
            return [whole[0]], whole[1]
        framer = make_framer(self._policy)
        runs = framer.feed(data) + framer.end()
        return runs, Ending(framer, 0 if data.endswith(b"\n") else len(framer.encode([""])))
