"""What goes wrong, counted and logged, without filling the disk.

A peer can cause problems, and a fault in the user's code can raise, with every line. Counters
take all of them; the log does not. Problems of peers are logged a few a second. Failures of the
user's code get an id, which the peer is told, and a traceback in the log under that id; each
*place* in the code is logged at most once in a while, and in between its failures share the id
of the traceback that is in the log.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.display import show
from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import Peer
from twisted_sock.metrics import Counters

PROBLEMS = 20  # logged a second
QUIET = 10.0  # seconds before a place in the user's code is logged again
PLACES = 100  # of them remembered at once

Place = tuple[type[BaseException], str, int]


@dataclass(slots=True)
class _Logged:
    id: str
    at: float
    untold: int = 0


class ShownFailure(Failure):
    """A failure whose traceback is safe to show: its message may hold what a peer has said."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value, failure.type, failure.getTracebackObject())  # type: ignore[no-untyped-call]

    def getTraceback(self, elideFrameworkCode: int = 0, detail: str = "default") -> str:
        """The traceback, with everything escaped that could disturb a terminal."""
        text = super().getTraceback(elideFrameworkCode, detail)
        return "\n".join(show(line) for line in text.split("\n"))


class Incidents:
    """Counts and logs what goes wrong in the conversations of one factory.

    Args:
        clock: tells the time.
        counters: what is added to.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._second = 0.0
        self._logged = 0
        self._untold = 0
        self._places: OrderedDict[Place, _Logged] = OrderedDict()

    def problem(self, problem: Problem, peer: Peer, known: bool) -> None:
        """A peer has a problem.

        Args:
            problem: which.
            peer: who.
            known: whether its like is in the log for this peer: then it is only counted.
        """
        self._counters.problems[problem.reason] += 1
        if known or not self._may_log():
            return
        self.log.info("{peer}: {problem}", peer=str(peer), problem=str(problem))

    def failure(self, failure: Failure, peer: Peer) -> str:
        """The user's code failed.

        Returns:
            The id under which the traceback, or that of its like, is in the log.
        """
        self._counters.problems[Reason.INTERNAL] += 1
        place = _place(failure)
        now = self._clock.seconds()
        last = self._places.get(place)
        if last and now - last.at < QUIET:
            last.untold += 1
            return last.id
        logged = _Logged(secrets.token_hex(4), now)
        self.log.failure(
            "internal {id}: the line protocol failed for {peer} ({untold} like it not logged)",
            failure=ShownFailure(failure),
            id=logged.id,
            peer=str(peer),
            untold=last.untold if last else 0,
        )
        self._places[place] = logged
        self._places.move_to_end(place)
        if len(self._places) > PLACES:
            self._places.popitem(last=False)
        return logged.id

    def _may_log(self) -> bool:
        """Whether this second has room for one more problem; a new second tells of the last."""
        now = self._clock.seconds()
        if now - self._second >= 1:
            if self._untold:
                self.log.info("{untold} more problems of peers, not logged", untold=self._untold)
            self._second, self._logged, self._untold = now, 0, 0
        self._logged += 1
        if self._logged <= PROBLEMS:
            return True
        self._untold += 1
        return False


def _place(failure: Failure) -> Place:
    """Where a failure was raised: exception type, file and line."""
    error = failure.value
    assert error is not None
    kind = type(error)
    traceback = error.__traceback__
    if traceback is None:
        return kind, "", 0
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return kind, traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
