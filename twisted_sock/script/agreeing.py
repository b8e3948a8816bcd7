"""Which conversations agree: the same line was always answered the same, or the next in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from twisted_sock.script.exchanges import Exchange

#: With how many of the last courses a conversation is compared before it takes one of its own.
MOST_TRIED = 50

_known = attrgetter("known")

#: What was said to one line, the first time, the second, and so on.
Turns = list[Exchange]

#: What was said to the first line of a conversation, and the state in which it goes on.
Beginning = tuple[Exchange, str]

#: What was said to each line, in the order in which they were first said.
Book = dict[str, Turns]


@dataclass(slots=True)
class Course:
    """Conversations that agree: the same line was always answered the same, or the next in turn.

    Args:
        book: what was said in all of them together.
    """

    book: Book

    def agrees(self, other: Book) -> bool:
        """Whether one more conversation agrees with these."""
        book = self.book
        return all(_agree(book[line], turns) for line, turns in other.items() if line in book)

    def agrees_exactly(self, other: Book) -> bool:
        """Whether it does, also where a client has left in the midst."""
        book = self.book
        return all(
            one.heard == another.heard
            for line, turns in other.items()
            for one, another in zip(book.get(line, []), turns, strict=False)
        )

    def add(self, other: Book) -> None:
        """Put one more conversation to these."""
        for line, turns in other.items():
            known = self.book.get(line, [])
            longer, shorter = sorted((turns, known), key=len, reverse=True)
            self.book[line] = [
                max(pair, key=_known) for pair in zip(longer, shorter, strict=False)
            ] + longer[len(shorter) :]


def book_of(talk: Sequence[Exchange]) -> Book:
    """What was said to each line of a conversation, without what was said before the first."""
    book: Book = {}
    for exchange in talk:
        assert exchange.line is not None
        book.setdefault(exchange.line, []).append(exchange)
    return book


def _agree(some: Turns, others: Turns) -> bool:
    return all(_alike(one, other) for one, other in zip(some, others, strict=False))


def _alike(one: Exchange, other: Exchange) -> bool:
    """Whether two answers are the same, or one is the beginning of the other."""
    less, more = sorted((one, other), key=_known)
    return less.can_be(more)


def courses_of(books: list[Book]) -> list[tuple[Course, list[int]]]:
    """Put conversations together that agree; each with the numbers of its conversations.

    One whose client has left in the midst goes with those that were like it until then, first of
    all with one that then ended as it did.
    """
    courses: list[tuple[Course, list[int]]] = []
    for number, book in enumerate(books):
        agreeing = [each for each in courses[-MOST_TRIED:] if each[0].agrees(book)]
        exact = (each for each in agreeing if each[0].agrees_exactly(book))
        found = next(exact, agreeing[0] if agreeing else None)
        if found is None:
            courses.append((Course(dict(book)), [number]))
        else:
            found[0].add(book)
            found[1].append(number)
    return courses


def filled(begun: Sequence[Beginning]) -> list[Beginning]:
    """Beginnings with the same line; a client that left is taken for one that went on there.

    First of all for one that heard the same, and rather for the one before it than for another.
    """
    full = _full(begun)
    result: list[Beginning] = []
    for beginning in begun:
        fuller = [each for each in (*result[-1:], *full) if _is_part(beginning, each)]
        same = [each for each in fuller if each[0].heard == beginning[0].heard]
        result.append(next(iter(same or fuller), beginning))
    return result


def _full(begun: Sequence[Beginning]) -> list[Beginning]:
    """The last different ones, without those that are part of others."""
    kinds: dict[object, Beginning] = {}
    for exchange, state in begun:
        kind = exchange.heard, exchange.open, state
        known = kinds.get(kind)
        if known is None or known[0].known < exchange.known:
            kinds[kind] = exchange, state
    last = list(kinds.values())[-MOST_TRIED:]
    return [each for each in last if not any(_is_part(each, other) for other in last)]


def _is_part(one: Beginning, other: Beginning) -> bool:
    """Whether a client left that may have heard as much as another, of which more is known."""
    less, more = one[0], other[0]
    return less.open and less.known < more.known and less.can_be(more)
