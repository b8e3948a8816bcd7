r"""Lines with gaps: `OK {1} at {time}`, checked when read, filled in when played.

==================  =====================================================================
`{0}`               the line that is answered
`{1}`, `{user}`     what a group of the rule's `regex` matched; empty if it took no part
`{json.user.name}`  a field of a line that is a JSON object; `{json.list.0}` counts from 0
`{counter}`         how often the rule was hit, in all conversations
`{time}`            the time in UTC, `2024-02-29T12:00:00.250Z`
`{unix}`            the whole seconds since 1970
`{random:1-6}`      a whole number, drawn from the script's seed
`{client}`          the peer's address
`{state}`           the state that the conversation is in
`{{`, `}}`          braces
==================  =====================================================================

What comes out is always one line that can be sent: newlines in what is filled in become spaces,
and halves of surrogate pairs, which JSON can hold and UTF-8 cannot, U+FFFD.
"""

from __future__ import annotations

import json as json_text
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted_sock.errors import ScriptError

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RANDOM = re.compile(r"random:(-?[0-9]{1,18})-(-?[0-9]{1,18})")
_UNSENDABLE = re.compile("\r?\n|[\ud800-\udfff]")


@dataclass(slots=True, kw_only=True)
class Values:
    """What is filled in.

    Args:
        seconds: says the seconds since 1970, as a reactor does.
        random: what numbers are drawn from.
        line: the line that is answered.
        captures: what the groups of the rule's `regex` matched, the first at 0.
        names: the same, by the names of the groups.
        counter: how often the rule was hit.
        client: the peer's address.
        state: the state of the conversation.
        json: the line as a JSON object; None when it is none.
    """

    seconds: Callable[[], float]
    random: Random
    line: str = ""
    captures: Sequence[str | None] = ()
    names: Mapping[str, str | None] = field(default_factory=dict)
    counter: int = 0
    client: str = ""
    state: str = ""
    json: Any = None


#: Says what stands in one gap.
Gap = Callable[[Values], str]


class Template:
    """A line with gaps, made by `compile`.

    Attributes:
        constant: the line, when there are no gaps; else None.
    """

    __slots__ = ("_parts", "constant")

    def __init__(self, parts: Sequence[str | Gap]) -> None:
        self._parts = tuple(parts)
        texts = [each for each in parts if isinstance(each, str)]
        self.constant = "".join(texts) if len(texts) == len(parts) else None

    def render(self, values: Values) -> str:
        """The line with its gaps filled in."""
        if self.constant is not None:
            return self.constant
        text = "".join(each if isinstance(each, str) else each(values) for each in self._parts)
        return _UNSENDABLE.sub(_sendable, text)


def compile(
    text: str, groups: int = 0, names: Collection[str] = (), json: bool = False
) -> Template:
    """Make a template of its text.

    Args:
        text: the text.
        groups: how many groups the rule's `regex` has; -1 when there is no line to answer.
        names: which of them have names. A group is meant before anything else of its name.
        json: whether the rule is only for lines that are JSON objects.

    Raises:
        ScriptError: it is no line, or has a gap that cannot be filled in.
    """
    if "\n" in text:
        raise ScriptError("a line cannot hold a newline; several lines are a list")
    if _UNSENDABLE.search(text):
        raise ScriptError("half of a surrogate pair cannot be sent")
    parts: list[str | Gap] = []
    start = 0
    for found in _PART.finditer(text):
        parts.append(text[start : found.start()])
        parts.append(_part(found, groups, names, json))
        start = found.end()
    return Template([each for each in [*parts, text[start:]] if each != ""])


def _part(found: re.Match[str], groups: int, names: Collection[str], json: bool) -> str | Gap:
    whole = found[0]
    if whole in ("{{", "}}"):
        return whole[0]
    if found[1] is None:
        raise ScriptError(f"a lone '{whole}'; one that is meant as such is written '{whole * 2}'")
    return _gap(found[1], groups, names, json)


def _gap(name: str, groups: int, names: Collection[str], json: bool) -> Gap:
    """What fills in one gap.

    Raises:
        ScriptError: nothing does.
    """
    if name in names:
        return lambda values: values.names[name] or ""
    if name.isascii() and name.isdigit():
        return _capture(name, groups)
    if name.startswith("json."):
        return _field(name, json)
    if name.startswith("random"):
        return _draw(name)
    if name not in SIMPLE:
        raise ScriptError(_unknown(name, names))
    return SIMPLE[name]


def _capture(name: str, groups: int) -> Gap:
    if groups < 0:
        raise ScriptError(f"{{{name}}}: there is no line here that is answered")
    number = int(name[:9])
    if number > groups:
        raise ScriptError(f"{{{name}}}: the rule has {_counted(groups)}")
    if number == 0:
        return lambda values: values.line
    return lambda values: values.captures[number - 1] or ""


def _counted(groups: int) -> str:
    if not groups:
        return "no regex with groups"
    return "a regex with one group" if groups == 1 else f"a regex with {groups} groups"


def _field(name: str, json: bool) -> Gap:
    path = name.split(".")[1:]
    if not json:
        raise ScriptError(f"{{{name}}}: only a rule with json = {{...}} has fields")
    if "" in path:
        raise ScriptError(f"{{{name}}}: a name is missing beside a dot")
    return lambda values: _shown(_inside(values.json, path))


def _inside(value: Any, path: Sequence[str]) -> Any:
    """What is found along a path in some JSON; an empty text when there is no such thing."""
    for name in path:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
            value = value[int(name[:9])]
        else:
            return ""
    return value


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json_text.dumps(value, ensure_ascii=False)
    except RecursionError:  # a peer's lists in lists in lists ...
        return ""


def _draw(name: str) -> Gap:
    found = _RANDOM.fullmatch(name)
    if not found:
        raise ScriptError(f"{{{name}}}: a random number is written {{random:1-6}}")
    least, most = int(found[1]), int(found[2])
    if least > most:
        raise ScriptError(f"{{{name}}}: {least} is more than {most}")
    return lambda values: str(values.random.randint(least, most))


def _time(values: Values) -> str:
    now = datetime.fromtimestamp(values.seconds(), UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: The gaps that need no more than their name.
SIMPLE: dict[str, Gap] = {
    "counter": lambda values: str(values.counter),
    "time": _time,
    "unix": lambda values: str(int(values.seconds())),
    "client": lambda values: values.client,
    "state": lambda values: values.state,
}


def _unknown(name: str, names: Collection[str]) -> str:
    known = ", ".join(f"{{{each}}}" for each in [*sorted(names), *SIMPLE])
    return f"there is no {{{name}}}, but {known}; a brace that is meant as such is written twice"


def _sendable(found: re.Match[str]) -> str:
    return " " if found[0].endswith("\n") else "�"
