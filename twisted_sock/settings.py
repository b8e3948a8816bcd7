"""Every knob, once: the line policy, the limits, and how a client retries and asks.

Frozen dataclasses are the only source of names, defaults, ranges and help. The command
line's flags, their help and the table in the README are made from them, so they cannot disagree.

    LinePolicy(max_line=4096, overlong="close")
    Limits(window=8, idle_timeout=60)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from twisted_sock.errors import SettingError

UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Setting:
    """One knob, as the command line and the docs see it.

    Args:
        name: the field's name.
        default: its default, of type `str`, `int` or `float`.
        help: what it does.
        unit: "bytes", "seconds", or empty.
        choices: the words allowed; empty for a number.
    """

    name: str
    default: str | int | float
    help: str
    unit: str
    choices: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The name on the command line, without the leading dashes."""
        return self.name.replace("_", "-")

    @property
    def meta(self) -> str:
        """What stands for a value in the help."""
        return "WORD" if self.choices else self.unit.upper() or "N"

    @property
    def shown(self) -> str:
        """The default as a person would write it."""
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    def parse(self, text: str) -> str | int | float:
        """The value that `text` from a command line stands for.

        Raises:
            SettingError: it stands for none.
        """
        if self.choices:
            return text
        try:
            if isinstance(self.default, float):
                return float(text)
            scale = UNITS.get(text[-1:].lower(), 1) if self.unit == "bytes" else 1
            return int(text[:-1] if scale > 1 else text) * scale
        except ValueError:
            raise SettingError(f"{self.name}: {self.expected()}, not {text!r}") from None

    def check(self, value: object) -> None:
        """See that a value can be used.

        Raises:
            SettingError: it cannot.
        """
        if not self._allows(value):
            raise SettingError(f"{self.name}: {self.expected()}, not {value!r}")

    def _allows(self, value: object) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(self.default, int) and not isinstance(value, int):
            return False
        return value >= 0 and (isinstance(value, int) or math.isfinite(value))

    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = "a number" if isinstance(self.default, float) else "a whole number"
        return f"{kind} of {self.unit}, 0 or more" if self.unit else f"{kind}, 0 or more"


def knob(default: Any, help: str, unit: str = "", choices: tuple[str, ...] = ()) -> Any:
    """A field of a `Checked` dataclass.

    Args:
        default: its value when nothing is said; its type is that of all values.
        help: what it does, for `--help`.
        unit: of a number, in words; "bytes" may be written with k, m or g behind.
        choices: the words it may be; empty for a number.
    """
    return dataclasses.field(
        default=default, metadata={"help": help, "unit": unit, "choices": choices}
    )


