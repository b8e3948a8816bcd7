"""The JSON schema of scripts, draft 2020-12, for editors that check while one writes.

It is made of the tables in `keys`. What only reading can tell, as whether a template's captures
are there, is not in it.
"""

from __future__ import annotations

from typing import Any

from twisted_sock.script.keys import NEEDED, SPECIAL, TABLES, Key, Table
from twisted_sock.script.model import FAULTS


def schema() -> dict[str, Any]:
    """The schema."""
    inside = {name: _table(table) for name, table in TABLES.items() if name != "script"}
    inside["fault"]["allOf"] = [_fault(do) for do in FAULTS]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_table(TABLES["script"]),
        "$defs": inside,
    }


def _table(table: Table) -> dict[str, Any]:
    made: dict[str, Any] = {
        "title": table.title,
        "type": "object",
        "properties": {key.name: _key(key) for key in table.keys},
        "additionalProperties": False,
    }
    if table.required:
        made["required"] = list(table.required)
    if table.some:
        made["anyOf"] = [{"required": [key]} for key in table.some]
    pairs = [pair for apart in table.apart for pair in _pairs(apart)]
    if pairs:
        made["not"] = {"anyOf": [{"required": pair} for pair in pairs]}
    return made


def _key(key: Key) -> dict[str, Any]:
    return {"description": f"{key.help} ({key.kind.words})", **key.kind.schema}


def _pairs(names: tuple[str, ...]) -> list[list[str]]:
    return [[one, other] for at, one in enumerate(names) for other in names[at + 1 :]]


def _fault(do: str) -> dict[str, Any]:
    """What holds for the faults that do one thing."""
    then: dict[str, Any] = {
        "properties": {key: False for key in sorted(SPECIAL) if key not in FAULTS[do]}
    }
    if do in NEEDED:
        then["required"] = list(NEEDED[do])
    return {"if": {"properties": {"do": {"const": do}}, "required": ["do"]}, "then": then}
