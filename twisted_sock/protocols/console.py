"""A person answers: every line is shown on the terminal, and what is typed is the reply.

What is typed answers the oldest question that has no answer yet. Clients have numbers; a line
that begins with `@2` is for client 2, one that begins with `/` is a command. When standard input
is not a terminal but a pipe, each of its lines, whatever it begins with, answers the next
question, and waits for it.

What clients say is shown with control and bidirectional characters escaped: it cannot move the
cursor, recolour the screen or pass itself off as something else.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.display import escape
from twisted_sock.errors import PlugError, Problem, Reason
from twisted_sock.framing import Run, make_framer
from twisted_sock.protocol import LineProtocol
from twisted_sock.settings import LinePolicy

#: Answers from a pipe that may wait for their questions; then the pipe has to wait.
HELD = 1000

HELP = """\
text        answer the oldest question
@2 text     answer client 2, or speak to it
@all text   speak to every client
/who        who is there, and who waits for an answer
/close 2    close the conversation with client 2
//text      an answer that begins with /, and @@text one that begins with @
/help       this"""


class Screen(Protocol):
    """Where the operator's side of a console comes from and goes to."""

    def show(self, text: str) -> None:
        """Show one or more lines."""

    def hold(self, hold: bool) -> None:
        """Stop or go on giving what the operator says."""


class Console:
    """A person answers at the terminal, or a pipe does.

    Args:
        once: whether a conversation is closed after its first answer.
    """

    def __init__(self, once: bool = False) -> None:
        self.once = once
        self.interactive = True
        self._screen: Screen | None = None
        self._clients: dict[int, ConsoleProtocol] = {}
        self._number = 0
        self._questions: deque[Question] = deque()
        self._held: deque[str] = deque()
        self._over = False

    # LineApplication.

    def build_protocol(self) -> ConsoleProtocol:
        """The operator's side of one more conversation."""
        return ConsoleProtocol(self)

    def start(self, reactor: Any) -> None:
        """Take over standard input and output.

        Raises:
            PlugError: there is nobody at standard input.
        """
        if os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev:
            raise PlugError("console: nobody is at standard input; run twistd with -n")
        self.attach(_Terminal(self, reactor), interactive=os.isatty(0))

    def stop(self) -> None:
        """Let go of standard input and output."""
        screen, self._screen = self._screen, None
        if isinstance(screen, _Terminal):
            screen.close()

    def attach(self, screen: Screen, interactive: bool) -> None:
        """Use this screen.

        Args:
            screen: shows what is said.
            interactive: whether a person is there, and not a pipe.
        """
        self._screen = screen
        self._over = False
        self.interactive = interactive
        if interactive:
            self.show("Waiting for clients. What you type answers them; /help tells more.")

    # What the operator does.

    def typed(self, text: str) -> None:
        """The operator has typed a line."""
        if not self.interactive:
            self._answer(text)
        elif text.startswith(("//", "@@")):
            self._answer(text[1:])
        elif text.startswith("/"):
            self._command(text)
        elif text.startswith("@"):
            self._address(text)
        else:
            self._answer(text)

    def _answer(self, text: str) -> None:
        """Answer the oldest question, or the next if nobody asks and no person is there."""
        if self._questions:
            self._questions[0].answer(text)
        elif self.interactive:
            self.show("Nobody waits for an answer. @2 text speaks to client 2; /who tells who.")
        else:
            self._held.append(text)
            self._hold(len(self._held) >= HELD)

    def ended(self) -> None:
        """The operator has gone: what is not answered never will be."""
        self._over = True
        self.show("Standard input has ended: no more answers.")
        for question in list(self._questions):
            question.refuse()

    def show(self, text: str) -> None:
        """Show the operator some lines."""
        if self._screen is not None:
            self._screen.show(text)

    # What the conversations do.

    def joined(self, client: ConsoleProtocol) -> int:
        """A client has connected; returns its number."""
        self._number += 1
        self._clients[self._number] = client
        self.show(f"[{self._number}] {client.peer} connected")
        return self._number

    def left(self, number: int, reason: Reason) -> None:
        """A client has gone."""
        del self._clients[number]
        self.show(f"[{number}] gone ({reason})")

    def asked(self, question: Question) -> None:
        """A client has said something and waits for the answer."""
        self._questions.append(question)
        self.show(f"[{question.client.number}] {escape(question.text)}")
        if self._held:
            answer = self._held.popleft()
            self._hold(len(self._held) >= HELD)
            question.answer(answer)
        elif self._over:
            question.refuse()

    def settled(self, question: Question) -> None:
        """A question is answered, or nobody waits for the answer any more."""
        was_first = self._questions[0] is question
        self._questions.remove(question)
        if was_first and self._questions and self.interactive:
            first = self._questions[0]
            self.show(f"Next, [{first.client.number}]: {escape(first.text)}")

    def _command(self, text: str) -> None:
        command, _, argument = text[1:].partition(" ")
        if command == "who":
            self._who()
        elif command == "close":
            client = self._client(argument)
            if client is not None:
                client.close()
        elif command == "help":
            self.show(HELP)
        else:
            self.show(f"There is no /{escape(command)}; /help tells what there is.")

    def _address(self, text: str) -> None:
        """A line that begins with @: for one client, or for all."""
        name, _, words = text[1:].partition(" ")
        if name == "all":
            for client in list(self._clients.values()):
                client.sendLine(words)
            return
        addressed = self._client(name)
        if addressed is None:
            return
        for question in self._questions:
            if question.client is addressed:
                question.answer(words)
                return
        addressed.sendLine(words)

    def _client(self, number: str) -> ConsoleProtocol | None:
        known = number.isdecimal() and len(number) < 10
        client = self._clients.get(int(number)) if known else None
        if client is None:
            self.show(f"There is no client {escape(number)}; /who tells who is there.")
        return client

    def _who(self) -> None:
        for number, client in self._clients.items():
            waiting = [q.text for q in self._questions if q.client is client]
            asks = f" waits: {escape(waiting[0])}" if waiting else ""
            self.show(f"[{number}] {client.peer}{asks}")
        if not self._clients:
            self.show("Nobody is there.")

    def _hold(self, hold: bool) -> None:
        if self._screen is not None:
            self._screen.hold(hold)


