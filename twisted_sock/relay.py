"""One conversation that is passed on to another server, line by line, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import Reply, Wire
from twisted_sock.passing import ProxiedSession, Switchboard
from twisted_sock.protocol import LineProtocol
from twisted_sock.script.fault_ways import Way
from twisted_sock.script.faults import Faultable, Faulty
from twisted_sock.script.recording import Conversation as Talk
from twisted_sock.upstream import Link

#: Seconds of silence after which a server has said all, that cannot be told that its client has
#: finished, or that is to be left because the service stops.
SILENCE = 1.0

#: Why a line cannot be passed on that came between two CRLF.
NEWLINE = "a line with a newline in it cannot be passed on"

#: Why something that was said is no line.
NO_LINE = (Reason.TOO_LONG, Reason.UTF8)

#: Lines that may wait because of faults; then the server is not read.
MOST_WAITING = 100


class Relay(LineProtocol):
    """One conversation that is passed on.

    Args:
        switchboard: what all conversations share.

    Attributes:
        state: that of a script; there is none.
    """

    session: ProxiedSession
    state = ""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._link: Link | None = None
        self._talk: Talk | None = None
        self._begun: Deferred[None] = Deferred(self._given_up)  # fires when the server is there
        self._connecting = True
        self._room: list[Deferred[None]] = []  # fire when the server takes more
        self._finished: Deferred[None] | None = None  # fires when the server has said all
        self._silence: IDelayedCall | None = None
        self._last: str | None = None  # what the client said last
        self._server_done = False
        self._faulty: Faulty | None = None
        self._to_server: Way | None = None
        self._to_client: Way | None = None
        self._said: Deferred[None] | None = None  # fires when what faults hold up is said

    # LineProtocol: what the client does.

    def connectionMade(self) -> Reply:
        """A client is there: connect to the server; until then nothing is taken from it."""
        if self._switchboard.faults.refuses(self.peer):
            self.abort()
            return None
        self._switchboard.joined(self)
        self.look_again()
        self.session.follow(self)
        self._link = self._switchboard.connect(self, self.session.policy, self.session.limits)
        return self._begun

    def lineReceived(self, line: str) -> Deferred[None] | None:
        """The client said something: pass it on."""
        link = self._link
        if link is None:
            return None
        if self._last is None:
            link.end_lines_with(self.session.wire.encode([""]))
        self._last = line
        if self._talk is not None:
            self._talk.client(line)
        if self._to_server is None:
            self._say_to_server(line)
        elif (done := self._to_server.pass_on(line)) is not None:
            return done
        if not link.full:
            return None
        self._room.append(Deferred(_nothing))
        return self._room[-1]

    def connectionLost(self, reason: Reason) -> None:
        """The client is gone: the server gets what was said, and then an end."""
        self._connecting = False
        self._switchboard.left(self)
        if self._to_server is not None:
            self._to_server.finish()
        if self._talk is not None:
            self._talk.ended()
        if self._faulty is not None:
            self._faulty.ended()
        self._finish()

    def problem_line(self, problem: Problem) -> str | None:
        """The client said something that is no line, or something else went wrong."""
        self._note_garbled(problem)
        return super().problem_line(problem)

    # What the switchboard calls.

    def look_again(self) -> None:
        """There may be other faults."""
        if self._faulty is None:
            self._faulty = faulty = self._switchboard.faults.begin(cast(Faultable, self))
            if faulty is not None:
                self._to_server = faulty.way("line", self._server_wire, self._say_to_server)
                self._to_client = faulty.way("reply", self._client_wire, self._say_one)

    # Follower: what else the session tells.

    def input_ended(self, reason: Reason) -> Reply:
        """The client has finished, or is to: pass that on, and wait for what is still said."""
        if self._link is None:
            return None
        rest = self._to_server.finish() if self._to_server is not None else None
        if self._server_done:
            return rest
        self._finished = Deferred(_nothing)
        if rest is None:
            self._end_to_server(reason)
        else:
            rest.addCallback(lambda _: self._end_to_server(reason))
        return self._finished

    def room_again(self) -> None:
        """The client reads again."""
        self._read_on()

    # Listener: what the server does.

    def link_made(self) -> None:
        """The server is there."""
        self._connecting = False
        self._talk = self._switchboard.recorded()
        _fire(self._begun)

    def link_failed(self, why: str) -> None:
        """The server is not there."""
        self._connecting = False
        self.session.fail(Problem(Reason.UPSTREAM, f"cannot connect: {why}"))
        self._go_on()

    def heard(self, lines: list[str]) -> None:
        """The server said something: pass it on."""
        if self._silence is not None:
            self._silence.reset(SILENCE)
        if self._talk is not None:
            for line in lines:
                self._talk.server(line)
        if self._to_client is None:
            self._say(lines)
        else:
            self._say_with_faults(lines, self._to_client)
        if not self._may_read() and self._link is not None:
            self._link.pause()

    def garbled(self, problem: Problem) -> None:
        """The server said something that is no line."""
        self._note_garbled(problem)
        self.session.tell(_of_the_server(problem))

    def link_writable(self) -> None:
        """The server takes more."""
        room, self._room = self._room, []
        for each in room:
            _fire(each)

    def link_ended(self) -> None:
        """The server has finished; it may still listen."""
        if self._talk is not None and self._finished is None:
            self._talk.closed()
        self._server_done = True
        self._when_said(self._pass_the_end_on)

    def link_broken(self, problem: Problem) -> None:
        """The server is given up."""
        self._note_garbled(problem)
        self._when_said(lambda: self._fail(_of_the_server(problem)))

    def link_lost(self, reason: Reason) -> None:
        """The server is gone."""
        if self._talk is not None and self._finished is None and not self._server_done:
            self._talk.closed()
        self._server_done = True
        self._when_said(self._leave if reason is Reason.DONE else self._tell_and_leave)

    # Inside.

    def _given_up(self, _: object) -> None:
        """The session waits no longer for the server to be there."""
        if self._connecting:
            self.link_failed("it took too long")

    def _note_garbled(self, problem: Problem) -> None:
        """If something was said that is no line, the recording lacks it."""
        if self._talk is not None and problem.reason in NO_LINE:
            self._talk.garbled()

    def _say(self, lines: list[str]) -> None:
        """Say something to the client: at once, if nobody wants to see each line."""
        say_all = getattr(type(self.session), "sendLines", None)
        try:
            if say_all is not None:
                say_all(self.session, lines)
                return
        except ValueError:  # one of them cannot be said, so none was
            pass
        for line in lines:
            self._say_one(line)

    def _say_one(self, line: str) -> None:
        try:
            self.session.sendLine(line)
        except ValueError:
            self.session.tell(Problem(Reason.UPSTREAM, NEWLINE))

    def _say_with_faults(self, lines: list[str], way: Way) -> None:
        for line in lines:
            said = way.pass_on(line, self._last or "")
            if said is not None:
                self._said = said
        if self._said is not None and not self._said.called:
            self._said.addCallback(self._read_on)

    def _say_to_server(self, line: str) -> None:
        try:
            if self._link is not None:
                self._link.send(line)
        except ValueError:
            self.session.tell(Problem(Reason.UPSTREAM, NEWLINE))

    def _server_wire(self) -> Wire:
        assert self._link is not None
        return self._link.wire

    def _client_wire(self) -> Wire:
        return self.session.wire

    def _may_read(self) -> bool:
        """Whether the server may say more."""
        if self.session.full:
            return False
        way, most = self._to_client, self.session.limits.high_water
        return way is None or not (way.waiting > MOST_WAITING or 0 < most < way.size)

    def _read_on(self, _: object = None) -> None:
        if self._link is not None and self._may_read():
            self._link.resume()

    def _when_said(self, act: Callable[[], None]) -> None:
        """The server says no more: do something when all is said that faults hold up."""
        rest = self._to_client.finish() if self._to_client is not None else None
        if rest is None:
            act()
        else:
            rest.addCallback(lambda _: act())

    def _end_to_server(self, reason: Reason) -> None:
        """The client says no more: tell the server, or see when it has said all."""
        if self._link is None or self._finished is None or self._finished.called:
            return
        told = self._link.end_output()
        if not told or reason is not Reason.DONE:
            self._silence = self._switchboard.later(SILENCE, self._finish)

    def _pass_the_end_on(self) -> None:
        """The server has finished: so does the other side of the client, or all is over."""
        if self._finished is not None:
            self._finish()
        elif self.session.wire.halves:
            self.session.wire.end_output()
        else:
            self.session.close()

    def _leave(self) -> None:
        """The server is gone, and everything it said is passed on."""
        if self._finished is None:
            self.session.close()
        self._go_on()

    def _tell_and_leave(self) -> None:
        """The connection to the server broke: what it has said may not be all."""
        self._fail(Problem(Reason.UPSTREAM, "the connection broke"))

    def _fail(self, problem: Problem) -> None:
        """Tell the client what is wrong with the server, and close."""
        self.session.fail(problem)
        self._go_on()

    def _finish(self) -> None:
        """Everything is said, by both."""
        if self._link is not None:
            self._link.close()
        self._go_on()

    def _go_on(self) -> None:
        """Nothing is waited for any more."""
        silence, self._silence = self._silence, None
        if silence is not None and silence.active():
            silence.cancel()
        _fire(self._begun)
        self.link_writable()
        if self._finished is not None:
            _fire(self._finished)


def _of_the_server(problem: Problem) -> Problem:
    """What went wrong with the server, as the client is told."""
    return Problem(Reason.UPSTREAM, str(problem).removeprefix("ERR "), problem.fatal)


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _nothing(_: object) -> None:
    """Nothing is to be done when the session no longer waits."""
