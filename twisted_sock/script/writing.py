"""A script as TOML, as a person would write it: what `twisted_sock.script.reading` reads back.

    text(Script(rules=(Rule("rule 1", 1, Match(exact="PING"), (("+PONG",),)),)))

What is as it is when nothing is said about it is left out, and so are the names that rules and
faults get by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from twisted_sock.display import escape
from twisted_sock.script.model import Expect, Fault, Match, Push, Rule, Script

#: Characters from which on a list is written in several lines.
WIDTH = 99

#: Keys that need no quotes (TOML 1.0, "Keys").
BARE = re.compile(r"[A-Za-z0-9_-]+")

#: What a basic string must not hold as it is, and what would make it unreadable.
UNSAFE = re.compile(
    '[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff"\\\\]'
)

ESCAPES = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}

Items = Iterator[tuple[str, Any]]


def text(script: Script, remarks: Iterable[str] = ()) -> str:
    """The TOML of a script.

    Args:
        script: what to write; `path` and the places in the file are not part of it.
        remarks: comments for the head of the file, one line each.

    Returns:
        The text, which ends in a newline.
    """
    return "".join(pieces(script, remarks))


def pieces(script: Script, remarks: Iterable[str] = ()) -> Iterator[str]:
    """The same in pieces, one after the other: a large script is never there as a whole."""
    between = ""
    for table in _tables(script, remarks):
        if table:
            yield between + table
            between = "\n"


def _tables(script: Script, remarks: Iterable[str]) -> Iterator[str]:
    yield "".join(f"# {escape(remark)}\n" for remark in remarks)
    yield _table("", _script(script))
    for push in script.push:
        yield _table("[[push]]", _changed(push))
    if script.fallback is not None:
        yield _table("[fallback]", _rule(script.fallback, "fallback"))
    for number, rule in enumerate(script.rules, 1):
        yield _table("[[rule]]", _rule(rule, f"rule {number}"))
    for number, fault in enumerate(script.faults, 1):
        yield _table("[[fault]]", _fault(fault, f"fault {number}"))


def _table(head: str, items: Items) -> str:
    lines = [_line(key, value) for key, value in items]
    return "".join([f"{head}\n" if head else "", *lines])


def _line(key: str, value: Any) -> str:
    """A key and its value; a long list has a line for each of its parts."""
    written = f"{key} = {_value(value)}\n"
    if len(written) <= WIDTH or not isinstance(value, list):
        return written
    parts = "".join(f"    {_value(part)},\n" for part in value)
    return f"{key} = [\n{parts}]\n"


def _script(script: Script) -> Items:
    for key in ("title", "seed", "start", "strict"):
        value = getattr(script, key)
        if value != getattr(DEFAULT, key):
            yield key, value
    if script.greeting:
        yield "greeting", _one_or_more(script.greeting)


def _rule(rule: Rule, default: str) -> Items:
    if rule.name != default:
        yield "name", rule.name
    yield from _match(rule.match)
    yield from _replies(rule.replies)
    for key in ("delay", "jitter", "times", "total"):
        if getattr(rule, key):
            yield key, getattr(rule, key)
    if rule.then is not None:
        yield "then", rule.then
    if rule.close:
        yield "close", True
    if rule.push:
        yield "push", [dict(_changed(push)) for push in rule.push]
    if rule.expect is not None:
        yield "expect", _expect(rule.expect)


def _match(match: Match) -> Items:
    for key in ("exact", "prefix", "regex", "json"):
        if getattr(match, key) is not None:
            yield key, getattr(match, key)
    for key in ("when", "client"):
        if getattr(match, key):
            yield key, _one_or_more(getattr(match, key))


def _replies(replies: tuple[tuple[str, ...], ...]) -> Items:
    if len(replies) == 1:
        yield "reply", _one_or_more(replies[0])
    elif replies:
        yield "replies", [_one_or_more(lines) for lines in replies]


def _fault(fault: Fault, default: str) -> Items:
    if fault.name != default:
        yield "name", fault.name
    for key, value in _changed(fault):
        if key == "match":
            yield from _match(value)
        elif key == "nth":
            yield key, _one_or_more(value)
        elif key not in ("name", "line"):
            yield key, value


def _expect(expect: Expect) -> int | dict[str, int]:
    if expect.least == expect.most:
        return expect.least
    most = {} if expect.most is None else {"most": expect.most}
    return {"least": expect.least, **most}


def _changed(data: Push | Fault) -> Items:
    """The fields that are not as they are by default."""
    for field in fields(data):
        value = getattr(data, field.name)
        if value != field.default:
            yield field.name, value


def _one_or_more(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _string(key)


def _string(value: str) -> str:
    return f'"{UNSAFE.sub(_escaped, value)}"' if UNSAFE.search(value) else f'"{value}"'


def _escaped(match: re.Match[str]) -> str:
    return ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


DEFAULT = Script()