class Question:
    """A line of a client that waits for its answer.

    Args:
        console: the console.
        client: who said it.
        text: what was said.
    """

    def __init__(self, console: Console, client: ConsoleProtocol, text: str) -> None:
        self._console = console
        self.client = client
        self.text = text
        self.answered: Deferred[str | None] = Deferred(lambda _: console.settled(self))

    def answer(self, text: str | None) -> None:
        """Send the answer."""
        self._console.settled(self)
        if self._console.once:
            self.client.close()
        self.answered.callback(text)

    def refuse(self) -> None:
        """Nobody will answer: close the conversation."""
        self._console.settled(self)
        self.client.close()
        self.answered.callback(None)


class ConsoleProtocol(LineProtocol):
    """One conversation with the operator.

    Args:
        console: the console.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.number = 0

    def connectionMade(self) -> None:
        """Tell the operator who has come."""
        self.number = self._console.joined(self)

    def lineReceived(self, line: str) -> Deferred[str | None]:
        """Show the operator what was said; returns the answer to come."""
        question = Question(self._console, self, line)
        self._console.asked(question)
        return question.answered

    def connectionLost(self, reason: Reason) -> None:
        """Tell the operator who has gone."""
        self._console.left(self.number, reason)

    def problem_line(self, problem: Problem) -> str:
        """Tell the operator too."""
        if self.number:
            self._console.show(f"[{self.number}] {problem}")
        return str(problem)


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Terminal(TwistedProtocol):
    """Standard input and output as a screen; what a stopped terminal does not take is dropped."""

    def __init__(self, console: Console, reactor: Any) -> None:
        self._console = console
        self._framer = make_framer(LinePolicy(invalid="replace", overlong="truncate"))
        self._stopped = False
        self._dropped = 0
        self._stdio = StandardIO(self, reactor=reactor)
        self._stdio.registerProducer(self, True)

    def show(self, text: str) -> None:
        if self._stopped:
            self._dropped += 1
        else:
            self._stdio.write((text + "\n").encode())

    def pauseProducing(self) -> None:
        self._stopped = True

    def resumeProducing(self) -> None:
        self._stopped = False
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self.show(f"{dropped} messages could not be shown; /who tells who waits.")

    def stopProducing(self) -> None:
        pass

    def hold(self, hold: bool) -> None:
        if hold:
            self._stdio.pauseProducing()
        else:
            self._stdio.resumeProducing()

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self._stdio.unregisterProducer()
        self._stdio.loseConnection()
        os.set_blocking(0, True)

    def dataReceived(self, data: bytes) -> None:
        self._give(self._framer.feed(data))

    def readConnectionLost(self) -> None:
        self._give(self._framer.end())
        self._console.ended()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure | None = None) -> None:
        pass

    def _give(self, runs: list[Run]) -> None:
        for run in runs:
            for line in run if isinstance(run, list) else ():
                self._console.typed(line)
