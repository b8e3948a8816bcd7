"""Exchanges made into the rules of a script; see `twisted_sock.script.recording`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median

from twisted_sock.script.agreeing import Beginning, Book, Turns, book_of, courses_of, filled
from twisted_sock.script.exchanges import PAUSE, Exchange, untangled
from twisted_sock.script.model import Push, Rule, Script
from twisted_sock.script.phrasing import CANNOT, match, said

#: Seconds that are too short to be told from none.
AT_ONCE = 0.01

#: Seconds by which delays may differ and still be taken for the same.
NEAR = 0.1

#: The state that conversations begin in, when they go different ways.
START = "new"


def compose(
    conversations: Sequence[Sequence[Exchange]], title: str = "", timing: bool = True
) -> tuple[Script, list[str]]:
    """The script of some conversations.

    Args:
        conversations: the exchanges of each, the first with what was said before the client.
        title: what it is about.
        timing: whether it is to wait as the server did.

    Returns:
        The script, and remarks on what it cannot say.
    """
    talks = [list(talk) for talk in conversations if len(talk) > 1 or talk[0].answers]
    greeting, late, remarks = _greeting(talks, timing)
    spoken = [untangled(talk[1:]) for talk in talks if len(talk) > 1]
    if any(CANNOT in answer for talk in talks for each in talk for answer in each.answers):
        remarks.append("a newline inside of an answer is written as something else")
    courses = courses_of([book_of(talk) for talk in spoken])
    if len(courses) <= 1:
        rules = _sorted(_rules(courses[0][0].book, "", timing) if courses else [])
        start = ""
    else:
        rules, start = _apart(spoken, timing), START
    named = tuple(replace(rule, name=f"rule {number}") for number, rule in enumerate(rules, 1))
    script = Script(title=title, start=start, greeting=greeting, push=late, rules=named)
    return script, remarks


# The beginning.


def _greeting(
    talks: list[list[Exchange]], timing: bool
) -> tuple[tuple[str, ...], tuple[Push, ...], list[str]]:
    """What is said before the client says anything; makes the other conversations fit."""
    if not talks:
        return (), (), []
    first = talks[0][0]
    count = _of_one_piece(first) if timing else len(first.answers)
    greeting = first.answers[:count]
    differ = sum(not _begin_with(talk, first.answers) for talk in talks[1:])
    remarks = [f"{differ} conversations began otherwise than the first"] if differ else []
    pushes = tuple(
        Push(said(line), after=_seconds(at - first.at))
        for line, at in zip(first.answers[count:], first.times[count:], strict=True)
    )
    return tuple(map(said, greeting)), pushes, remarks


def _begin_with(talk: list[Exchange], greeting: list[str]) -> bool:
    """Take the greeting away from the beginning of a conversation, if it is there.

    A client that does not wait for it may have said something before it came.
    """
    before = talk[0]
    missing = greeting[len(before.answers) :]
    if before.answers != greeting[: len(before.answers)]:
        return False
    if missing and len(talk) > 1:
        after = talk[1]
        if after.answers[: len(missing)] != missing:
            return False
        size = len(missing)
        talk[1] = replace(after, answers=after.answers[size:], times=after.times[size:])
    return True


# Conversations that do not agree.


def _apart(talks: list[list[Exchange]], timing: bool) -> list[Rule]:
    """The rules of conversations that do not agree.

    The first line of a conversation decides which it is: the first that begins with it is the
    first recorded one, and so on; those that come after the last are like the last.
    """
    courses = courses_of([book_of(talk[1:]) for talk in talks])
    state_of = {
        number: f"conversation {place}"
        for place, (_, numbers) in enumerate(courses, 1)
        for number in numbers
    }
    begun: dict[str | None, list[Beginning]] = {}
    for number, talk in enumerate(talks):
        begun.setdefault(talk[0].line, []).append((talk[0], state_of[number]))
    rules = [rule for entries in begun.values() for rule in _entries(entries, timing)]
    for place, (course, _) in enumerate(courses, 1):
        rules += _rules(course.book, f"conversation {place}", timing)
    return _sorted(rules)


def _entries(begun: list[Beginning], timing: bool) -> list[Rule]:
    """The rules for the first lines of conversations that begin alike."""
    rules: list[Rule] = []
    runs = [
        list(run) for _, run in groupby(filled(begun), lambda entry: (entry[0].heard, entry[1]))
    ]
    # That one client heard nothing until it left is no reason to be silent ever after.
    answered = [run for run in runs if run[0][0].answers or not run[0][0].open]
    if answered and answered[-1] is not runs[-1]:
        runs.append(answered[-1][:])
    for run in runs:
        exchange, state = run[0]
        [rule] = _rules({exchange.line or "": [exchange]}, START, timing)
        last = run is runs[-1]
        rules.append(replace(rule, then=state, total=0 if last else len(run)))
    return rules


# The rules of conversations that agree.


def _rules(book: Book, state: str, timing: bool) -> list[Rule]:
    return [rule for line, turns in book.items() for rule in _rules_of(line, turns, state, timing)]


def _rules_of(line: str, turns: Turns, state: str, timing: bool) -> Iterator[Rule]:
    """The rules of one line: one, unless it was sometimes answered in another manner."""
    matched = match(line, state)
    runs = _runs(turns, timing)
    for run in runs:
        answers = [tuple(map(said, each.answers[: run.count(each)])) for each in run.turns]
        yield Rule(
            name="",
            line=0,
            match=matched,
            replies=_sequence(answers),
            delay=run.usual_delay(),
            push=run.late,
            close=run.closed,
            times=0 if run is runs[-1] else len(run.turns),
        )


@dataclass(slots=True)
class Run:
    """Turns of a line that one rule can say.

    Args:
        turns: these.
        delay: seconds until the first answer.
        late: what came after a pause.
        closed: whether the conversation was ended.
        timing: whether pauses count.
    """

    turns: Turns
    delay: float
    late: tuple[Push, ...]
    closed: bool
    timing: bool

    def count(self, exchange: Exchange) -> int:
        """How many lines of an answer were said at once."""
        return _of_one_piece(exchange) if self.timing else len(exchange.answers)

    def usual_delay(self) -> float:
        """Seconds until an answer, as they mostly were."""
        if not self.timing:
            return 0.0
        delays = [each.times[0] - each.at for each in self.turns if each.times]
        return _seconds(median(delays)) if delays else 0.0

    def goes_on_with(self, other: Run) -> bool:
        """Whether the next turn can be said by the same rule."""
        near = abs(self.delay - other.delay) <= max(NEAR, self.delay / 2)
        return near and not (self.late or other.late or self.closed or other.closed)


def _runs(turns: Turns, timing: bool) -> list[Run]:
    runs: list[Run] = []
    for exchange in turns:
        run = _run(exchange, timing)
        if runs and runs[-1].goes_on_with(run):
            runs[-1].turns.append(exchange)
        else:
            runs.append(run)
    return runs


def _run(exchange: Exchange, timing: bool) -> Run:
    if not timing or not exchange.answers:
        return Run([exchange], 0.0, (), exchange.closed, timing)
    count = _of_one_piece(exchange)
    begun = exchange.times[0]
    late = tuple(
        Push(said(line), after=_seconds(at - begun))
        for line, at in zip(exchange.answers[count:], exchange.times[count:], strict=True)
    )
    return Run([exchange], _seconds(begun - exchange.at), late, exchange.closed, timing)


def _of_one_piece(exchange: Exchange) -> int:
    """How many lines the server said without a pause."""
    times = exchange.times
    for number in range(1, len(times)):
        if times[number] - times[number - 1] > PAUSE:
            return number
    return len(times)


def _sequence(answers: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Answers as the replies of a rule: the last repeats."""
    while len(answers) > 1 and answers[-1] == answers[-2]:
        answers.pop()
    return tuple(answers) if answers != [()] else ()


def _sorted(rules: list[Rule]) -> list[Rule]:
    """What is said to one line only comes before what is said to many."""
    return sorted(rules, key=_breadth)


def _breadth(rule: Rule) -> tuple[bool, int]:
    match = rule.match
    if match.exact is not None:
        return False, 0
    return True, -len(match.prefix or match.regex or "")


# Small things.


def _seconds(seconds: float) -> float:
    return 0.0 if seconds < AT_ONCE else round(seconds, 3)
