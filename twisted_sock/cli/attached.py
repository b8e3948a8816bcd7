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

import re
from collections.abc import Callable
from time import strftime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sock.cli.aims import Aim, Aims
from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.operating import Answer, Dialogue, OperatorOptions
from twisted_sock.cli.terminal import Screen
from twisted_sock.cli.told import ANSWERS, conversation, plainly, told
from twisted_sock.display import one_line, show

HELP = """\
text          answers the line in the prompt: the one that had waited longest when you began
/3 text       answers conversation 3, or speaks to it; /3.7 text answers its line 7
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

#: A conversation, maybe with one of its lines.
NAME = re.compile(r"(?a:\d+)(?a:\.\d+)?")


#: Why something was not sent, by the code of the answer.
REFUSALS = {
    "nothing-waits": "that line of [{}] waits no more",
    "line-waits": "a line of [{}] has begun to wait meanwhile",
}

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
        done = True
        while rest and done:
            done = self._do(rest.pop(0))
        self._aims.unpin()
        self._show_aim()
        if rest:
            self._give_back("\n".join(rest), "the line before it is an answer; this was not sent")

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

    def _do(self, line: str) -> bool:
        """Do as is typed.

        Returns:
            Whether the next line can be, too: not when it may be meant for what this one was.
        """
        if not line:
            return True
        if line.startswith("/") and not line.startswith("//"):
            self._command(line[1:])
            return True
        aim = self._aims.aim
        if aim is not None:
            self._say(aim, line.removeprefix("/"), line)
            return not aim.line
        words = "no line waited when you began to type: not sent; /3 text speaks to 3"
        self._give_back(line, words)
        return False

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
                words = REFUSALS.get(answer.code, answer.words).format(aim.talk)
                self._give_back(typed, f"{words}: not sent")

        self._ask(f"say {aim.name} {text}", refused)

    def _show_aim(self) -> None:
        """Let the person see where goes what they type."""
        aim = self._aims.aim
        self._screen.ask(self._aims.prompt, aim is not None and bool(aim.line))

    def _give_back(self, text: str, why: str) -> None:
        """Tell that something was not sent, and let the person have it again."""
        if not text or self._screen.give_back(text):
            self._notice(why)
        else:
            self._stamped(f"* {one_line(why)}: {show(text)}")

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        chosen = self._aims.chosen
        if name == "help":
            self._screen.show(HELP.split("\n"))
        elif name == "to":
            self._choose(rest.strip())
        elif name in ("quit", "exit"):
            self.ended()
        elif NAME.fullmatch(name):
            talk, _, line = name.partition(".")
            aim = Aim(int(talk), int(line)) if line else self._aims.at(int(talk))
            self._say(aim, rest, f"/{text}")
        elif name == "all":
            self._obey(f"say all {rest}")
        elif name in OF_ONE and not rest and chosen is not None:
            self._obey(f"{name} {chosen}")
        else:
            self._obey(text)

    def _choose(self, text: str) -> None:
        if text and not (text.isascii() and text.isdecimal()):
            self._notice("/to 3 chooses conversation 3, /to none")
            return
        self._aims.chosen = int(text) if text else None
        self._notice(f"what you type goes to [{text}]" if text else "no conversation is chosen")

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

    def _notice(self, words: str) -> None:
        self._stamped(f"* {one_line(words)}")

    def _stamped(self, line: str) -> None:
        if line:
            self._screen.show([f"{strftime('%H:%M:%S')} {line}"])

    def _end(self, result: int | Failure) -> None:
        if not self._ended.called:
            self._ended.callback(result)
