"""Lines that are sent without being asked for, on timers that end with their conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sock.script.cues import ReadyPush
from twisted_sock.script.template import Values

#: Pushes that may be going on in one conversation; more are not begun.
MOST_PUSHES = 1000


class Pushing:
    """The pushes of one conversation.

    Args:
        reactor: has the timers.
        send: sends a line.
    """

    __slots__ = ("_going_on", "_reactor", "_send")

    def __init__(self, reactor: Any, send: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._send = send
        self._going_on: dict[_Push, Any] = {}

    def begin(self, push: ReadyPush, values: Callable[[int], Values]) -> bool:
        """Begin one.

        Args:
            push: what is sent, and when.
            values: called with how often it will have been sent; returns what is filled in.

        Returns:
            Whether there was room for one more.
        """
        if len(self._going_on) >= MOST_PUSHES:
            return False
        self._wait(_Push(push, values), push.push.after)
        return True

    def stop(self) -> None:
        """The conversation is over."""
        going_on, self._going_on = self._going_on, {}
        for timer in going_on.values():
            timer.cancel()

    def _wait(self, push: _Push, seconds: float) -> None:
        self._going_on[push] = self._reactor.callLater(seconds, self._push, push)

    def _push(self, push: _Push) -> None:
        del self._going_on[push]
        line = push.next()
        if not push.over:  # before the line is sent, which may end the conversation
            self._wait(push, push.ready.push.every)
        self._send(line)


class _Push:
    """A push that is going on.

    Args:
        ready: what is sent, and when.
        values: see `Pushing.begin`.
    """

    __slots__ = ("_count", "_values", "ready")

    def __init__(self, ready: ReadyPush, values: Callable[[int], Values]) -> None:
        self.ready = ready
        self._values = values
        self._count = 0

    def next(self) -> str:
        """The line to send now."""
        self._count += 1
        return self.ready.template.render(self._values(self._count))

    @property
    def over(self) -> bool:
        """Whether that was the last."""
        push = self.ready.push
        return not push.every or 0 < push.times <= self._count
