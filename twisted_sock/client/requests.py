"""Pairs answers with questions. Pure: lines in, finished requests out.

A `Matcher` says which question a line answers: the oldest (`Matcher` itself: in order, one line
each), the one with the same id (`ById`), or the oldest until its answer is whole (`Several`). It
can say of a line that it is a push. A line that no question waits for is a push, too.

A request that nobody waits for any more, because its deadline passed or it was cancelled, keeps
its place until its answer has come: otherwise that would be taken for the answer to the next.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterator

from twisted.internet.defer import CancelledError, Deferred

from twisted_sock.errors import Reason, RequestError

NEVER = math.inf


class Whose(enum.Enum):
    """Whose a line is, where it is no question's."""

    PUSH = "push"
    LOST = "lost"  # nobody can tell, and so not whose the next ones are


PUSH = Whose.PUSH

#: How lines begin that `LineFactory` sends unasked before it ends a conversation.
PARTING = tuple(
    f"ERR {reason} " for reason in (Reason.BUSY, Reason.IDLE, Reason.PARTIAL, Reason.SHUTDOWN)
)


def parting(line: str) -> bool:
    """Whether a server of this package says goodbye: such a line answers no question.

    For a matcher: `Matcher(push=parting)`.
    """
    return line.startswith(PARTING)


class Cancelled(RequestError, CancelledError):
    """The Deferred of the request was cancelled."""


class Request:
    """A question, and the Deferred of its answer.

    Args:
        line: the question.
        key: what the matcher knows its answer by.
        deadline: in the clock's seconds.
        cancelled: told when the Deferred is cancelled.

    Attributes:
        answer: fires with the answer; None once it has fired.
        handed_over: whether a connection has it, so that it may be executed.
        lines: what has come of the answer, where one line may not be all.
        owed_until: when its answer is overdue, if nobody waits for it.
    """

    __slots__ = (
        "_cancelled",
        "answer",
        "deadline",
        "handed_over",
        "key",
        "line",
        "lines",
        "owed_until",
    )

    def __init__(
        self,
        line: str,
        key: Hashable,
        deadline: float,
        cancelled: Callable[[Request], None] | None = None,
    ) -> None:
        self.line = line
        self.key = key
        self.deadline = deadline
        self._cancelled = cancelled
        self.answer: Deferred[str] | None = Deferred(self._cancel)
        self.handed_over = False
        self.lines: list[str] = []
        self.owed_until = NEVER

    def placed(self) -> None:
        """It has a place in the outbox: nobody waits for just that."""

    def succeed(self, answer: str) -> bool:
        """End with an answer; returns whether somebody waited for it."""
        deferred, self.answer = self.answer, None
        if deferred is None:
            return False
        deferred.callback(answer)
        return True

    def fail(self, error: RequestError) -> bool:
        """End without; returns whether somebody waited for it."""
        deferred, self.answer = self.answer, None
        if deferred is None:
            return False
        deferred.errback(error)
        return True

    def _cancel(self, deferred: Deferred[str]) -> None:
        self.answer = None
        if self._cancelled is not None:
            self._cancelled(self)
        deferred.errback(Cancelled(self.line, "cancelled", self.handed_over))


class Matcher:
    """Which line answers which question: in order, and each with one line.

    Subclass it for other protocols. A function that raises loses the place: the client then
    connects anew.

    Args:
        push: whether a line is a push.
    """

    def __init__(self, push: Callable[[str], bool] | None = None) -> None:
        self._push = push

    def question(self, line: str) -> Hashable:
        """What the answer to this question will be known by; None: by its place in the order."""
        return None

    def answer(self, line: str) -> Hashable:
        """What the question that this line answers is known by; `PUSH` if it answers none."""
        return PUSH if self._push is not None and self._push(line) else None

    def whole(self, question: str, lines: list[str]) -> bool:
        """Whether these lines are all of the answer."""
        return True

    def unreadable(self) -> Hashable:
        """Whose a line is that is too long or not UTF-8, and of which nothing else is known.

        Returns:
            What a question is known by; `PUSH`; or `Whose.LOST` if nobody can tell.
        """
        return None if self._push is None else Whose.LOST


class ById(Matcher):
    """Answers carry the id of their question and come in any order.

    Args:
        question: the id of a question.
        answer: the id of a line; `PUSH` if it has none.
    """

    def __init__(
        self, question: Callable[[str], Hashable], answer: Callable[[str], Hashable]
    ) -> None:
        super().__init__()
        self._question = question
        self._answer = answer

    def question(self, line: str) -> Hashable:
        """The id of a question."""
        return self._question(line)

    def answer(self, line: str) -> Hashable:
        """The id of an answer."""
        return self._answer(line)

    def unreadable(self) -> Hashable:
        """Nobody's: the request whose answer it was will miss its deadline."""
        return PUSH


class Several(Matcher):
    """Answers come in order and may have several lines. They are given joined by newlines.

    Args:
        whole: whether these lines are all of the answer to this question.
        push: whether a line is a push, also between the lines of an answer.
    """

    def __init__(
        self,
        whole: Callable[[str, list[str]], bool],
        push: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(push)
        self._whole = whole

    def whole(self, question: str, lines: list[str]) -> bool:
        """Whether the last line of the answer has come."""
        return self._whole(question, lines)

    def unreadable(self) -> Hashable:
        """It may have been the last line of an answer, or not."""
        return Whose.LOST


class Pairing:
    """The questions of one connection that are not answered yet.

    Args:
        matcher: says which line is whose.

    Attributes:
        owed: how many there are, with those that nobody waits for.
    """

    __slots__ = ("_matcher", "_waiting", "owed")

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._waiting: dict[Hashable, deque[Request]] = {}
        self.owed = 0

    def __iter__(self) -> Iterator[Request]:
        """Every question, the oldest first among those that are known by the same."""
        for waiting in list(self._waiting.values()):
            yield from list(waiting)

    def ask(self, request: Request) -> None:
        """A question goes out."""
        waiting = self._waiting.get(request.key)
        if waiting is None:
            waiting = self._waiting[request.key] = deque()
        waiting.append(request)
        self.owed += 1

    def take(self, line: str) -> Request | Whose | None:
        """A line came.

        Returns:
            The request that it completes the answer of, `PUSH`, or None while more must come.
        """
        key = self._matcher.answer(line)
        waiting = self._waiting.get(key)
        if not waiting or key is PUSH:
            return PUSH
        request = waiting[0]
        request.lines.append(line)
        if not self._matcher.whole(request.line, request.lines):
            return None
        self._remove(request)
        return request

    def take_unreadable(self) -> Request | Whose:
        """A line came that cannot be read; returns the request that it answers, or whose it is."""
        key = self._matcher.unreadable()
        if isinstance(key, Whose):
            return key
        waiting = self._waiting.get(key)
        if not waiting:
            return PUSH
        request = waiting[0]
        self._remove(request)
        return request

    def forget(self, request: Request) -> bool:
        """Wait for this answer no more.

        Returns:
            Whether that is safe: the answer is known by an id of its own.
        """
        if request.key is None or len(self._waiting[request.key]) > 1:
            return False
        self._remove(request)
        return True

    def clear(self) -> list[Request]:
        """No more answers come; returns the questions that have none, the oldest first."""
        left = list(self)
        self._waiting.clear()
        self.owed = 0
        return left

    def _remove(self, request: Request) -> None:
        """Take away the first under its key."""
        waiting = self._waiting[request.key]
        waiting.popleft()
        if not waiting and request.key is not None:
            del self._waiting[request.key]
        self.owed -= 1
