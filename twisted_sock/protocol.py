"""`LineProtocol`: the base class of a line protocol with a state of its own.

A plain function is enough where every line is answered by itself. Subclass `LineProtocol` to
greet, to remember, to speak without being asked, or to choose how problems are told::

    class Counter(LineProtocol):
        def connectionMade(self):
            self.seen = 0
            return "hello"

        def lineReceived(self, line):
            self.seen += 1
            return f"{self.seen}: {line}"
"""

from __future__ import annotations

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import Conversation, Peer, Reply


class LineProtocol:
    """One side of one conversation, made anew for each connection."""

    session: Conversation

    def makeConnection(self, session: Conversation) -> None:
        """Learn which session to speak through. Called once, before `connectionMade`."""
        self.session = session

    def connectionMade(self) -> Reply:
        """The conversation begins.

        Returns:
            The greeting, of any kind that a reply may be. No line is delivered before it is out.
        """
        return None

    def lineReceived(self, line: str) -> Reply:
        """A line came.

        Args:
            line: its text, without the delimiter.

        Returns:
            None, a `str`, an iterable of `str`, an awaitable of any of these, or an async
            iterator of `str`. Replies leave in the order in which their lines came.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define lineReceived")

    def connectionLost(self, reason: Reason) -> object:
        """The conversation is over; nothing is delivered any more.

        Args:
            reason: why, from the table in `twisted_sock.errors`.
        """
        return None

    def problem_line(self, problem: Problem) -> str | None:
        """How to tell the peer of a problem.

        Returns:
            The line to send, `ERR <code> <words>` unless overridden; None to send nothing.
        """
        return str(problem)

    def sendLine(self, line: str) -> None:
        """Send a line now, ahead of replies that are not finished.

        Raises:
            ValueError: the line holds a newline or a lone surrogate.
        """
        self.session.sendLine(line)

    def close(self) -> None:
        """Take no more lines, finish the replies in work, send everything, then close."""
        self.session.close()

    def abort(self) -> None:
        """Drop the connection now, and whatever is unsent with it."""
        self.session.abort()

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self.session.peer
