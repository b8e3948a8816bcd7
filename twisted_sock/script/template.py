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
`{json.user:json}`  any of these as JSON: a text has its quotes, what is not there is null
`{{`, `}}`          braces
==================  =====================================================================

What comes out is always one line that can be sent: newlines in what is filled in become spaces,
and halves of surrogate pairs, which JSON can hold and UTF-8 cannot, U+FFFD.
"""

from __future__ import annotations

import json as json_text
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted_sock.errors import ScriptError
from twisted_sock.script.captured import NOTHING, Captured

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RANDOM = re.compile(r"random:(-?[0-9]{1,18})-(-?[0-9]{1,18})")
_UNSENDABLE = re.compile("\r?\n|[\ud800-\udfff]")

#: Behind the name of a gap: as JSON.
AS_JSON = ":json"

#: There is no such field.
MISSING = object()


@dataclass(slots=True, kw_only=True)
class Values:
    """What is filled in.

    Args:
        seconds: says the seconds since 1970, as a reactor does.
        random: what numbers are drawn from.
        line: the line that is answered.
        captured: what the groups of the rule's `regex` matched, by number or name.
        counter: how often the rule was hit.
        client: the peer's address.
        state: the state of the conversation.
        json: the line as a JSON object; None when it is none.
    """

    seconds: Callable[[], float]
    random: Random
    line: str = ""
    captured: Captured = NOTHING
    counter: int = 0
    client: str = ""
    state: str = ""
    json: Any = None


#: Says what stands in one gap.
Gap = Callable[[Values], str]


class Group:
    """A gap for what a group has matched, or for the whole line.

    Args:
        key: the group's number or name; 0 for the line.
    """

    def __init__(self, key: int | str) -> None:
        self.key = key

    def __call__(self, values: Values) -> str:
        """What stands there."""
        return (values.captured[self.key] if self.key else values.line) or ""


class Field:
    """A gap for a field of a line that is a JSON object.

    Args:
        path: the names that lead there.
        as_json: whether a text has its quotes, and what is not there is null.
    """

    def __init__(self, path: Sequence[str], as_json: bool = False) -> None:
        self.path = path
        self._as_json = as_json

    def __call__(self, values: Values) -> str:
        """What stands there."""
        found = _inside(values.json, self.path)
        if isinstance(found, str) and not self._as_json:
            return found
        nothing = "null" if self._as_json else ""
        return nothing if found is MISSING else _as_json(found, nothing)


class Template:
    """A line with gaps, made by `compile`.

    Args:
        texts: what stands before, between and behind the gaps; some may be empty.
        gaps: say what stands in them, one less.

    Attributes:
        constant: the line, when there are no gaps; else None.
        form: the same texts, to be filled with `%`.
        steady: whether the line that is answered, and nothing else, decides what comes out.
    """

    __slots__ = ("constant", "form", "gaps", "steady", "texts")

    def __init__(self, texts: Sequence[str], gaps: Sequence[Gap]) -> None:
        self.texts = tuple(texts)
        self.gaps = tuple(gaps)
        self.constant = None if gaps else texts[0]
        self.form = "%s".join(text.replace("%", "%%") for text in texts)
        self.steady = all(isinstance(gap, Group | Field) for gap in gaps)

    def render(self, values: Values) -> str:
        """The line with its gaps filled in."""
        if self.constant is not None:
            return self.constant
        return sendable(self.form % tuple(gap(values) for gap in self.gaps))


def sendable(text: str) -> str:
    """A text as one line that can be sent."""
    if "\n" not in text and (text.isascii() or _is_utf8(text)):  # faster than to look for both
        return text
    return _UNSENDABLE.sub(_replaced, text)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    texts, gaps = [""], []
    start = 0
    for found in _PART.finditer(text):
        texts[-1] += text[start : found.start()]
        part = _part(found, groups, names, json)
        if isinstance(part, str):
            texts[-1] += part
        else:
            gaps.append(part)
            texts.append("")
        start = found.end()
    texts[-1] += text[start:]
    return Template(texts, gaps)


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
        return Group(name)
    if name.endswith(AS_JSON):
        name = name.removesuffix(AS_JSON)
        return _quoted(name, _gap(name, groups, names, json))
    if name.isascii() and name.isdigit():
        return _capture(name, groups)
    if name.startswith("json."):
        return _field(name, json)
    if name.startswith("random"):
        return _draw(name)
    if name not in SIMPLE:
        raise ScriptError(_unknown(name, names))
    return SIMPLE[name]


def _quoted(name: str, gap: Gap) -> Gap:
    if isinstance(gap, Field):
        return Field(gap.path, as_json=True)
    if name in ("counter", "unix") or name.startswith("random:"):
        return gap  # a number is JSON as it is
    return lambda values: _as_json(gap(values), "")


def _capture(name: str, groups: int) -> Gap:
    if groups < 0:
        raise ScriptError(f"{{{name}}}: there is no line here that is answered")
    number = int(name[:9])
    if number > groups:
        raise ScriptError(f"{{{name}}}: the rule has {_counted(groups)}")
    return Group(number)


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
    return Field(path)


def _inside(value: Any, path: Sequence[str]) -> Any:
    """What is found along a path in some JSON, or `MISSING`."""
    for name in path:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
            value = value[int(name[:9])]
        else:
            return MISSING
    return value


def _as_json(value: Any, nothing: str) -> str:
    try:
        return json_text.dumps(value, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError):  # lists in lists in lists ..., or a number like 1e999
        return nothing


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


def _replaced(found: re.Match[str]) -> str:
    return " " if found[0].endswith("\n") else "�"
