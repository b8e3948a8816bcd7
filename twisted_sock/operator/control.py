r"""The operator's line protocol.

    > token 0123456789abcdef             where one is needed: before anything else
    < OK
    > list
    < {"id":1,"peer":"127.0.0.1:40312","state":"open",...}
    < OK
    > watch
    < OK
    < EVENT {"event":"line","id":1,"way":"in","text":"hello","at":1767225600.0}
    < EVENT {"event":"waiting","id":1,"line":7,"text":"hello","seconds":30.0}
    > answer 1.7 good day
    < {"id":1,"answered":true,"line":7}
    < OK
    > answer 1.7 too late
    < ERR nothing-waits line 7 of 1 waits for no answer, or no longer

A line that waits is named by its conversation and its number there: the how-manyth line that the
peer has said. Without a number, the line that has waited longest is meant.

A command is one line. Its answer is any number of JSON objects, one a line, and then `OK` or
`ERR <code> <words>`. Events come between answers, never inside one. Somebody who does not read as
fast as there are events misses some, and is told how many: `EVENT {"missed":12}`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import Reply
from twisted_sock.operator.commands import Desk
from twisted_sock.operator.door import Door
from twisted_sock.operator.naming import ALL
from twisted_sock.operator.syntax import Data, Refused
from twisted_sock.operator.telling import encode
from twisted_sock.protocol import LineProtocol

#: Seconds to say the token in, and how often one may be wrong.
KNOCKING = 10.0
TRIES = 3

#: Events that wait for a watcher that does not read, and their characters together.
EVENTS = 1000
CHARACTERS = 1 << 20

#: Events that are sent at once.
TOGETHER = 32

#: Seconds until it is looked again whether it does.
LOOK = 0.1

#: What only this protocol has, for its help.
WATCHING = (
    ("watch [ID]", "tell what happens, in one conversation or in all; then who is there"),
    ("unwatch", "tell it no more"),
    ("token TOKEN", "get in, where that needs a token"),
)


class Events:
    """What a watcher is to be told, on its way.

    Args:
        reactor: the reactor.
        blocked: whether nothing can be sent now.
        send: sends some lines.
    """

    def __init__(
        self, reactor: Any, blocked: Callable[[], bool], send: Callable[[list[str]], None]
    ) -> None:
        self._reactor = reactor
        self._blocked = blocked
        self._send = send
        self._waiting: deque[str] = deque()
        self._size = 0
        self._missed = 0
        self._next: IDelayedCall | None = None

    @property
    def full(self) -> bool:
        """Whether so many wait that further ones are missed, until all that wait were told."""
        return bool(self._missed) or len(self._waiting) >= EVENTS or self._size >= CHARACTERS

    def add(self, event: str) -> None:
        """One more has happened."""
        line = f"EVENT {event}"
        self._waiting.append(line)
        self._size += len(line)
        self._go_soon(0)

    def miss(self) -> None:
        """One more has happened that is not told."""
        self._missed += 1
        self._go_soon(0)

    def clear(self) -> None:
        """Forget those that wait."""
        self._waiting.clear()
        self._size = self._missed = 0
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _go_soon(self, seconds: float) -> None:
        if self._next is None:
            self._next = self._reactor.callLater(seconds, self._go)

    def _go(self) -> None:
        """Send what can be sent."""
        self._next = None
        while self._waiting and not self._blocked():
            some = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            self._size -= sum(map(len, some))
            self._send(some)
        if self._missed and not self._blocked():
            missed, self._missed = self._missed, 0
            self._send([f"EVENT {encode({'missed': missed})}"])
        if self._waiting or self._missed:
            self._go_soon(LOOK)


class Control(LineProtocol):
    """One conversation with somebody who is attached, or wants to be.

    Args:
        desk: does what is asked.
        door: decides who gets in.
        lobby: where those are kept who are not in yet.
    """

    def __init__(self, desk: Desk, door: Door, lobby: Lobby) -> None:
        self._desk = desk
        self._door = door
        self._lobby = lobby
        self._inside = False
        self._wrong = 0
        self._answering = False
        self._events = Events(desk.hub.reactor, self._blocked, self._send)

    def connectionMade(self) -> Reply:
        """Let the owner in; others must say the token."""
        if self._door.knows(self.peer):
            self._enter()
        elif self._door.token:
            self._lobby.add(self)
        else:
            self._lobby.note(self, "somebody else than the owner was refused")
            self.close()
            return "ERR denied only the owner of this socket may come in"
        return None

    def lineReceived(self, line: str) -> Reply:
        """Do as is said."""
        name, _, rest = line.partition(" ")
        if not self._inside:
            return self._knock(name, rest)
        try:
            data = self._obey(name, rest)
        except Refused as refused:
            return f"ERR {refused}"
        return self._told(data) if data else "OK"

    def connectionLost(self, reason: Reason) -> None:
        """Nobody is there any more."""
        self._lobby.remove(self)
        self._events.clear()
        self._desk.hub.detach(self)

    def problem_line(self, problem: Problem) -> str | None:
        """Tell of a line that is none; who is not in yet is not told twice."""
        if not self._inside and problem.reason in (Reason.TOO_LONG, Reason.UTF8):
            self.close()
        return str(problem)

    def too_late(self) -> None:
        """The token was not said in time."""
        self._refuse("no token was said in time")

    # What conversations tell (see `Watcher`).

    @property
    def full(self) -> bool:
        """Whether it has enough for now."""
        return self._events.full

    def tell(self, event: str) -> None:
        """Something has happened."""
        self._events.add(event)

    def miss(self) -> None:
        """Something has happened that it is not told."""
        self._events.miss()

    # Getting in.

    def _knock(self, name: str, token: str) -> Reply:
        if name == "token" and self._door.opens(token):
            self._enter()
            return "OK"
        self._wrong += 1
        if self._wrong == TRIES:
            self._lobby.note(self, "a token was wrong")
            self.close()
        if name == "token":
            return "ERR denied the token is wrong"
        return "ERR token say first: token TOKEN"

    def _enter(self) -> None:
        self._lobby.remove(self)
        self._inside = True
        self._desk.hub.attach(self)

    def _refuse(self, words: str) -> None:
        self._lobby.note(self, words)
        self.sendLine(f"ERR denied {words}")
        self.close()

    # Commands.

    def _obey(self, name: str, rest: str) -> list[Data]:
        """Do it; returns what there is to tell."""
        if name == "token":
            return []
        if name == "watch":
            return self._watch(rest.strip())
        if name == "unwatch":
            self._desk.hub.unwatch(self)
            return []
        data = self._desk.run_line(name, rest)
        if name == "help":
            data += [{"command": command, "help": help} for command, help in WATCHING]
        return data

    def _watch(self, which: str) -> list[Data]:
        if which in ("", ALL):
            self._desk.hub.watch(self)
            return self._desk.run("list", {})
        [talk] = self._desk.talks(which)
        talk.watch(self)
        return []

    # Sending.

    def _told(self, data: list[Data]) -> Iterator[str]:
        """An answer, taken as fast as it is read; events wait until all of it was."""
        self._answering = True
        try:
            for each in data:
                yield encode(each)
            yield "OK"
        finally:
            self._answering = False

    def _send(self, lines: list[str]) -> None:
        session: Any = self.session
        session.sendLines(lines)

    def _blocked(self) -> bool:
        return self._answering or bool(getattr(self.session, "full", False))


class Lobby:
    """Those who are not in yet: they have little time, and there are few of them.

    Args:
        reactor: the reactor.
        most: how many; one more drops the first of them.
        note: counts and logs that somebody was refused.
    """

    def __init__(self, reactor: Any, most: int, note: Callable[[Control, str], None]) -> None:
        self._reactor = reactor
        self._most = most
        self.note = note
        self._waiting: dict[Control, IDelayedCall] = {}

    def add(self, control: Control) -> None:
        """Somebody has come."""
        if len(self._waiting) >= self._most:
            first = next(iter(self._waiting))
            self.remove(first)
            first.abort()
        self._waiting[control] = self._reactor.callLater(KNOCKING, self._too_late, control)

    def remove(self, control: Control) -> None:
        """Somebody has got in, or gone."""
        deadline = self._waiting.pop(control, None)
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _too_late(self, control: Control) -> None:
        self.remove(control)
        control.too_late()
