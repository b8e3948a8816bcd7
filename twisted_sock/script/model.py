"""What a conversation script says, as data: rules, pushed lines, faults, expectations.

`twisted_sock.script.reading` makes these from TOML and checks them; everything else only reads
them. A script is one file::

    greeting = "220 ready"

    [[rule]]
    name = "login"
    regex = "LOGIN (\\w+)"
    reply = "OK {1}"
    then = "in"

    [[fault]]
    do = "delay"
    nth = 3
    seconds = 2.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Match:
    """Which lines something is for. With none of these it is for every line.

    Args:
        exact: the whole line.
        prefix: how it begins.
        regex: a regular expression that the whole line must match; its groups are captures.
        json: fields that the line has, when it is a JSON object: a subset, nested alike.
        when: the states of the conversation in which it counts; empty for any.
        client: networks that the peer must be in, `10.0.0.0/8`; empty for anybody.
    """

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    json: Mapping[str, Any] | None = None
    when: tuple[str, ...] = ()
    client: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Push:
    """A line that is sent without being asked for.

    Args:
        line: a template.
        after: seconds until it is sent first.
        every: seconds until it is sent again; 0 for only once.
        times: how often at most; 0 for as long as the conversation lasts.
    """

    line: str
    after: float = 0.0
    every: float = 0.0
    times: int = 0


@dataclass(frozen=True, slots=True)
class Expect:
    """How often a rule must be hit, over all conversations.

    Args:
        least: at least so often.
        most: at most so often; None for any number.
    """

    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said to some lines.

    Args:
        name: what reports call it.
        line: where it stands in the file, counted from 1; for reports.
        match: which lines it is for.
        replies: what is said, each time the next of these and then the last again; each is the
            templates of some lines, none for silence. Empty: nothing is ever said.
        delay: seconds until it is said.
        jitter: up to so many seconds more, drawn from the seed.
        push: what is sent afterwards without being asked for.
        then: the state that the conversation is in afterwards; None: as before.
        close: whether the conversation is closed afterwards.
        times: how often it counts in one conversation; then it is passed over. 0 for ever.
        total: how often it counts in all of them; 0 for ever.
        expect: how often it must be hit; None: whatever.
    """

    name: str
    line: int
    match: Match = Match()
    replies: tuple[tuple[str, ...], ...] = ()
    delay: float = 0.0
    jitter: float = 0.0
    push: tuple[Push, ...] = ()
    then: str | None = None
    close: bool = False
    times: int = 0
    total: int = 0
    expect: Expect | None = None


#: What a fault does, with the keys that it needs or takes besides those of every fault.
FAULTS: dict[str, tuple[str, ...]] = {
    "delay": ("seconds", "jitter"),  # say it later
    "throttle": ("rate",),  # send it at so many bytes a second
    "drop": (),  # do not say it
    "duplicate": ("copies",),  # say it more than once
    "reorder": (),  # say it after the next
    "corrupt": (),  # with one byte changed
    "cut": (
        "seconds",
    ),  # in two pieces, cut inside a character where there is one of several bytes
    "bytes": ("seconds",),  # a byte at a time
    "stop-reading": ("seconds",),  # read no more from the peer for so long; 0 for ever
    "half-close": (),  # end our side, and go on reading
    "reset": (),  # break the connection off
    "refuse": ("connections",),  # drop the next so many connections as they come
}

#: Which lines a fault is for: what the peer says before it is answered, or what is said to it.
#: A proxy has both ways, too: to its server, and from it.
SIDES = ("reply", "line")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on purpose.

    Args:
        name: what reports call it.
        line: where it stands in the file; 0 when it was injected while running.
        do: a key of `FAULTS`.
        on: "reply": to what is said to the peer; "line": to what it says, before it is answered.
        match: which lines it is for: those that the peer says, also for `on="reply"`, where it
            is the line that is being answered.
        nth: which of the lines that match, counted from 1 in each conversation; empty: all.
        every: every so many of them; 0: all.
        times: how often at most in all; 0 for ever.
        probability: how likely it is, drawn from the seed.
        seconds, jitter, rate, copies, connections: see `FAULTS`.
    """

    name: str
    line: int
    do: str
    on: str = "reply"
    match: Match = Match()
    nth: tuple[int, ...] = ()
    every: int = 0
    times: int = 0
    probability: float = 1.0
    seconds: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    copies: int = 2
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script.

    Args:
        path: the file that it was read from, for messages.
        title: what it is about.
        seed: what is random is drawn from it: the same script does the same.
        start: the state that a conversation begins in.
        greeting: templates of the lines that it begins with.
        push: what is sent from the beginning of a conversation without being asked for.
        rules: in the order in which they are tried.
        fallback: what is said to lines that no rule is for; None: nothing. They are reported
            either way.
        faults: what goes wrong on purpose.
        strict: whether lines that no rule is for make `verify` fail (the default).
    """

    path: str = ""
    title: str = ""
    seed: int = 0
    start: str = ""
    greeting: tuple[str, ...] = ()
    push: tuple[Push, ...] = ()
    rules: tuple[Rule, ...] = ()
    fallback: Rule | None = None
    faults: tuple[Fault, ...] = ()
    strict: bool = True


@dataclass(slots=True)
class Unmatched:
    """A line that no rule was for.

    Args:
        line: what was said; the first 200 characters.
        peer: who said it first.
        count: how often it was said.
    """

    line: str
    peer: str
    count: int = 1


@dataclass(slots=True)
class Firing:
    """A fault that has fired.

    Args:
        name: the fault's.
        do: what it does.
        peer: whose conversation.
        number: which line of that conversation, from 1.
        at: seconds since 1970.
    """

    name: str
    do: str
    peer: str
    number: int
    at: float


@dataclass(slots=True)
class Report:
    """What a running script was used for.

    Args:
        hits: by rule name, how often it was hit; every rule is there.
        unmatched: lines that no rule was for; the first 1,000 different ones.
        fired: by fault name, how often it has fired; every fault is there.
        firings: the last 1,000 of these.
        missed: what is not as the script expects, one sentence each; empty when all is well.
    """

    hits: dict[str, int] = field(default_factory=dict)
    unmatched: list[Unmatched] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    firings: list[Firing] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


class Scripted(Protocol):
    """A line protocol that plays a script: what can be asked of it while it runs."""

    def report(self) -> Report:
        """What it was used for since it began, or since `reset`."""

    def reset(self) -> None:
        """Forget hits, unmatched lines and firings, and begin sequences and draws anew."""

    def load(self, path: str) -> None:
        """Go on with another script; conversations live on.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """

    def inject(self, fault: Fault) -> None:
        """Let a fault happen from now on, besides those of the script."""

    def remove(self, name: str) -> bool:
        """Let a fault happen no more; returns whether there was one."""
