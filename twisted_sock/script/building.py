"""Makes what `model` describes of what TOML has, and notes every mistake on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from twisted_sock.errors import ScriptError
from twisted_sock.script import pattern, template
from twisted_sock.script.keys import NEEDED, SPECIAL
from twisted_sock.script.mistakes import At, Mistakes, shown
from twisted_sock.script.model import FAULTS, Expect, Fault, Match, Push, Rule, Script

#: What the fallback is called in reports, so that no rule can be.
FALLBACK = "fallback"

#: How deep the fields of a `json` may be nested.
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Captures:
    """What templates can fill in: see `template.compile`."""

    groups: int = 0
    names: frozenset[str] = frozenset()
    json: bool = False


#: Where no line is answered.
NO_LINE = Captures(groups=-1)


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes scripts, rules and faults of their tables, leaving out what is wrong.

    Args:
        mistakes: where that is noted.
    """

    mistakes: Mistakes

    def script(self, data: Mapping[str, Any]) -> Script:
        """A whole script."""
        at = At()
        values = self.mistakes.table("script", data, at)
        fallback = None
        if FALLBACK in values:
            place = at.inside(FALLBACK)
            fallback = self.rule(FALLBACK, values[FALLBACK], place, FALLBACK)
        return Script(
            path=self.mistakes.path,
            greeting=self._lines(values.get("greeting", ()), at, ("greeting",), NO_LINE),
            push=self._pushes(values, at, NO_LINE),
            rules=self._rules(values, at),
            fallback=fallback,
            faults=self._faults(values, at),
            **_some(values, "title", "seed", "start", "strict"),
        )

    def _rules(self, values: Mapping[str, Any], at: At) -> tuple[Rule, ...]:
        rules = []
        taken = {FALLBACK: "the fallback"}
        for number, data in enumerate(values.get("rule", ()), 1):
            place = at.inside("rule", number, data.get("name"))
            rules.append(self.rule("rule", data, place, f"rule {number}"))
            self._named(rules[-1].name, f"rule {number}", place, taken)
        return tuple(rules)

    def _faults(self, values: Mapping[str, Any], at: At) -> tuple[Fault, ...]:
        faults = []
        taken: dict[str, str] = {}
        for number, data in enumerate(values.get("fault", ()), 1):
            place = at.inside("fault", number, data.get("name"))
            faults.append(self.fault(data, place, f"fault {number}"))
            self._named(faults[-1].name, f"fault {number}", place, taken)
        return tuple(faults)

    def _named(self, name: str, called: str, at: At, taken: dict[str, str]) -> None:
        """See that nothing else has the name."""
        if name in taken:
            self.mistakes.add(at, "name", f"{taken[name]} is called {shown(name)}, too")
        taken.setdefault(name, called)

    def rule(self, table: str, data: Mapping[str, Any], at: At, name: str) -> Rule:
        """One rule, or the fallback.

        Args:
            table: which of the two.
            data: its keys and values.
            at: where it is.
            name: what it is called when it has no name.
        """
        values = self.mistakes.table(table, data, at)
        captures = self._captures(values, at)
        given = _some(values, "name", "delay", "jitter", "then", "close", "times", "total")
        return Rule(
            **{"name": name, **given},
            line=self.mistakes.line(at),
            match=self._match(values, at),
            replies=self._replies(values, at, captures),
            push=self._pushes(values, at, captures),
            expect=self._expect(values, at),
        )

    def fault(self, data: Mapping[str, Any], at: At, name: str) -> Fault:
        """One fault.

        Args:
            data: its keys and values.
            at: where it is.
            name: what it is called when it has no name.
        """
        values = self.mistakes.table("fault", data, at)
        self._captures(values, at)
        self._fits_its_work(values.get("do", ""), data, at)
        nth = values.get("nth", ())
        given = _some(values, "name", "do", "on", "every", "times", "probability", *SPECIAL)
        return Fault(
            **{"name": name, "do": "", **given},
            line=self.mistakes.line(at),
            match=self._match(values, at),
            nth=(nth,) if isinstance(nth, int) else tuple(nth),
        )

    def _fits_its_work(self, do: str, data: Mapping[str, Any], at: At) -> None:
        """See that a fault has what it needs for what it does, and nothing that it does not."""
        for key in data if do else ():
            if key in SPECIAL and key not in FAULTS[do]:
                others = ", ".join(name for name, keys in FAULTS.items() if key in keys)
                self.mistakes.add(at, key, f'"{do}" does not take it; it is for {others}')
        for key in NEEDED.get(do, ()):
            if key not in data:
                self.mistakes.add(at, "do", f'"{do}" needs {key}')

    # Parts of tables.

    def _match(self, values: Mapping[str, Any], at: At) -> Match:
        if not _is_json(values.get("json", {}), DEEPEST):
            words = f"only what JSON has, nested at most {DEEPEST} deep; no dates, no inf"
            self.mistakes.add(at, "json", words)
        client = _listed(values.get("client", ()))
        for text in client:
            self._network(text, at)
        given = _some(values, "exact", "prefix", "regex", "json")
        return Match(**given, when=_listed(values.get("when", ())), client=client)

    def _captures(self, values: Mapping[str, Any], at: At) -> Captures | None:
        """What the templates of a rule can fill in; None when that cannot be said."""
        if "regex" not in values:
            return Captures(json="json" in values)
        try:
            compiled = pattern.compile(values["regex"])
        except ScriptError as error:
            self.mistakes.add(at, "regex", str(error))
            return None
        return Captures(compiled.groups, compiled.names)

    def _network(self, text: str, at: At) -> None:
        try:
            ip_network(text)
        except ValueError as error:
            host_bits = "host bits" in str(error)
            why = "there are bits set behind the /" if host_bits else "it is no network"
            self.mistakes.add(at, "client", f"{shown(text)}: {why}; one is written 10.0.0.0/8")

    def _replies(
        self, values: Mapping[str, Any], at: At, captures: Captures | None
    ) -> tuple[tuple[str, ...], ...]:
        """What is said, each time."""
        if "reply" in values:
            return (self._lines(values["reply"], at, ("reply",), captures),)
        return tuple(
            self._lines(each, at, ("replies", number), captures)
            for number, each in enumerate(values.get("replies", ()))
        )

    def _pushes(
        self, values: Mapping[str, Any], at: At, captures: Captures | None
    ) -> tuple[Push, ...]:
        pushes = enumerate(values.get("push", ()), 1)
        return tuple(
            self._push(data, at.inside("push", number), captures) for number, data in pushes
        )

    def _push(self, data: Mapping[str, Any], at: At, captures: Captures | None) -> Push:
        values = self.mistakes.table("push", data, at)
        self._lines(values.get("line", ()), at, ("line",), captures)
        if values.get("times", 0) > 1 and not data.get("every"):
            self.mistakes.add(at, "times", "without every it is sent only once")
        return Push(**{"line": "", **values})

    def _lines(
        self,
        lines: str | Sequence[str],
        at: At,
        key: tuple[str] | tuple[str, int],
        captures: Captures | None,
    ) -> tuple[str, ...]:
        """Check the templates of some lines, unless it cannot be said what they can fill in."""
        for number, line in enumerate(_listed(lines)):
            try:
                if captures is not None:
                    template.compile(line, captures.groups, captures.names, captures.json)
            except ScriptError as error:
                self.mistakes.add(at, key[0], str(error), *key[1:], number)
        return _listed(lines)

    def _expect(self, values: Mapping[str, Any], at: At) -> Expect | None:
        given = values.get("expect")
        if given is None or isinstance(given, int):
            return None if given is None else Expect(given, given)
        place = at.inside("expect")
        expect = Expect(**self.mistakes.table("expect", given, place))
        if expect.most is not None and expect.least > expect.most:
            words = f"{expect.least} is more than most = {expect.most}"
            self.mistakes.add(place, "least", words)
        return expect


def _some(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Those of some keys that there are."""
    return {key: values[key] for key in keys if key in values}


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _is_json(value: object, deep: int) -> bool:
    """Whether JSON has such a value, nested at most so deep."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return deep > 0 and all(_is_json(each, deep - 1) for each in inside)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
