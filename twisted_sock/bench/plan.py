"""What a load generator is to do: its knobs, as `settings` has those of the service."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twisted_sock.errors import SettingError
from twisted_sock.settings import Checked, knob

#: Lines in flight on each connection, if nothing is said: in a closed and in an open loop.
DEPTHS = (1, 1000)


#: The highest depth, and the most seconds of anything.
DEEPEST = 1_000_000
LONGEST = 1e9

#: The slowest and the fastest open loop, in lines a second.
SLOWEST, FASTEST = 1e-6, 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Checked):
    """A load: how many lines are said at once, how fast, and for how long.

    Raises:
        SettingError: a value is negative, too high or not a number, or the load has no end.
    """

    connections: int = knob(50, "connections")
    depth: int = knob(
        0,
        "lines in flight on each connection; 0 = 1, or in an open loop up to 1000",
    )
    rate: float = knob(
        0.0, "open loop: so many lines a second over all connections; 0 = closed loop"
    )
    duration: float = knob(10.0, "how long lines are said; 0 = until --count", "seconds")
    count: int = knob(0, "lines to say; 0 = until --duration is over")
    warmup: float = knob(0.0, "the same load before, for so long, not measured", "seconds")
    timeout: float = knob(
        10.0, "give up a connection that is not made, or answers nothing, for so long", "seconds"
    )
    delimiter: str = knob("lf", "what lines end in: lf or crlf", choices=("lf", "crlf"))
    max_line: int = knob(65536, "longest line and answer, without its delimiter", "bytes")

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        for name in ("connections", "timeout", "max_line"):
            if not getattr(self, name):
                raise SettingError(f"{name}: more than 0, not 0")
        for name, highest in (
            ("depth", DEEPEST),
            ("duration", LONGEST),
            ("warmup", LONGEST),
            ("timeout", LONGEST),
        ):
            if getattr(self, name) > highest:
                raise SettingError(f"{name}: {highest:,.0f} at most")
        if self.rate and not SLOWEST <= self.rate <= FASTEST:
            raise SettingError(f"rate: 0, or from {SLOWEST:g} to {FASTEST:g}, not {self.rate:g}")
        if not (self.duration or self.count):
            raise SettingError("duration: more than 0 seconds, where there is no --count")

    @property
    def most(self) -> int:
        """Lines in flight on one connection, at most."""
        depth = self.depth or DEPTHS[self.rate > 0]
        return min(depth, self.count) if self.count else depth

    def lines_in(self, seconds: float) -> int:
        """How many lines are due in so long, in an open loop."""
        return math.ceil(round(self.rate * seconds, 6))
