"""A script made ready to be played: its templates and patterns compiled, its rules indexed.

A rule made ready is a `Cue`. The cues that count in one state, for one kind of peer, are a `Way`
through the script. Where a line always has the same reply, and nothing else happens, the way
remembers it: then it is one look into a dictionary. While lines are always new, which is seen
from what is not found there, little is remembered, as that takes time too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted_sock.interfaces import Reply
from twisted_sock.script.answering import answering, never
from twisted_sock.script.index import Index
from twisted_sock.script.matching import Matcher
from twisted_sock.script.model import Push, Rule, Script
from twisted_sock.script.template import Template, Values
from twisted_sock.script.template import compile as compile_template

#: Lines that a way remembers, and the characters that each may have with its reply.
MOST_KNOWN = 4096
MOST_CHARACTERS = 500


class ReadyPush:
    """A pushed line made ready.

    Args:
        push: what the script says.
        template: its line.
    """

    __slots__ = ("push", "template")

    def __init__(self, push: Push, template: Template) -> None:
        self.push = push
        self.template = template


class Cue:
    """A rule made ready.

    Args:
        rule: what the script says.

    Attributes:
        matcher: says which lines it is for.
        quick: whether it does no more than reply one line that depends on the line alone.
        answer: does that, if it is quick.
        hits: how often it was hit, in all conversations.
        pushes: what is sent afterwards.
        limited: whether it counts only so many times.
        counted: whether each conversation counts how often it was hit there.
        fields: whether it is for lines that are JSON objects.

    Raises:
        ScriptError: it cannot be used.
    """

    __slots__ = (
        "_replies",
        "answer",
        "counted",
        "fields",
        "hits",
        "limited",
        "matcher",
        "pushes",
        "quick",
        "rule",
    )

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.hits = 0
        self.matcher = Matcher(rule.match)
        self.fields = rule.match.json is not None
        self._replies = tuple(tuple(map(self._template, each)) for each in rule.replies)
        self.pushes = [ReadyPush(each, self._template(each.line)) for each in rule.push]
        self.limited = bool(rule.times or rule.total)
        self.counted = bool(rule.times or len(rule.replies) > 1)
        self.quick = _only_replies(rule) and self._replies[0][0].steady
        self.answer = answering(self.matcher, self._replies[0][0]) if self.quick else never

    def say(self, number: int, values: Values) -> Reply:
        """What is said.

        Args:
            number: how often it was hit before in this conversation.
            values: what is filled in.
        """
        if not self._replies:
            return None
        lines = self._replies[min(number, len(self._replies) - 1)]
        if len(lines) == 1:
            return lines[0].render(values)
        return [each.render(values) for each in lines] or None

    def _template(self, text: str) -> Template:
        pattern = self.matcher.pattern
        groups, names = (pattern.groups, pattern.names) if pattern else (0, ())
        return compile_template(text, groups, names, self.fields)


def _only_replies(rule: Rule) -> bool:
    """Whether a rule always replies one line, at once, and does nothing else."""
    does = rule.delay or rule.jitter or rule.push or rule.close or rule.then is not None
    counts = rule.times or rule.total or len(rule.replies) != 1
    return not does and not counts and len(rule.replies[0]) == 1


class Way:
    """The cues that count in one state, for one kind of peer.

    Args:
        cues: in the order in which they are tried.

    Attributes:
        candidates: gives those that may match a line.
        known: by line, a cue that it always comes to, and what that answers.
        alone, usual: see `Index`.
    """

    __slots__ = ("alone", "candidates", "known", "usual")

    def __init__(self, cues: Sequence[Cue]) -> None:
        index = Index(cues, lambda cue: cue.quick)
        self.candidates = index.candidates
        self.alone = index.alone
        self.usual = index.usual
        self.known: dict[str, Known] = {}

    def remember(self, line: str, cue: Cue, reply: str) -> None:
        """A line always has this reply."""
        if len(line) + len(reply) > MOST_CHARACTERS:
            return
        if len(self.known) >= MOST_KNOWN:  # other lines are said than before
            self.known.clear()
        self.known[line] = cue, reply


#: A cue and what it answers.
Known = tuple[Cue, str]


class Plot:
    """A script made ready.

    Args:
        script: what it says.

    Attributes:
        cues: its rules.
        fallback: what is said to lines that none of them is for.
        greeting: what a conversation begins with.
        pushes: what is pushed from then on.
        states: those that a conversation can be in.

    Raises:
        ScriptError: it cannot be used.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.cues = [Cue(rule) for rule in script.rules]
        self.fallback = Cue(script.fallback or Rule("fallback", 0))
        self.greeting = [compile_template(line, -1) for line in script.greeting]
        self.pushes = [ReadyPush(each, compile_template(each.line, -1)) for each in script.push]
        self.states = {script.start, *_states(script.rules)}
        self._choosy = [cue.matcher for cue in self.cues if cue.rule.match.client]
        self._ways: dict[object, Way] = {}

    def way(self, state: str, host: str) -> Way:
        """The cues that count.

        Args:
            state: the state that the conversation is in.
            host: the peer's IP address; empty where there is none.
        """
        kind = (state, *(each.concerns(state, host) for each in self._choosy))
        way = self._ways.get(kind)
        if way is None:
            cues = [cue for cue in self.cues if cue.matcher.concerns(state, host)]
            way = self._ways[kind] = Way(cues)
        return way

    def forget(self) -> None:
        """Forget the lines that were remembered."""
        for way in self._ways.values():
            way.known.clear()


def _states(rules: Iterable[Rule]) -> Iterable[str]:
    for rule in rules:
        yield from rule.match.when
        if rule.then is not None:
            yield rule.then
