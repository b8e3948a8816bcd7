"""Plain counters. One set is shared by all connections of a factory and added to per chunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """What has happened since the start.

    Attributes:
        opened: connections accepted.
        current: connections open now.
        lines_in: lines delivered by peers, the good ones.
        lines_out: lines handed to the transport.
        bytes_in: bytes read.
        bytes_out: bytes handed to the transport.
        late_lines: lines sent after the conversation was over; they went nowhere.
        problems: how often each thing went wrong with a peer, by reason code.
        closed: how connections ended, by reason code.
    """

    opened: int = 0
    current: int = 0
    lines_in: int = 0
    lines_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    late_lines: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
