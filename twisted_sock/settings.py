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

#: The address that is listened on unless another is asked for: nobody from outside gets in.
LOOPBACK = "127.0.0.1"

UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Setting:
    """One knob, as the command line and the docs see it.

    Args:
        name: the field's name.
        default: its default, of type `str`, `int` or `float`.
        help: what it does.
        unit: "bytes", "seconds", or empty.
        choices: the words allowed; empty for a number or a free text.
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
        if isinstance(self.default, str):
            return "WORD" if self.choices else "TEXT"
        return self.unit.upper() or "N"

    @property
    def shown(self) -> str:
        """The default as a person would write it."""
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    def parse(self, text: str) -> str | int | float:
        """The value that `text` from a command line stands for.

        Raises:
            SettingError: it stands for none.
        """
        if isinstance(self.default, str):
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
        if isinstance(self.default, str):
            return isinstance(value, str) and value.isprintable()
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(self.default, int) and not isinstance(value, int):
            return False
        return value >= 0 and (isinstance(value, int) or math.isfinite(value))

    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, str):
            return "a text in one line"
        kind = "a number" if isinstance(self.default, float) else "a whole number"
        return f"{kind} of {self.unit}, 0 or more" if self.unit else f"{kind}, 0 or more"


def knob(default: Any, help: str, unit: str = "", choices: tuple[str, ...] = ()) -> Any:
    """A field of a `Checked` dataclass.

    Args:
        default: its value when nothing is said; its type is that of all values.
        help: what it does, for `--help`.
        unit: of a number, in words; "bytes" may be written with k, m or g behind.
        choices: the words it may be; empty for a number or a free text.
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
    foreign: str = knob(
        "close",
        "a stream that begins with an HTTP request or a TLS greeting: close it, or deliver it "
        "as lines",
        choices=("close", "deliver"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Checked):
    """What one peer, and all of them together, may cost. 0 switches a limit off.

    Raises:
        SettingError: a value is negative or not a number.
    """

    window: int = knob(1, "lines of one connection in work at once; 1: one after another")
    max_connections: int = knob(10000, "connections at once, UDP apart; one more is told busy")
    max_per_peer: int = knob(0, "connections at once from one address; one more is told busy")
    handshake_timeout: float = knob(
        5.0,
        "drop a connection whose TLS handshake, PROXY header or HTTP request is not there after "
        "so long",
        "seconds",
    )
    max_handshakes: int = knob(
        1000, "connections that are still at that; one more drops the oldest of them"
    )
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
class Web(Checked):
    """What the endpoints `ws:` and `wss:` allow: WebSocket, `POST /line` and the page.

    Raises:
        SettingError: a value is negative or not among its choices.
    """

    origins: str = knob(
        "",
        "web pages that may use it besides its own, with commas: https://a.example; * = all",
    )
    hosts: str = knob(
        "",
        "names that it is called by, with commas; localhost and IP addresses always work; * = any",
    )
    page: str = knob("on", "the console for browsers at /", choices=("on", "off"))
    binary: str = knob(
        "refuse", "a binary message: refuse it, or take it for text", choices=("refuse", "text")
    )
    deflate: str = knob(
        "off", "compressed messages (costs memory and time)", choices=("off", "on")
    )
    max_message: int = knob(
        0,
        "longest WebSocket message; 0 = twice --max-line, and at least 128 KiB; no limit if that "
        "has none",
        "bytes",
    )
    max_body: int = knob(1 << 20, "longest body of a POST", "bytes")
    max_head: int = knob(16384, "longest head of an HTTP request", "bytes")
    ping_after: float = knob(20.0, "ping a WebSocket that was silent so long", "seconds")
    ping_timeout: float = knob(
        20.0, "cut off a WebSocket that does not answer it after so long", "seconds"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagrams(Checked):
    """What the endpoint `udp:` allows.

    Raises:
        SettingError: a value is negative or not among its choices.
    """

    max_datagram: int = knob(1472, "longest datagram, either way", "bytes")
    max_udp_peers: int = knob(
        1000, "peers with a conversation at once; one more ends the one silent longest"
    )
    udp_timeout: float = knob(60.0, "a peer's conversation ends after such a silence", "seconds")
    udp_answers: str = knob(
        "smaller",
        "smaller: never more bytes than were asked with, so that nobody can use us against "
        "others; any: whatever there is to say",
        choices=("smaller", "any"),
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
