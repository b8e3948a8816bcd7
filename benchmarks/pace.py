"""How many lines to send: as many as cost the server some CPU time, whatever its speed.

The same number for all would either keep a slow server busy for half a minute or a fast one for
a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.plan import Plan

#: Sends so many lines; gives the CPU time that they cost the server, in seconds.
Cost = Callable[[int], float]

FIRST = 1000
STEP = 5


class Pace:
    """The numbers of lines of one section.

    Args:
        plan: of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._found: dict[tuple[str, str], int] = {}

    def lines(self, server: str, case: str, batch: int, cost: Cost) -> int:
        """How many lines more than one batch cost `plan.cpu` seconds.

        Found by trying when a server has a case for the first time.

        Args:
            server: its name.
            case: its name.
            batch: lines that are sent in any case; the answer is a whole number of batches.
            cost: tries.
        """
        if (server, case) not in self._found:
            self._found[server, case] = self._find(batch, cost)
        return self._found[server, case]

    def _find(self, batch: int, cost: Cost) -> int:
        lines = max(batch, FIRST // batch * batch)
        most = max(batch, self._plan.most_lines // batch * batch)
        brief = cost(batch) if lines < most else 0.0
        while lines < most:
            spent = cost(batch + lines) - brief
            if spent >= self._plan.cpu / STEP:
                wanted = int(lines * self._plan.cpu / spent)
                return max(batch, min(most, wanted) // batch * batch)
            lines *= STEP
        return most