class Checked:
    """Checks every field against its own description when an instance is made."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)):
            setting.check(getattr(self, setting.name))


def settings_of(cls: type[Checked]) -> Iterator[Setting]:
    """The knobs of one of the dataclasses below, in their order."""
    for field in dataclasses.fields(cls):
        meta = field.metadata
        default = cast("str | int | float", field.default)
        yield Setting(field.name, default, meta["help"], meta["unit"], meta["choices"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePolicy(Checked):
    """What a line is, and what becomes of one that is not as it should be.

    The same on every transport. Lengths are bytes of UTF-8, without the delimiter.

    Raises:
        SettingError: a value is not among its choices, or is negative.
    """

    framing: str = knob(
        "lines",
        "lines: a delimiter ends a line; chunk: whatever one read gives is a message",
        choices=("lines", "chunk"),
    )
    delimiter: str = knob(
        "lenient",
        "lenient: LF or CRLF, answered with what the peer sent last; lf or crlf: only this",
        choices=("lenient", "lf", "crlf"),
    )
    max_line: int = knob(65536, "longest line, without its delimiter; 0 = no limit", "bytes")
    overlong: str = knob(
        "report",
        "a longer line: report: throw it away and tell the peer; close: tell and close; "
        "truncate: deliver its beginning",
        choices=("report", "close", "truncate"),
    )
    invalid: str = knob(
        "report",
        "a line that is not UTF-8: report: throw it away and tell the peer; close: tell and "
        "close; replace: deliver it with U+FFFD",
        choices=("report", "close", "replace"),
    )
    eof_tail: str = knob(
        "deliver",
        "a last line without a delimiter: deliver it or drop it",
        choices=("deliver", "drop"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Checked):
    """What one peer, and all of them together, may cost. 0 switches a limit off.

    Raises:
        SettingError: a value is negative or not a number.
    """

    window: int = knob(1, "lines of one connection in work at once; 1: one after another")
    max_connections: int = knob(10000, "connections at once; one more is told busy")
    max_per_peer: int = knob(0, "connections at once from one address; one more is told busy")
    idle_timeout: float = knob(
        600.0, "close after nothing was sent or received for so long", "seconds"
    )
    line_timeout: float = knob(
        30.0, "close when a line that was begun is not ended for so long", "seconds"
    )
    reply_timeout: float = knob(
        0.0, "give up a reply after so long, tell the peer, and go on", "seconds"
    )
    high_water: int = knob(
        1 << 20, "unsent output of one connection past which it is not read", "bytes"
    )
    stall_timeout: float = knob(
        10.0, "cut off a peer that takes none of its output for so long", "seconds"
    )
    close_grace: float = knob(
        3.0, "when closing, cut off a peer that takes nothing for so long", "seconds"
    )
    drain_timeout: float = knob(
        10.0, "when stopping, cut off what is not finished after so long", "seconds"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Checked):
    """When a client connects again. Every wait is drawn between nothing and a ceiling.

    Raises:
        SettingError: a value is negative or not a number, `first_delay` is 0, or `factor` is
            under 1: such a client would never rest.
    """

    first_delay: float = knob(1.0, "the ceiling of the first wait", "seconds")
    max_delay: float = knob(60.0, "the highest ceiling; no wait is longer", "seconds")
    factor: float = knob(2.0, "the ceiling grows by this with every failure")
    healthy_after: float = knob(
        30.0, "back to the first ceiling after a connection that was of use so long", "seconds"
    )
    give_up_attempts: int = knob(0, "give up after so many failures in a row; 0 = never")
    give_up_after: float = knob(
        0.0,
        "begin no attempt later than this after the first failure; 0 = never give up",
        "seconds",
    )

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if not self.first_delay:
            raise SettingError("first_delay: more than 0 seconds, or it never rests")
        if self.factor < 1:
            raise SettingError(f"factor: 1 or more, not {self.factor!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests(Checked):
    """How a client asks. 0 switches a limit off.

    Raises:
        SettingError: a value is negative, not a number, or not among its choices.
    """

    window: int = knob(64, "requests of one connection that wait for their answer at once")
    timeout: float = knob(30.0, "give up a request after so long, outbox included", "seconds")
    overdue: float = knob(
        30.0, "reconnect when an answer is still owed so long after it was given up", "seconds"
    )
    outbox: int = knob(1000, "lines kept while they cannot be sent")
    overflow: str = knob(
        "wait",
        "when the outbox is full: wait: the caller waits for a place; fail: refuse the new line; "
        "drop: drop the oldest",
        choices=("wait", "fail", "drop"),
    )
    pushes: int = knob(1000, "unasked lines kept until they are read; then the oldest go")
    prepare_timeout: float = knob(30.0, "drop a connection not prepared after so long", "seconds")
    ping_after: float = knob(30.0, "send the heartbeat after hearing nothing so long", "seconds")
    ping_timeout: float = knob(10.0, "reconnect when it is not answered after so long", "seconds")


#: What a line is to a client: the same, but half an answer is none.
CLIENT_POLICY = LinePolicy(eof_tail="drop")

#: What a server may cost a client: the same, but silence is no reason to leave.
CLIENT_LIMITS = Limits(idle_timeout=0.0)


S = TypeVar("S", bound=Checked)


def parse_settings(cls: type[S], texts: dict[str, str]) -> S:
    """One of the dataclasses above from texts, as a command line or a file has them.

    Args:
        cls: one of them.
        texts: values by field name; what is left out keeps its default.

    Raises:
        SettingError: there is no such field, or a text is not a value that it can have.
    """
    known = {setting.name: setting for setting in settings_of(cls)}
    for name in texts:
        if name not in known:
            raise SettingError(f"{name}: there is no such setting")
    return cls(**{name: known[name].parse(text) for name, text in texts.items()})
