"""Rules that only say one line, decided by the line that is answered: each is one function.

Most rules of most scripts are so, and nothing is done more often than to ask them. So a line costs
no more objects than its reply needs, and common shapes of patterns and replies have code of their
own: a regular expression that ends in its one group, `LOGIN (.*)`, is hardly ever tried.

What was captured of a line is sent as it is, unless it holds a newline, as it may where lines end
in something else: it has come as UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from random import Random

from twisted_sock.script.captured import Captured
from twisted_sock.script.matching import Matcher, parsed
from twisted_sock.script.pattern import Find, Pattern
from twisted_sock.script.regex_text import literal_prefix, tail_test
from twisted_sock.script.template import Group, Template, Values, sendable

#: Gives the reply to a line that is as `Matcher.look` wants it; None: the rule is not for it.
Answer = Callable[[str], str | None]

#: For templates that draw nothing.
NO_DRAWS = Random(0)


def answering(matcher: Matcher, template: Template) -> Answer:
    """The function that a rule is.

    Args:
        matcher: says which lines it is for.
        template: what it says; a steady one.
    """
    look, pattern, constant = matcher.look, matcher.pattern, template.constant
    if look is None:
        return _with_line(template) if constant is None else _always(constant)
    if pattern is None:
        return _with_fields(look, template) if constant is None else _if_found(look, constant)
    return _with_groups(look, pattern, template)


def never(line: str) -> None:
    """The function of a rule that does more."""


def _always(constant: str) -> Answer:
    return lambda line: constant


def _if_found(look: Find, constant: str) -> Answer:
    return lambda line: None if look(line) is None else constant


def _with_line(template: Template) -> Answer:
    """All gaps are for the whole line."""
    form, times = template.form, len(template.gaps)
    if times > 1:
        return lambda line: sendable(form % ((line,) * times))
    before, after = template.texts

    def answer(line: str) -> str:
        text = before + line + after
        return sendable(text) if "\n" in line else text

    return answer


def _with_fields(look: Find, template: Template) -> Answer:
    def answer(line: str) -> str | None:
        if look(line) is None:
            return None
        values = Values(seconds=float, random=NO_DRAWS, line=line, json=parsed(line))
        return template.render(values)

    return answer


def _with_groups(look: Find, pattern: Pattern, template: Template) -> Answer:
    """All gaps, if there are any, are for groups, or the whole line."""
    keys = [gap.key for gap in template.gaps if isinstance(gap, Group)]
    numbers = [pattern.numbers[key] if isinstance(key, str) else key for key in keys]
    answer = _slowly(look, template.form, numbers)
    if pattern.longest >= 0:
        answer = _plainly(pattern, _filling(template, numbers), answer)
    test = tail_test(pattern.text)
    if test is None or numbers != [1]:
        return answer
    return _with_tail(test, len(literal_prefix(pattern.text)), template.texts, answer)


def _slowly(look: Find, form: str, numbers: Sequence[int]) -> Answer:
    """Whatever the pattern and the line."""

    def answer(line: str) -> str | None:
        captured = look(line)
        if captured is None:
            return None
        text = form % tuple([captured[number] or "" for number in numbers])
        return sendable(text) if "\n" in line else text

    return answer


def _plainly(pattern: Pattern, fill: Callable[[Captured], str], otherwise: Answer) -> Answer:
    """With `Pattern.plainly`.

    It is `Matcher.look` that gives up a rule, as a pattern has run away from it too often. Lines
    that are answered here, or by their tail, never take long: they are answered all the same.
    """
    match, longest = pattern.plainly, pattern.longest

    def answer(line: str) -> str | None:
        if len(line) > longest or not line.isascii():
            return otherwise(line)
        captured = match(line)
        if captured is None:
            return None
        text = fill(captured)
        return sendable(text) if "\n" in line else text

    return answer


def _filling(template: Template, numbers: Sequence[int]) -> Callable[[Captured], str]:
    """Fills the gaps with groups that have all taken part."""
    if not numbers:
        (text,) = template.texts
        return lambda captured: text
    if len(numbers) == 1:
        (before, after), (one,) = template.texts, numbers
        return lambda captured: f"{before}{captured[one]}{after}"
    if len(numbers) == 2:
        (before, between, after), (one, two) = template.texts, numbers
        return lambda captured: f"{before}{captured[one]}{between}{captured[two]}{after}"
    form, some = template.form, itemgetter(*numbers)
    return lambda captured: form % some(captured)


def _with_tail(
    test: Callable[[str], bool], start: int, texts: Sequence[str], otherwise: Answer
) -> Answer:
    """The one group is all that follows a beginning that the line has (see `tail_test`)."""
    before, after = texts

    def answer(line: str) -> str | None:
        tail = line[start:]
        if tail.isascii() and test(tail):
            return before + tail + after
        return otherwise(line)

    return answer
