"""What is not as a script expects, in sentences that a person understands."""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sock.display import one_line
from twisted_sock.script.model import Expect, Rule, Unmatched

#: Different lines that are kept; more are only counted.
MOST_LINES = 1000

#: Characters of each that are kept.
MOST_CHARACTERS = 200

#: Lines that are told of one by one.
TOLD = 10


class Unheard:
    """The lines that no rule was for.

    Attributes:
        others: how many were said besides those that are kept.
    """

    def __init__(self) -> None:
        self._lines: dict[str, Unmatched] = {}
        self.others = 0

    def add(self, line: str, peer: object) -> None:
        """Note one.

        Args:
            line: what was said.
            peer: who said it.
        """
        text = line[:MOST_CHARACTERS]
        known = self._lines.get(text)
        if known is not None:
            known.count += 1
        elif len(self._lines) < MOST_LINES:
            self._lines[text] = Unmatched(text, str(peer))
        else:
            self.others += 1

    def clear(self) -> None:
        """Forget them."""
        self._lines.clear()
        self.others = 0

    def lines(self) -> list[Unmatched]:
        """Those that are kept, in the order in which they were said first."""
        return list(self._lines.values())

    def missed(self) -> Iterable[str]:
        """What to say of them, if there are any."""
        lines = self.lines()
        for each in lines[:TOLD]:
            yield f"no rule is for {quoted(each.line)}, said {_often(each.count)} by {each.peer}"
        more = sum(each.count for each in lines[TOLD:]) + self.others
        if more:
            yield f"no rule is for {more} other lines"


def named(rule: Rule, path: str) -> str:
    """A rule as a person finds it: `rule 'login' (login.toml:12)`."""
    where = f"{path}:{rule.line}" if path else f"line {rule.line}"
    return f"rule {quoted(rule.name)} ({where})"


def too_often_or_seldom(rule: Rule, hits: int, path: str) -> Iterable[str]:
    """What to say of a rule that was not hit as often as expected.

    Args:
        rule: the rule.
        hits: how often it was hit.
        path: its file.
    """
    expect = rule.expect
    if expect is not None and not (
        expect.least <= hits and (expect.most is None or hits <= expect.most)
    ):
        times = "1 time" if hits == 1 else f"{hits} times"
        yield f"{named(rule, path)} was hit {times}, expected {_expected(expect)}"


def quoted(text: str) -> str:
    """A peer's text between quotes, on one line, with nothing in it that moves a cursor."""
    return f"'{one_line(text)}'"


def _expected(expect: Expect) -> str:
    if expect.most is None:
        return f"at least {expect.least}"
    if expect.least == expect.most:
        return str(expect.most)
    return f"{expect.least} to {expect.most}" if expect.least else f"at most {expect.most}"


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
