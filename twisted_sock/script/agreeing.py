"""Which conversations agree: the same line was always answered the same, or the next in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twisted_sock.script.exchanges import Exchange

#: With how many of the last ways a conversation is compared before it goes one of its own.
MOST_TRIED = 50

#: What was said to one line, the first time, the second, and so on.
Turns = list[Exchange]

#: What was said to each line, in the order in which they were first said.
Book = dict[str, Turns]


@dataclass(slots=True)
class Way:
    """Conversations that agree: the same line was always answered the same, or the next in turn.

    Args:
        book: what was said in all of them together.
    """

    book: Book

    def agrees(self, other: Book) -> bool:
        """Whether one more conversation agrees with these."""
        book = self.book
        return all(_agree(book[line], turns) for line, turns in other.items() if line in book)

    def add(self, other: Book) -> None:
        """Put one more conversation to these."""
        for line, turns in other.items():
            known = self.book.get(line, [])
            longer, shorter = sorted((turns, known), key=len, reverse=True)
            self.book[line] = [
                max(pair, key=lambda each: len(each.answers))
                for pair in zip(longer, shorter, strict=False)
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
    """Whether two answers are the same, or one is the beginning of the other and was not ended."""
    if len(one.answers) > len(other.answers):
        one, other = other, one
    if one.open:
        return one.answers == other.answers[: len(one.answers)]
    return one.heard == other.heard


def ways_of(books: list[Book]) -> list[tuple[Way, list[int]]]:
    """Put conversations together that agree; each with the numbers of its conversations."""
    ways: list[tuple[Way, list[int]]] = []
    for number, book in enumerate(books):
        for way, numbers in ways[-MOST_TRIED:]:
            if way.agrees(book):
                way.add(book)
                numbers.append(number)
                break
        else:
            ways.append((Way(dict(book)), [number]))
    return ways
