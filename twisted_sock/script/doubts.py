"""What is no mistake in a script, but hardly meant: rules that can never count, and the like."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from twisted_sock.script.model import Fault, Match, Rule, Script

#: With how many earlier rules each one is compared; a recording may have thousands.
COMPARED = 100


def doubts(script: Script) -> list[tuple[int, str]]:
    """What is doubtful, in the order of the file.

    Returns:
        Lines, counted from 1, and what is doubtful there.
    """
    found = [*_states(script), *_newlines(script), *_hidden(script), *_expected(script)]
    return sorted(found, key=lambda each: each[0])


def states(script: Script) -> set[str]:
    """The states that a script speaks of; none if it has no use for them."""
    every = [*script.rules, *([script.fallback] if script.fallback else ())]
    told = {rule.then for rule in every if rule.then is not None}
    told |= {state for each in (*every, *script.faults) for state in each.match.when}
    return told | {script.start} if told or script.start else set()


def reached(script: Script) -> set[str]:
    """The states that a conversation can come into."""
    leading: dict[str | None, list[str]] = {}
    for rule in [*script.rules, *([script.fallback] if script.fallback else ())]:
        for state in rule.match.when or (None,):
            leading.setdefault(state, []).extend([] if rule.then is None else [rule.then])
    found = {script.start}
    waiting = [script.start, *leading.get(None, ())]
    while waiting:
        state = waiting.pop()
        found.add(state)
        waiting += [each for each in leading.pop(state, ()) if each not in found]
    return found


def _states(script: Script) -> Iterator[tuple[int, str]]:
    known = reached(script)
    for title, each in _titled(script):
        for state in each.match.when:
            if state not in known:
                yield each.line, f'{title}: when: no conversation comes into the state "{state}"'


def _titled(script: Script) -> Iterator[tuple[str, Rule | Fault]]:
    for number, rule in enumerate(script.rules, 1):
        yield _title("rule", number, rule.name), rule
    for number, fault in enumerate(script.faults, 1):
        yield _title("fault", number, fault.name), fault


def _title(kind: str, number: int, name: str) -> str:
    called = f"{kind} {number}"
    return called if name == called else f"{called} ({name})"


def _newlines(script: Script) -> Iterator[tuple[int, str]]:
    for title, each in _titled(script):
        for key, text in (("exact", each.match.exact), ("prefix", each.match.prefix)):
            if text is not None and "\n" in text:
                words = "a line has no newline in it, unless lines are chunks or end in CRLF"
                yield each.line, f"{title}: {key}: {words}"


def _hidden(script: Script) -> Iterator[tuple[int, str]]:
    """Rules that an earlier one leaves no line."""
    earlier: list[tuple[str, Rule]] = []
    exact: dict[str, list[tuple[str, Rule]]] = {}
    for number, rule in enumerate(script.rules, 1):
        title = _title("rule", number, rule.name)
        text = rule.match.exact
        alike = exact.setdefault(text, []) if text is not None else earlier
        for other, hiding in [*earlier, *(alike if alike is not earlier else ())]:
            if _covers(hiding.match, rule.match):
                yield rule.line, f"{title}: it never counts, as {other} takes all its lines"
                break
        if not (rule.times or rule.total) and len(alike) < COMPARED:
            alike.append((title, rule))
    taking = [title for title, rule in earlier if _covers(rule.match, Match())]
    if taking and script.fallback:
        yield script.fallback.line, f"fallback: it is never said, as {taking[0]} takes all lines"


def _covers(wide: Match, narrow: Match) -> bool:
    """Whether one match is certainly for every line that another is for."""
    if wide.when and not (narrow.when and set(narrow.when) <= set(wide.when)):
        return False
    if wide.client and not (narrow.client and _inside(narrow.client, wide.client)):
        return False
    if wide.exact is not None or wide.regex is not None or wide.json is not None:
        return (wide.exact, wide.regex, wide.json) == (narrow.exact, narrow.regex, narrow.json)
    if wide.prefix is None:
        return True
    begins = narrow.exact if narrow.exact is not None else narrow.prefix
    return begins is not None and begins.startswith(wide.prefix)


def _inside(narrow: tuple[str, ...], wide: tuple[str, ...]) -> bool:
    """Whether each of some networks is part of one of others."""
    return all(any(_is_part(one, other) for other in wide) for one in narrow)


def _is_part(one: str, other: str) -> bool:
    small, large = ip_network(one, strict=False), ip_network(other, strict=False)
    if small.version != large.version:
        return False
    return small.network_address in large and small.prefixlen >= large.prefixlen


def _expected(script: Script) -> Iterator[tuple[int, str]]:
    """Expectations that cannot be met."""
    for title, rule in _titled(script):
        if isinstance(rule, Rule) and rule.expect and 0 < rule.total < rule.expect.least:
            words = f"it counts only {rule.total} times (total), not {rule.expect.least}"
            yield rule.line, f"{title}: expect: {words}"
