"""`twisted-sock connect` at a terminal: a conversation that survives a restart of the server.

What comes is shown with the time it came at, made safe to show; lines that begin with a star are
our own::

    14:03:12 * connected to 127.0.0.1:1234
    > hello
    14:03:15 < HELLO!
    14:03:40 * the peer has closed the connection; reconnecting in 0.7 s ...

A `Screen` is where lines are typed and shown: the line editor (`editor`), or the bare terminal
(`plain`).
"""

from __future__ import annotations

from time import strftime
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.link import State
from twisted_sock.cli.showing import make_shower
from twisted_sock.display import escape, one_line
from twisted_sock.interfaces import Peer

if TYPE_CHECKING:
    from twisted_sock.cli.talking import TalkOptions

#: Seconds that the peer has for its last words once the person has ended.
LAST_WORDS = 3.0


class Typist(Protocol):
    """What a screen tells: what the person does, and how fast it can show."""

    def typing(self, begun: bool) -> None:
        """A line is being typed, or nothing is there of it any more."""

    def typed(self, text: str) -> None:
        """A line was typed, or pasted: then it may be several."""

    def ended(self) -> None:
        """The person says no more (Ctrl-D)."""

    def interrupted(self) -> None:
        """The person has had enough (Ctrl-C)."""

    def failed(self, failure: Failure) -> None:
        """The screen cannot go on."""

    def pauseProducing(self) -> None:
        """Nothing more can be shown for now."""

    def resumeProducing(self) -> None:
        """More can be shown."""


class Screen(Protocol):
    """Where a person types, and sees what comes."""

    def start(self, typist: Typist) -> None:
        """Let the person type."""

    def show(self, lines: list[str]) -> None:
        """Show some lines, without disturbing what is being typed."""

    def ask(self, prompt: str, answers: bool) -> None:
        """Show this from now on before what is typed.

        Args:
            prompt: what.
            answers: whether what is typed is for something that is in it.
        """

    def give_back(self, text: str) -> bool:
        """Put back what was typed.

        Returns:
            Whether it stands there again; else something else does.
        """

    def close(self) -> Deferred[None]:
        """Leave the terminal as it was found; returns what fires when everything is shown."""


class Conversation:
    """A person and a peer.

    Args:
        reactor: the reactor.
        options: what was asked for.
        screen: where the person is.
    """

    def __init__(self, reactor: Any, options: TalkOptions, screen: Screen) -> None:
        self._reactor = reactor
        self._options = options
        self._screen = screen
        self._link = options.link(reactor, self, again=options["reconnect"] != "no")
        self._shower = make_shower(options.shown(), bool(options["hex"]))
        self._started = False
        self._finishing = False
        self._over = False
        self._lost_because = ""
        self._last_words: IDelayedCall | None = None
        self._ended: Deferred[int] = Deferred()

    async def run(self) -> int:
        """Talk.

        Returns:
            The exit status.
        """
        self._link.open()
        try:
            return await self._ended
        finally:
            await self._close()

    # What the link tells.

    def opened(self, peer: Peer) -> None:
        """The connection is made."""
        self._notice(f"connected to {peer}")
        self._shower = make_shower(self._options.shown(), bool(self._options["hex"]))
        for line in self._options.first:
            self._link.write(self._options.encode(line))
            self._stamped("> ", [escape(line)])
        self._start()

    def received(self, data: bytes) -> None:
        """The peer has said something."""
        self._stamped("< ", self._shower.feed(data))

    def finished(self) -> None:
        """The peer says no more: so do we."""
        self._link.hang_up()

    def lost(self, clean: bool, why: str) -> None:
        """The connection is gone."""
        if self._over:
            return
        self._stamped("< ", self._shower.end())
        if self._finishing:
            self._end(Status.DONE)
        elif self._link.again:
            self._lost_because = why
        else:
            self._notice(why)
            self._end(Status.DONE if clean else Status.LOST)

    def unreachable(self, why: str) -> None:
        """There is no connection: at first that is the end, unless asked otherwise."""
        words = f"cannot connect to {self._options.endpoint}: {why}"
        patient = self._started or self._options["reconnect"] == "yes"
        if patient and self._link.again:
            self._lost_because = words
        else:
            self._end(Failure(CommandError(Status.UNREACHABLE, words)))

    def waiting(self, seconds: float) -> None:
        """It will be tried again."""
        self._notice(f"{self._lost_because}; reconnecting in {seconds:.1f} s ...")

    # What the screen tells.

    def typing(self, begun: bool) -> None:
        """A line is being typed; it goes to the peer whatever happens meanwhile."""

    def typed(self, text: str) -> None:
        """A line was typed, or some were pasted."""
        if self._link.state is not State.OPEN:
            self._notice("not connected: not sent")
            return
        for line in text.split("\n"):
            self._link.write(self._options.encode(line))

    def ended(self) -> None:
        """The person says no more: so does the link, and the peer has a moment to answer."""
        self._finishing = True
        if self._link.state is not State.OPEN:
            self._end(Status.DONE)
            return
        if not self._link.finish():
            self._link.close()
        self._last_words = self._reactor.callLater(LAST_WORDS, self._end, Status.DONE)

    def interrupted(self) -> None:
        """The person has had enough."""
        self._end(Status.INTERRUPTED)

    def failed(self, failure: Failure) -> None:
        """The screen cannot go on."""
        self._end(failure)

    def pauseProducing(self) -> None:
        """Nothing more can be shown for now: read no more."""
        self._link.pauseProducing()

    def resumeProducing(self) -> None:
        """More can be shown."""
        self._link.resumeProducing()

    # Inside.

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._screen.start(self)

    def _notice(self, words: str) -> None:
        self._stamped("* ", [one_line(words)])

    def _stamped(self, mark: str, lines: list[str]) -> None:
        if lines:
            now = strftime("%H:%M:%S")
            self._screen.show([f"{now} {mark}{line}" for line in lines])

    def _end(self, result: int | Failure) -> None:
        if not self._ended.called:
            self._ended.callback(result)

    async def _close(self) -> None:
        """Leave the terminal as it was found."""
        self._over = True
        if self._last_words is not None and self._last_words.active():
            self._last_words.cancel()
        self._link.abort()
        await self._screen.close()
