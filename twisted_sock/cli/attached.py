"""`twisted-sock attach` at a terminal: all conversations in one list, and a person who steps in.

Conversations have numbers. `<` is what a peer says, `>` what the service says to it, and `>>`
what somebody who is attached has said in its place::

    14:03:12 [3] * connected from 127.0.0.1:40312
    14:03:15 [3] < hello
    14:03:15 [3] > HELLO
    > /hold 3 60
    14:03:40 [3] < are you there?
    14:03:40 [3] * it waits 60 s for an answer: what you type is it
    > I am
    14:03:44 [3] >> I am

What was said is shown with control characters as escapes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from time import strftime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.operating import Answer, Dialogue, OperatorOptions
from twisted_sock.cli.terminal import Screen
from twisted_sock.display import escape, one_line

HELP = """\
text          answers the line that has waited longest, or goes to the one chosen with /to
/3 text       answers conversation 3, or speaks to it
/all text     speaks to all
/to 3         chooses conversation 3; /to chooses none
/list         who is there
/history 3    what was said last
/hold 3 60    each line of 3 waits 60 s for your answer; then the script answers
/release 3    the script answers again
/close 3      ends the conversation; /abort 3 drops the connection
/save FILE    what you answered while holding, as rules of a script
/report       of a script; also /hits, /unmatched, /faults, /firings, /reset, /load PATH
/fault {do = "drop", nth = 3}   lets a fault happen; /unfault NAME ends it
//text        a line that begins with /
Ctrl-D        leave; what you hold is released when nobody is attached any more"""

#: Commands whose first argument is a conversation, which may be the chosen one.
OF_ONE = ("history", "hold", "release", "close", "abort")


class Attached:
    """A person and a service.

    Args:
        reactor: the reactor.
        options: what was asked for.
        screen: where the person is.
    """

    def __init__(self, reactor: Any, options: OperatorOptions, screen: Screen) -> None:
        self._options = options
        self._screen = screen
        self._dialogue = Dialogue(reactor, options, self)
        self._waiting: deque[int] = deque()  # the conversations whose lines wait
        self._answered: Counter[int] = Counter()  # by us, and not told of yet
        self._chosen: int | None = None
        self._ended: Deferred[int] = Deferred()

    async def run(self) -> int:
        """Watch, and let the person step in.

        Returns:
            The exit status.
        """
        try:
            await self._dialogue.open()
            talks = await self._dialogue.must("watch")
            self._notice(f"attached to {self._options.endpoint}; /help tells the commands")
            for talk in talks:
                self._stamped(conversation(talk))
                self._waiting += [talk.get("id", 0)] * len(waiting_of(talk))
            self._screen.start(self)
            return await self._ended
        finally:
            self._dialogue.close()
            self._ended.addErrback(lambda _: None)  # it was told by `open` already
            await self._screen.close()

    # What the dialogue tells (see `operating.Listener`).

    def happened(self, event: dict[str, Any], line: str) -> None:
        """Something has happened in the service."""
        kind, number = event.get("event"), event.get("id")
        if kind == "waiting" and isinstance(number, int):
            self._waiting.append(number)
        elif kind == "answered" and isinstance(number, int):
            self._no_longer(number)
        elif kind == "closed":
            self._waiting = deque(each for each in self._waiting if each != number)
        words = told(event)
        if words:
            self._stamped(words)

    def over(self, error: CommandError) -> None:
        """The connection is gone."""
        self._end(Failure(error))

    # What the screen tells (see `terminal.Typist`).

    def typed(self, text: str) -> None:
        """A line was typed, or some were pasted."""
        for line in text.split("\n"):
            if line.startswith("//") or not line.startswith("/"):
                self._say(line.removeprefix("/") if line.startswith("//") else line)
            else:
                self._command(line[1:])

    def ended(self) -> None:
        """The person leaves."""
        self._end(Status.DONE)

    def interrupted(self) -> None:
        """The person has had enough."""
        self._end(Status.INTERRUPTED)

    def failed(self, failure: Failure) -> None:
        """The screen cannot go on."""
        self._end(failure)

    def pauseProducing(self) -> None:
        """Nothing more can be shown for now: read no more."""
        self._dialogue.link.pauseProducing()

    def resumeProducing(self) -> None:
        """More can be shown."""
        self._dialogue.link.resumeProducing()

    # Inside.

    def _say(self, text: str) -> None:
        """Answer the line that waits, or speak to the chosen conversation."""
        if self._chosen is not None:
            self._ask(f"say {self._chosen} {text}")
        elif self._waiting:
            number = self._waiting.popleft()
            self._answered[number] += 1
            self._ask(f"answer {number} {text}")
        elif text:
            self._notice("no line waits; /3 text speaks to conversation 3, /to 3 chooses it")

    def _no_longer(self, number: int) -> None:
        """A line of a conversation waits no more, as we may know."""
        if self._answered[number]:
            self._answered[number] -= 1
        elif number in self._waiting:
            self._waiting.remove(number)

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if name == "help":
            self._screen.show(HELP.split("\n"))
        elif name == "to":
            self._choose(rest.strip())
        elif name in ("quit", "exit"):
            self.ended()
        elif name == "all" or name.isdecimal():
            self._ask(f"say {name} {rest}")
        elif name in OF_ONE and not rest and self._chosen is not None:
            self._ask(f"{name} {self._chosen}")
        else:
            self._ask(text)

    def _choose(self, text: str) -> None:
        if text and not (text.isascii() and text.isdecimal()):
            self._notice("/to 3 chooses conversation 3, /to none")
            return
        self._chosen = int(text) if text else None
        self._notice(f"what you type goes to [{text}]" if text else "no conversation is chosen")

    def _ask(self, command: str) -> None:
        name = command.partition(" ")[0]
        asked = self._dialogue.ask(command)
        # What fails with the connection is told by `over`.
        asked.addCallbacks(self._show_answer, lambda _: None, (name,))

    def _show_answer(self, answer: Answer, name: str) -> None:
        if answer.code:
            self._notice(f"{answer.code}: {answer.words}")
            return
        shown = ANSWERS.get(name, plainly)
        for each in answer.data:
            self._stamped(shown(each))
        if not answer.data and name not in QUIET:
            self._notice("nothing" if name in ASKING else "done")

    def _notice(self, words: str) -> None:
        self._stamped(f"* {one_line(words)}")

    def _stamped(self, line: str) -> None:
        if line:
            self._screen.show([f"{strftime('%H:%M:%S')} {line}"])

    def _end(self, result: int | Failure) -> None:
        if not self._ended.called:
            self._ended.callback(result)


# What is shown. What comes is taken for what it says, but never trusted to be there.


def conversation(talk: dict[str, Any]) -> str:
    """One conversation in a list."""
    who = f" ({talk['who']})" if talk.get("who") else ""
    waits = "".join(f"; waits: {line}" for line in waiting_of(talk))
    counts = f"{talk.get('in')} in, {talk.get('out')} out"
    words = f"[{talk.get('id')}] {talk.get('peer')}{who} {talk.get('state')}, {counts}{waits}"
    return _safe(words)


def waiting_of(talk: dict[str, Any]) -> list[Any]:
    """The lines of a conversation that wait."""
    waiting = talk.get("waiting")
    return waiting if isinstance(waiting, list) else []


def told(event: dict[str, Any]) -> str:
    """One event; empty for those that are seen from others."""
    if "missed" in event:
        return _safe(f"* {event['missed']} events were missed: they came faster than they went")
    words = EVENTS.get(str(event.get("event")), plainly)(event)
    return _safe(f"[{event.get('id')}] {words}") if words else ""


def said(line: dict[str, Any]) -> str:
    """A line of a conversation."""
    mark = "<" if line.get("way") == "in" else ">>" if line.get("by") else ">"
    return f"{mark} {line.get('text')}"


def plainly(data: dict[str, Any]) -> str:
    """Data of any kind."""
    return _safe("  ".join(f"{key}: {value}" for key, value in data.items()))


def _safe(text: str) -> str:
    """A text that can be shown: one that is escaped already stays as it is."""
    return escape(text).replace("\\\\", "\\")


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _answered_by(event: dict[str, Any]) -> str:
    by = event.get("by")
    if by == "script":
        return "* nobody has answered: the script does"
    return "" if by == "operator" else "* it waits no more"


def _opened(event: dict[str, Any]) -> str:
    who = f" ({event['who']})" if event.get("who") else ""
    return f"* connected from {event.get('peer')}{who}"


EVENTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "opened": _opened,
    "line": said,
    "waiting": lambda event: (
        f"* it waits {_number(event.get('seconds'))} s for an answer: what you type is it"
    ),
    "answered": _answered_by,
    "held": lambda event: (
        f"* held: each line waits {_number(event.get('seconds'))} s for an answer"
    ),
    "released": lambda event: "* released: the script answers",
    "closed": lambda event: f"* ended: {event.get('reason')}",
}

ANSWERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "list": conversation,
    "history": lambda line: _safe(f"  {said(line)}"),
    "say": lambda data: "",
    "answer": lambda data: "",
    "hold": lambda data: "",
    "release": lambda data: "",
    "close": lambda data: "",
    "abort": lambda data: "",
}

#: Commands that tell something, or nothing; and those whose doing is seen.
ASKING = ("list", "history", "hits", "unmatched", "faults", "firings", "report")
QUIET = ("say", "answer", "hold", "release", "close", "abort")
