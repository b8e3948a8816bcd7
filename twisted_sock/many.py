"""Line protocols of our own that answer many lines in one call.

Where a reply costs less than the call for it, a loop inside is what makes a line protocol fast.
This is between the modules of the package: to users there is `lineReceived` and nothing else. So
no object comes to it by chance, and whoever overrides `lineReceived` is called with every line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted_sock.interfaces import LineFunction, Reply

#: `ManyLines.answer_lines` of one conversation.
LinesFunction = Callable[[Iterator[str], list[str]], Reply]


class ManyLines:
    """What a line protocol derives from, besides, to be given many lines at once."""

    def answer_lines(self, lines: Iterator[str], replies: list[str]) -> Reply:
        """Answer lines as `lineReceived` would one by one.

        What it raises is, like the reply that it returns, for the line that it took last, or for
        the next one if it took none. Then it is asked for the lines that are left.

        Args:
            lines: to be taken until there are no more, or one has another reply than a `str` or
                None; there are no more, too, as soon as the conversation is closed.
            replies: the replies that are `str` are added here.

        Returns:
            The reply that is neither, if there is one.
        """
        raise NotImplementedError


def one_by_one(handle: LineFunction, lines: Iterator[str], replies: list[str]) -> Reply:
    """Do with a function of one line what `ManyLines.answer_lines` does."""
    for line in lines:
        reply = handle(line)
        if type(reply) is str:
            replies.append(reply)
        elif reply is not None:
            return reply
    return None


def many_lines(handler: object) -> LinesFunction | None:
    """The `answer_lines` of a line protocol, if that is the same as its `lineReceived`.

    It is not where that was overridden later: in a class derived from the one that has
    `answer_lines`, or in the object itself.
    """
    kind = type(handler)
    if not issubclass(kind, ManyLines) or "lineReceived" in getattr(handler, "__dict__", ()):
        return None
    for each in kind.__mro__:
        if "answer_lines" in vars(each):
            break
        if "lineReceived" in vars(each):
            return None
    function: LinesFunction | None = getattr(handler, "answer_lines", None)
    return function
