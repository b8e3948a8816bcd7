"""Every key that a script can have: what its value must be, and what it is for.

This is the only place that says so. `reading` checks scripts by it, `schema` makes the JSON
schema for editors of it, and the docs have its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from twisted_sock.script.model import FAULTS, SIDES

#: What a value must be, in JSON Schema: of it, only what `fits` knows.
Schema = Mapping[str, Any]

#: The longest wait, in seconds: a year.
LONGEST = 365 * 86400


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must be.

    Args:
        words: in words: "a text".
        schema: as a schema.
    """

    words: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Args:
        name: the key.
        kind: what its value must be.
        help: what it is for; begins with its default, if that is not obvious.
        required: whether it must be there.
    """

    name: str
    kind: Kind
    help: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """The keys that a table of the script can have.

    Args:
        title: what it is.
        keys: its keys.
        apart: sets of keys of which at most one can be there.
        some: keys of which at least one must be there; empty if there need not be one.
    """

    title: str
    keys: tuple[Key, ...]
    apart: tuple[tuple[str, ...], ...] = ()
    some: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Key]:
        """Its keys by their names."""
        return {key.name: key for key in self.keys}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The keys that must be there."""
        return tuple(key.name for key in self.keys if key.required)


def _text(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


def _list(items: Schema, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def _one_or_list(one: Schema, **more: Any) -> dict[str, Any]:
    return {"anyOf": [one, _list(one, **more)]}


def _tables(name: str) -> Kind:
    return Kind(f"tables, each written [[{name}]]", _list({"$ref": f"#/$defs/{name}"}))


def whole(least: int) -> Kind:
    """A whole number."""
    return Kind(f"a whole number, {least} or more", _whole(least))


def _whole(least: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": 2**63 - 1}


_ONE_LINE = _text(**{"not": {"pattern": "\\n"}})

TEXT = Kind("a text", _text())
LINE = Kind("a text in one line", _ONE_LINE)
NAME = Kind(
    "a text in one line, of 1 to 100 characters",
    _text(minLength=1, maxLength=100, **{"not": {"pattern": "[\\x00-\\x1f\\x7f-\\x9f]"}}),
)
LINES = Kind("a text in one line, or a list of such", _one_or_list(_ONE_LINE))
TURNS = Kind(
    "a list of what is said each time: texts in one line, or lists of such",
    _list(_one_or_list(_ONE_LINE), minItems=1),
)
STATES = Kind("a text, or a list of texts", _one_or_list(_text(), minItems=1))
NETWORKS = Kind("a network, or a list of networks", _one_or_list(_text(), minItems=1))
FLAG = Kind("true or false", {"type": "boolean"})
INTEGER = Kind("a whole number", {"type": "integer"})
SECONDS = Kind(
    "a number of seconds, 0 or more, at most a year",
    {"type": "number", "minimum": 0, "maximum": LONGEST},
)
PERIOD = Kind(
    "a number of seconds, at least 0.001 and at most a year, or 0 for only once",
    {"anyOf": [{"const": 0}, {"type": "number", "minimum": 0.001, "maximum": LONGEST}]},
)
RATE = Kind(
    "a number of bytes a second, 1 or more", {"type": "number", "minimum": 1, "maximum": 1e12}
)
COPIES = Kind("a whole number from 2 to 1000", {"type": "integer", "minimum": 2, "maximum": 1000})
CHANCE = Kind("a number from 0 to 1", {"type": "number", "minimum": 0, "maximum": 1})
COUNTS = Kind("a whole number, 1 or more, or a list of such", _one_or_list(_whole(1), minItems=1))
FIELDS = Kind("a table of fields", {"type": "object"})
HITS = Kind(
    "a whole number, 0 or more, or a table {least = 1, most = 3}",
    {"anyOf": [_whole(0), {"$ref": "#/$defs/expect"}]},
)
ANSWER = Kind("a table, written [fallback]", {"$ref": "#/$defs/fallback"})
DO = Kind("one of " + ", ".join(FAULTS), {"enum": list(FAULTS)})
SIDE = Kind(" or ".join(f'"{side}"' for side in SIDES), {"enum": list(SIDES)})

#: Which lines something is for.
MATCH = (
    Key("exact", TEXT, "only for this line"),
    Key("prefix", TEXT, "only for lines that begin so"),
    Key("regex", TEXT, "only for lines that it matches whole; its groups are captures"),
    Key("json", FIELDS, "only for lines that are JSON objects with these fields, and maybe more"),
    Key("when", STATES, "only in this state of the conversation, or one of these"),
    Key("client", NETWORKS, "only for peers in this network, or one of these: `10.0.0.0/8`"),
)
_APART = tuple(key.name for key in MATCH[:4])

_SAID = (
    Key("reply", LINES, "what is said: a line, or several; nothing if left out"),
    Key("replies", TURNS, "what is said the first time, the second, ...; the last one repeats"),
    Key("delay", SECONDS, "seconds until it is said"),
    Key("jitter", SECONDS, "up to so many seconds more, drawn from the seed"),
    Key("push", _tables("push"), "what is sent afterwards without being asked for"),
    Key("then", TEXT, "the state that the conversation is in afterwards"),
    Key("close", FLAG, "whether the conversation is closed afterwards"),
)

#: Every table by its name.
TABLES: dict[str, Table] = {
    "script": Table(
        "a script of twisted_sock: what a server says",
        (
            Key("title", TEXT, "what the script is about"),
            Key("seed", INTEGER, "0: what is random is drawn from it"),
            Key("start", TEXT, "the state that a conversation begins in"),
            Key("strict", FLAG, "true: whether `verify` fails on lines that no rule is for"),
            Key("greeting", LINES, "what is said when a conversation begins"),
            Key(
                "push", _tables("push"), "what is sent from the beginning without being asked for"
            ),
            Key("rule", _tables("rule"), "the rules; of those that fit a line, the first counts"),
            Key(
                "fallback",
                ANSWER,
                "what is said to lines that no rule is for; silence if left out",
            ),
            Key("fault", _tables("fault"), "what goes wrong on purpose"),
        ),
    ),
    "rule": Table(
        "what is said to some lines",
        (
            Key("name", NAME, "what reports call it; `rule 1`, ... if left out"),
            *MATCH,
            *_SAID,
            Key("times", whole(0), "how often it counts in one conversation; 0: for ever"),
            Key("total", whole(0), "how often it counts in all of them; 0: for ever"),
            Key("expect", HITS, "how often it must be hit: so often, or `{least = 1, most = 3}`"),
        ),
        (_APART, ("reply", "replies")),
    ),
    "fallback": Table("what is said to lines that no rule is for", _SAID, (("reply", "replies"),)),
    "push": Table(
        "a line that is sent without being asked for",
        (
            Key("line", LINE, "the line", required=True),
            Key("after", SECONDS, "seconds until it is sent first"),
            Key("every", PERIOD, "seconds until it is sent again; 0: it is sent once"),
            Key("times", whole(0), "how often at most; 0: as long as the conversation lasts"),
        ),
    ),
    "expect": Table(
        "how often a rule must be hit, in all conversations",
        (
            Key("least", whole(0), "at least so often"),
            Key("most", whole(0), "at most so often; any number if left out"),
        ),
        some=("least", "most"),
    ),
    "fault": Table(
        "something that goes wrong on purpose",
        (
            Key("name", NAME, "what reports call it; `fault 1`, ... if left out"),
            Key("do", DO, "what it does", required=True),
            Key("on", SIDE, '"reply": to what is said to the peer; "line": to what it says'),
            *MATCH,
            Key(
                "nth", COUNTS, "which of the lines it is for: 3 is the third, in each conversation"
            ),
            Key("every", whole(0), "every so many of the lines it is for; 0: all"),
            Key("times", whole(0), "how often at most, in all; 0: for ever"),
            Key("probability", CHANCE, "1: how likely it is, drawn from the seed"),
            Key("seconds", SECONDS, "how long it takes"),
            Key("jitter", SECONDS, "up to so many seconds more, drawn from the seed"),
            Key("rate", RATE, "how many bytes a second are sent"),
            Key("copies", COPIES, "2: how often the line is there then"),
            Key("connections", whole(1), "1: how many connections are dropped"),
        ),
        (_APART, ("nth", "every")),
    ),
}

#: Which keys a fault must have for what it does.
NEEDED: dict[str, tuple[str, ...]] = {
    "delay": ("seconds",),
    "throttle": ("rate",),
}

#: The keys that only some faults take.
SPECIAL = frozenset(key for keys in FAULTS.values() for key in keys)

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def fits(schema: Schema, value: Any) -> bool:
    """Whether a value is what a schema says; of the tables inside, only whether they are some."""
    return all(_CHECKS[word](wanted, value, schema) for word, wanted in schema.items())


def _is_type(name: str, value: Any, _: Schema) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean") == isinstance(value, bool)


_CHECKS: dict[str, Any] = {
    "type": _is_type,
    "$ref": lambda name, value, _: isinstance(value, dict),
    "anyOf": lambda schemas, value, _: any(fits(each, value) for each in schemas),
    "not": lambda schema, value, _: not fits(schema, value),
    "items": lambda schema, value, _: (
        isinstance(value, list) and all(fits(schema, each) for each in value)
    ),
    "minItems": lambda least, value, _: isinstance(value, list) and len(value) >= least,
    "minLength": lambda least, value, _: isinstance(value, str) and len(value) >= least,
    "maxLength": lambda most, value, _: isinstance(value, str) and len(value) <= most,
    "pattern": lambda text, value, _: isinstance(value, str) and bool(re.search(text, value)),
    "minimum": lambda least, value, _: isinstance(value, int | float) and value >= least,
    "maximum": lambda most, value, _: isinstance(value, int | float) and value <= most,
    "enum": lambda choices, value, _: isinstance(value, str) and value in choices,
    "const": lambda only, value, _: not isinstance(value, bool) and value == only,
}
