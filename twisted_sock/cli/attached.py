"""`twisted-sock attach` at a terminal: all conversations in one list, and a person who steps in.

Conversations have numbers. `<` is what a peer says, `>` what the service says to it, and `>>`
what somebody who is attached has said in its place::

    14:03:12 [3] * connected from 127.0.0.1:40312
    14:03:15 [3] < hello
    14:03:15 [3] > HELLO
    > /hold 3 60
    14:03:40 [3] < are you there?
    14:03:40 [3] * line 7 waits 60 s for an answer
    [3] are you there? > I am
    14:03:44 [3] >> I am

The prompt tells what Enter answers (see `aims`). If that line waits no more, nothing is sent, and
the person has the text again. What was said is shown with control characters as escapes.
"""

from __future__ import annotations

from collections.abc import Callable
from time import strftime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sock.cli.aims import Aim, Aims
from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.operating import Answer, Dialogue, OperatorOptions
from twisted_sock.cli.terminal import Screen
from twisted_sock.cli.told import ANSWERS, HELP, conversation, plainly, told
from twisted_sock.cli.typed import NAME, Typed
from twisted_sock.display import one_line, show

#: Commands whose first argument is a conversation, which may be the chosen one.
OF_ONE = ("history", "hold", "release", "close", "abort")

#: Why something was not sent, by the code of the answer.
REFUSALS = {
    "nothing-waits": "that line of [{}] waits no more",
    "line-waits": "a line of [{}] has begun to wait meanwhile",
    "closing": "[{}] is closing",
}

#: Codes of answers that leave no line waiting.
GONE = ("nothing-waits", "no-conversation", "closing")

#: Commands that tell something, or nothing; and those whose doing is seen.
ASKING = ("list", "history", "hits", "unmatched", "faults", "firings", "report")
QUIET = ("say", "answer", "hold", "release", "close", "abort")


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
        self._aims = Aims()
        self._typed = Typed(self._aims, self._say, self._command)
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
            self._show_talks(Answer(talks))
            self._screen.start(self)
            return await self._ended
        finally:
            self._dialogue.close()
            self._ended.addErrback(lambda _: None)  # it was told by `open` already
            await self._screen.close()

    # What the dialogue tells (see `operating.Listener`).

    def happened(self, event: dict[str, Any], line: str) -> None:
        """Something has happened in the service."""
        words = told(event)
        if words:
            self._stamped(words)
        if "missed" in event:
            self._ask_anew()
        self._aims.happened(event)
        self._show_aim()

    def over(self, error: CommandError) -> None:
        """The connection is gone."""
        self._end(Failure(error))

    # What the screen tells (see `terminal.Typist`).

    def typing(self, begun: bool) -> None:
        """A line is being typed, or nothing is there of it any more."""
        if begun:
            self._aims.pin()
        else:
            self._aims.unpin()
        self._show_aim()

    def typed(self, text: str) -> None:
        """A line was typed, or some were pasted: one of them answers, the rest is given back."""
        rest = text.split("\n")
        why, aim = self._typed.do(rest)
        self._aims.unpin()
        self._show_aim()
        if rest:
            self._give_back("\n".join(rest), why, aim)

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

    def _say(self, aim: Aim, text: str, typed: str) -> None:
        """Answer a line, or speak to a conversation.

        Args:
            aim: where.
            text: what to say.
            typed: what the person has typed.
        """
        self._aims.spend(aim)

        def refused(answer: Answer) -> None:
            if answer.code:
                self._aims.miss(aim, waits=answer.code not in GONE)
                words = REFUSALS.get(answer.code, "").format(aim.talk) or answer.words
                self._give_back(typed, f"{words}: not sent", aim)
                self._show_aim()

        self._ask(f"say {aim.name} {text}", refused)

    def _show_aim(self) -> None:
        """Let the person see where goes what they type."""
        aim = self._aims.aim
        self._screen.ask(self._aims.prompt, aim is not None and bool(aim.line))

    def _give_back(self, text: str, why: str, aim: Aim | None) -> None:
        """Tell that something was not sent, and let the person have it again.

        Args:
            text: what they have typed.
            why: why it was not.
            aim: what the first line of it was for; unless it is edited, it does not go elsewhere
                before that is told.
        """
        if not text or self._screen.give_back(text):
            self._typed.give_back(text, aim)
            self._notice(why)
        else:
            self._stamped(f"* {one_line(why)}: {show(text)}")

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        chosen = self._aims.chosen
        if not name:
            self._notice("behind / goes a command; /help tells them")
        elif name == "help":
            self._screen.show(HELP.split("\n"))
        elif name == "to":
            self._choose(rest.strip())
        elif name in ("quit", "exit"):
            self.ended()
        elif NAME.fullmatch(name):
            self._choose(name)
        elif name == "all":
            self._obey(f"say all {rest}")
        elif name in OF_ONE and not rest and chosen is not None:
            self._obey(f"{name} {chosen}")
        else:
            self._obey(text)

    def _choose(self, text: str) -> None:
        if not text:
            self._aims.chosen = None
            self._notice("no conversation is chosen")
        elif not (text.isascii() and text.isdecimal()):
            self._notice("/to 3 chooses conversation 3, /to none; /3.7 text answers its line 7")
        elif len(text) > 15 or int(text) not in self._aims.talks:
            self._notice(f"there is no conversation {text}; /list tells them")
        else:
            self._aims.chosen = int(text)
            self._notice(f"what you type goes to [{text}]")

    def _ask(self, command: str, then: Callable[[Answer], None]) -> None:
        # What fails with the connection is told by `over`.
        self._dialogue.ask(command).addCallbacks(then, lambda _: None)

    def _obey(self, command: str) -> None:
        """Do a command, and show what is answered."""
        name = command.partition(" ")[0]
        self._ask(command, lambda answer: self._show_answer(answer, name))

    def _ask_anew(self) -> None:
        """Something was missed: see what waits now."""

        def anew(answer: Answer) -> None:
            self._aims.begin(answer.data)
            self._show_aim()

        self._ask("list", anew)

    def _show_talks(self, answer: Answer) -> None:
        self._aims.begin(answer.data)
        self._show_aim()
        for talk in answer.data:
            self._stamped(conversation(talk))

    def _show_answer(self, answer: Answer, name: str) -> None:
        if answer.code:
            self._notice(f"{answer.code}: {answer.words}")
            return
        shown = ANSWERS.get(name, plainly)
        for each in answer.data:
            self._stamped(shown(each))
        if not answer.data and name not in QUIET:
            self._notice("nothing" if name in ASKING else "done")
        if not answer.data and name == "say":
            self._notice("nobody is there")

    def _notice(self, words: str) -> None:
        self._stamped(f"* {one_line(words)}")

    def _stamped(self, line: str) -> None:
        if line:
            self._screen.show([f"{strftime('%H:%M:%S')} {line}"])

    def _end(self, result: int | Failure) -> None:
        if not self._ended.called:
            self._ended.callback(result)
