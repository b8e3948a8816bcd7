"""What can be asked and done from outside while a service runs: one table, whatever carries it.

    desk = Desk(hub, handler)
    desk.run("say", {"id": "3", "text": "hello"})    # a list of JSON objects, or Refused

The line protocol splits what it is given into words by the same table (`Command.split`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from twisted_sock.errors import ScriptError
from twisted_sock.operator import given
from twisted_sock.operator.history import said_fields
from twisted_sock.operator.hub import Hub
from twisted_sock.operator.naming import (
    ALL,
    AN_ID,
    answered,
    described,
    ending,
    line_of,
    line_waits,
    no_talk,
    unsent,
    waits,
)
from twisted_sock.operator.saving import save
from twisted_sock.operator.syntax import Command, Data, Refused
from twisted_sock.operator.talk import Talk
from twisted_sock.script.model import Scripted
from twisted_sock.script.reading import parse_fault

#: Seconds that a line waits for somebody.
PATIENCE = 30.0

#: What a handler must have to be asked about its script.
SCRIPTED = ("report", "reset", "load", "inject", "remove")


class Desk:
    """Does what it is told with a hub, and with the script if one is played.

    Args:
        hub: the conversations.
        handler: the line protocol of the service; it is asked about its script if it has one.
    """

    def __init__(self, hub: Hub, handler: object) -> None:
        self.hub = hub
        self._scripted: Scripted | None = None
        if all(hasattr(handler, name) for name in SCRIPTED):
            self._scripted = cast(Scripted, handler)

    def run(self, name: str, values: Mapping[str, Any]) -> list[Data]:
        """Do something.

        Args:
            name: a key of `COMMANDS`.
            values: its arguments.

        Returns:
            What there is to tell, as data for JSON.

        Raises:
            Refused: it cannot be done.
        """
        command = command_of(name)
        command.check(values)
        try:
            return list(command.act(self, values))
        except ScriptError as error:
            raise Refused("script", str(error)) from None

    def run_line(self, name: str, text: str) -> list[Data]:
        """Do something with what stands behind its name in a line (see `run`)."""
        return self.run(name, command_of(name).split(text))

    def help(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """What can be said."""
        for name, command in COMMANDS.items():
            yield {"command": f"{name} {command.usage}".rstrip(), "help": command.help}

    # Conversations.

    def listing(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """The conversations that go on."""
        for talk in list(self.hub.talks.values()):
            yield described(talk, self.hub.now())

    def history(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """What was said last."""
        wanted = given.number(values["id"], AN_ID)
        talk = self.hub.find(wanted)
        if talk is None:
            raise no_talk(wanted)
        yield from map(said_fields, talk.history.last())

    def say(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Answer, or say something unasked."""
        text, line = given.text(values["text"]), line_of(values)
        if line:
            yield from self.answer(values)
            return
        for talk in self._going_on(values["id"]):
            if line is None and talk.waiting:
                yield from self._answered(talk, text, None, values["id"])
            elif talk.waiting:
                raise line_waits(talk)
            elif talk.say(text):
                yield {"id": talk.number, "answered": False}
            elif values["id"] != ALL:
                raise unsent(talk)

    def answer(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Answer a line that waits, or say nothing."""
        text, line = given.text(values["text"]), line_of(values)
        talks = [talk for talk in self.talks(values["id"]) if waits(talk, line)]
        if not talks:
            words = "no line waits for an answer there"
            if line is not None:
                words = f"line {line} of {values['id']} waits for no answer, or no longer"
            raise Refused("nothing-waits", words)
        for talk in talks:
            yield from self._answered(talk, text, line, values["id"])

    def hold(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Let lines wait for somebody."""
        if self.hub.over:
            raise Refused("stopping", "the service stops; nothing is held any more")
        seconds = given.seconds(values.get("seconds", PATIENCE))
        for talk in self._going_on(values["id"]):
            yield {"id": talk.number, "seconds": talk.hold(seconds)}

    def release(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Let the script answer again."""
        return self._each(values["id"], Talk.release)

    def close(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """End a conversation."""
        return self._each(values["id"], Talk.close)

    def abort(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Drop a connection."""
        return self._each(values["id"], Talk.abort)

    def save(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Write what was answered as the rules of a script."""
        force = values.get("force", False)
        if force not in (True, False, "force"):
            raise Refused("usage", "behind FILE goes the word force, or nothing")
        file = given.file(values["file"])
        try:
            rules = save(file, self.hub.taught, bool(force))
        except FileExistsError:
            raise Refused("exists", "the file is there already; say force to replace it") from None
        except ScriptError as error:
            raise Refused("exists", str(error)) from None
        except (OSError, ValueError) as error:
            raise Refused("file", getattr(error, "strerror", None) or str(error)) from None
        yield {"file": file, "rules": rules}

    # The script.

    def hits(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """How often each rule was hit."""
        for rule, count in self._script.report().hits.items():
            yield {"rule": rule, "hits": count}

    def unmatched(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Lines that no rule was for."""
        for each in self._script.report().unmatched:
            yield dataclasses.asdict(each)

    def report(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Everything that the script was used for."""
        yield dataclasses.asdict(self._script.report())

    def reset(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Count from the beginning."""
        self._script.reset()
        return iter(())

    def load(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Play another script."""
        self._script.load(str(values["path"]))
        return iter(())

    def fault(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Let a fault happen."""
        script = self._script
        fault = parse_fault(given.table(values["table"]), "fault")
        script.inject(fault)
        yield {"name": fault.name, "do": fault.do}

    def unfault(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """Let it happen no more."""
        if not self._script.remove(str(values["name"])):
            raise Refused("no-fault", "there is no fault of this name; faults lists them")
        return iter(())

    def faults(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """How often each fault has fired."""
        for name, count in self._script.report().fired.items():
            yield {"name": name, "fired": count}

    def firings(self, values: Mapping[str, Any]) -> Iterator[Data]:
        """When faults have fired."""
        for each in self._script.report().firings:
            yield dataclasses.asdict(each)

    # Inside.

    @property
    def _script(self) -> Scripted:
        if self._scripted is None:
            raise Refused("no-script", "this protocol plays no script")
        return self._scripted

    def _each(self, which: Any, act: Callable[[Talk], object]) -> Iterator[Data]:
        for talk in self.talks(which):
            act(talk)
            yield {"id": talk.number}

    def talks(self, which: Any) -> list[Talk]:
        """The conversations that a word stands for.

        Raises:
            Refused: there is none of this number, or it is no number.
        """
        if which == ALL:
            return list(self.hub.talks.values())
        wanted = given.number(which, AN_ID)
        if wanted not in self.hub.talks:
            raise no_talk(wanted)
        return [self.hub.talks[wanted]]

    def _going_on(self, which: Any) -> list[Talk]:
        """Those of the conversations where something can still be said.

        Raises:
            Refused: it is one, and it is closing.
        """
        talks = self.talks(which)
        if which != ALL and talks[0].closing:
            raise ending(talks[0])
        return [talk for talk in talks if not talk.closing]

    def _answered(self, talk: Talk, text: str, line: int | None, which: Any) -> Iterator[Data]:
        """Answer a line that waits; among all conversations, who cannot be told is left out."""
        if not talk.mute:
            number, sent = talk.answer(text, line)
            if sent:
                yield answered(talk, number)
                return
        if which != ALL:
            raise ending(talk) if talk.mute else unsent(talk)


def command_of(name: str) -> Command:
    """The command of a name.

    Raises:
        Refused: there is none.
    """
    if name not in COMMANDS:
        raise Refused("no-command", "there is no such command; help tells them")
    return COMMANDS[name]


#: Every command but those that are about watching, which only the line protocol has.
COMMANDS: dict[str, Command] = {
    "help": Command("", "what can be said", Desk.help, True),
    "list": Command("", "the conversations that go on", Desk.listing, True),
    "history": Command("ID", "the last lines of one, also when it is over", Desk.history, True),
    "say": Command("ID[.LINE] TEXT...", "answer the line that waits, or say it unasked", Desk.say),
    "answer": Command("ID[.LINE] TEXT...", "answer the line that waits, or nothing", Desk.answer),
    "hold": Command("ID [SECONDS]", "let lines wait so long for an answer [30]", Desk.hold),
    "release": Command("ID", "let the script answer again", Desk.release),
    "close": Command("ID", "end a conversation", Desk.close),
    "abort": Command("ID", "drop a connection", Desk.abort),
    "save": Command("FILE [force]", "what was answered while held, as rules", Desk.save),
    "hits": Command("", "how often each rule was hit", Desk.hits, True),
    "unmatched": Command("", "lines that no rule was for", Desk.unmatched, True),
    "report": Command("", "hits, unmatched, faults, and what was missed", Desk.report, True),
    "reset": Command("", "forget hits, unmatched lines and firings", Desk.reset),
    "load": Command("PATH...", "play another script", Desk.load),
    "fault": Command("TABLE...", 'let a fault happen: {do = "drop", nth = 3}', Desk.fault),
    "unfault": Command("NAME...", "let it happen no more", Desk.unfault),
    "faults": Command("", "how often each fault has fired", Desk.faults, True),
    "firings": Command("", "when, and in which conversation", Desk.firings, True),
}
