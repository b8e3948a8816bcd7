"""Which faults happen when: counted in each conversation, and drawn from the seed.

What is drawn depends on the seed, the fault, the conversation's number and how often the fault
was considered in it, and on nothing else. So each conversation goes the same way again, whatever
others do meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_sock.interfaces import Peer
from twisted_sock.script.fault_rules import Fired, Known, Said, Site
from twisted_sock.script.model import SIDES, Fault, Firing

#: Firings that are remembered.
KEPT = 1000

#: Counts of a conversation from which on those of faults that are gone are forgotten.
MANY = 100

#: What is there when nothing has fired.
NOTHING: tuple[Fired, ...] = ()


class Book:
    """The faults of all conversations, and what came of them.

    Args:
        faults: those of the script.
        seed: what is random is drawn from it.
        clock: tells the time.

    Attributes:
        fired: by name, how often each has fired.
        firings: the last of these.
        sides: what is for the lines of each of `SIDES`.

    Raises:
        ScriptError: a fault cannot be used.
    """

    log = Logger()

    def __init__(self, faults: Iterable[Fault], seed: int, clock: IReactorTime) -> None:
        self._clock = clock
        self._seed = seed
        self._script = {fault.name: Known(fault) for fault in faults}
        self._injected: dict[str, Known] = {}
        self.fired: dict[str, int] = {}
        self.firings: deque[Firing] = deque(maxlen=KEPT)
        self.sides: dict[str, list[Known]] = {}
        self._sort()

    @property
    def empty(self) -> bool:
        """Whether nothing can happen to lines."""
        return not any(self.sides.values())

    # What happens.

    def refuses(self, peer: Peer) -> bool:
        """Whether a connection that comes now is to be dropped."""
        for known in self._all():
            if known.left <= 0 or known.spent or not known.knows(peer.host):
                continue
            known.seen += 1
            if known.waits or self.happens(known, 0, known.seen):
                known.left -= 1
                self.fire(known, peer, 0)
                return True
        return False

    def happens(self, known: Known, conversation: int, count: int) -> bool:
        """Whether luck will have it."""
        likely = known.fault.probability
        return likely >= 1 or self.draw(known, conversation, count, "whether") < likely

    def draw(self, known: Known, conversation: int, count: int, what: str) -> float:
        """A number from 0 up to 1."""
        named = repr((self._seed, known.fault.name, conversation, count, what))
        digest = blake2b(named.encode(), digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / (1 << 53)

    def fire(self, known: Known, peer: Peer, number: int) -> None:
        """Note that a fault happens.

        Args:
            known: the fault.
            peer: whose conversation.
            number: which line of it; 0 for none.
        """
        fault = known.fault
        known.fired += 1
        self.fired[fault.name] += 1
        named = str(peer)
        self.firings.append(Firing(fault.name, fault.do, named, number, self._clock.seconds()))
        self.log.info(
            "{name} ({do}) fired: {peer}, line {number}",
            name=fault.name, do=fault.do, peer=named, number=number,
        )  # fmt: skip

    def tell_impossible(self, known: Known) -> None:
        """Note that a fault cannot be done where it should."""
        if not known.told:
            known.told = True
            self.log.warn(
                "{name} ({do}) cannot be done on this transport",
                name=known.fault.name, do=known.fault.do,
            )  # fmt: skip

    def missed(self) -> list[str]:
        """What could not be matched as the script says, one sentence each."""
        return [
            f"{each.fault.name}: its regular expression took too long {each.runaways} times"
            for each in self._all()
            if each.runaways
        ]

    # What is changed.

    def load(self, faults: Iterable[Fault], seed: int | None = None) -> None:
        """Have other faults in the script; those that are the same go on, as do those injected."""
        fresh = {fault.name: Known(fault) for fault in faults}
        for name, known in fresh.items():
            old = self._script.get(name)
            if old is not None:
                if old.fault == known.fault:
                    fresh[name] = old
                known.fired = old.fired
        self._script = fresh
        self._seed = self._seed if seed is None else seed
        self._sort()

    def inject(self, fault: Fault) -> None:
        """Have one more; it replaces one that was injected under its name."""
        self._injected[fault.name] = Known(fault)
        self._sort()

    def remove(self, name: str) -> bool:
        """Have one less, injected or not; returns whether there was one."""
        there = [each.pop(name, None) for each in (self._injected, self._script)]
        self._sort()
        return any(each is not None for each in there)

    def reset(self) -> None:
        """Forget what has fired, and begin to count and to draw anew."""
        self.firings.clear()
        self._script = {name: Known(known.fault) for name, known in self._script.items()}
        self._injected = {name: Known(known.fault) for name, known in self._injected.items()}
        self._sort()

    def _all(self) -> list[Known]:
        return [*self._script.values(), *self._injected.values()]

    def _sort(self) -> None:
        known = self._all()
        self.fired = dict.fromkeys((each.fault.name for each in known), 0)
        for each in known:  # one that was injected may have the name of another
            self.fired[each.fault.name] += each.fired
        self.sides = {
            side: [each for each in known if each.waits and each.fault.on == side]
            for side in SIDES
        }


class Chances:
    """What can happen in one conversation.

    Args:
        book: the faults of all conversations.
        number: which conversation this is.
        peer: who is at the other end.
    """

    __slots__ = ("_book", "_counts", "_host", "_number", "_peer")

    def __init__(self, book: Book, number: int, peer: Peer) -> None:
        self._book = book
        self._number = number
        self._peer = peer
        self._host = peer.host
        self._counts: dict[Known, int] = {}

    def none(self, side: str) -> bool:
        """Whether nothing can happen to the lines of one of `SIDES`."""
        return not self._book.sides[side]

    def take(self, side: str, said: Said, site: Site) -> Sequence[Fired]:
        """What happens to a line; it is noted.

        Args:
            side: one of `SIDES`.
            said: the line.
            site: where faults are done.
        """
        fired = [
            one
            for known in self._book.sides[side]
            if known.is_for(said, self._host)
            and (one := self._consider(known, said.number, site)) is not None
        ]
        if len(self._counts) > MANY:
            self._forget()
        return fired

    def _consider(self, known: Known, number: int, site: Site) -> Fired | None:
        """See whether a fault happens to a line that it is for."""
        book, fault = self._book, known.fault
        count = self._counts[known] = self._counts.get(known, 0) + 1
        if known.spent or not known.is_due(count):
            return None
        if not book.happens(known, self._number, count):
            return None
        if fault.do == "refuse":
            known.left += fault.connections or 1
            return None
        if not site.can(fault.do):
            book.tell_impossible(known)
            return None
        if not site.wants(fault.do):
            return None
        book.fire(known, self._peer, number)
        later = fault.jitter and fault.jitter * book.draw(known, self._number, count, "jitter")
        draw = book.draw(known, self._number, count, "where") if fault.do == "corrupt" else 0.0
        return Fired(fault, fault.seconds + later, draw)

    def _forget(self) -> None:
        there = {known for few in self._book.sides.values() for known in few}
        self._counts = {known: n for known, n in self._counts.items() if known in there}
