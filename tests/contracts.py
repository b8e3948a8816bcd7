"""The promises that every transport must keep, written once.

A promise is an async function of a *world*: a transport under test. A world opens peers; a peer
is the bare other end. `tests/transports/test_stream.py` runs them in memory on a clock,
`tests/end_to_end/test_contracts.py` over real sockets.

Not every transport can do everything. A promise *needs* abilities, and a world says which it
*can*; `promises(world)` are those that it must keep:

    pieces     a line may come in pieces, and its end may never come
    finish     the peer can finish sending and still read: half-close, or the end of a request
    invalid    what is not UTF-8 is told as a problem, and the conversation goes on
    push       lines can be sent when nothing was asked
    talk       a conversation goes on after the first answers
    flow       a peer can be slow: nothing is lost, and it costs no memory
    reset      a connection can break, and the server learns of it
    closing    the server can close, and the peer sees it
    busy       there is a limit to connections, and one too many is told so
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from twisted_sock import Limits, LineFactory, LinePolicy, LineProtocol, Reason

BIG = 4000  # bytes of a long reply


class Peer(Protocol):
    """The bare other end of a connection."""

    def send(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def reset(self) -> None: ...
    def stop_reading(self) -> None: ...
    def start_reading(self) -> None: ...
    async def lines(self, count: int) -> list[str]:
        """The next so many lines; fails if the connection ends before."""

    async def rest(self) -> list[str]:
        """Every line up to the end of the connection."""


#: What a stream of bytes can do, and what any transport can that is open both ways.
STREAM = frozenset(
    ["pieces", "finish", "invalid", "push", "talk", "flow", "reset", "closing", "busy"]
)


class World(Protocol):
    """A transport under test."""

    factory: LineFactory
    can: frozenset[str]
    tells_resets: bool  # whether a reset is told from an end (not on UNIX sockets)

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None: ...
    async def connect(self) -> Peer: ...
    async def until(self, condition: Any) -> None:
        """Wait until a condition holds."""


def needs(*abilities: str) -> Any:
    """Keep a promise from worlds that lack an ability."""

    def mark(promise: Any) -> Any:
        promise.needs = frozenset(abilities)
        return promise

    return mark


def promises(can: frozenset[str]) -> list[Any]:
    """The promises that a world must keep that can do so much."""
    return [promise for promise in PROMISES if getattr(promise, "needs", frozenset()) <= can]


async def open_peer(
    world: World, handler: Any, limits: Limits | None = None, **policy: Any
) -> Any:
    world.serve(handler, LinePolicy(**policy), limits or Limits())
    return await world.connect()


class Held(LineProtocol):
    """Answers when the test fires the Deferred of a line."""

    def __init__(self, asked: dict[str, Deferred[str]]) -> None:
        self.asked = asked

    def lineReceived(self, line: str) -> Deferred[str]:
        self.asked[line] = Deferred()
        return self.asked[line]


class Lifecycle(LineProtocol):
    """Writes down what happens."""

    seen: list[Any]

    def connectionMade(self) -> str:
        self.seen.append("made")
        return "welcome"

    def lineReceived(self, line: str) -> str | None:
        self.seen.append(line)
        if line == "close":
            self.close()
        if line == "abort":
            self.abort()
        if line == "fail":
            raise ValueError("broken on purpose")
        return f"got {line}"

    def connectionLost(self, reason: Reason) -> None:
        self.seen.append(reason)


def lifecycle() -> type[Lifecycle]:
    return type("Watched", (Lifecycle,), {"seen": []})


async def answers_every_line_in_order(world: World) -> None:
    peer = await open_peer(world, str.upper)
    peer.send("a\r\n世界\nß\n".encode())
    assert await peer.lines(3) == ["A", "世界", "SS"]


@needs("pieces")
async def does_not_care_how_bytes_are_cut(world: World) -> None:
    peer = await open_peer(world, str.upper)
    for byte in "héllo\r\n世界\n".encode():
        peer.send(bytes([byte]))
    assert await peer.lines(2) == ["HÉLLO", "世界"]


async def keeps_other_separators_inside_the_line(world: World) -> None:
    line = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b\rc"
    peer = await open_peer(world, ascii)
    peer.send(f"{line}\n".encode())
    assert await peer.lines(1) == [ascii(line)]


@needs("push", "talk")
async def greets_before_anything_is_said(world: World) -> None:
    watched = lifecycle()
    peer = await open_peer(world, watched)
    assert await peer.lines(1) == ["welcome"]
    peer.send(b"x\n")
    assert await peer.lines(1) == ["got x"]
    assert watched.seen == ["made", "x"]


@needs("invalid")
async def tells_of_problems_in_their_turn(world: World) -> None:
    peer = await open_peer(world, str.upper, max_line=5)
    peer.send(b"one\ntoolong\ntwo\nb\xffd\nthree\n")
    assert await peer.lines(5) == [
        "ONE",
        "ERR too-long a line may have at most 5 bytes",
        "TWO",
        "ERR utf8 the line is not valid UTF-8 at byte 1",
        "THREE",
    ]
    assert world.factory.counters.problems == {Reason.TOO_LONG: 1, Reason.UTF8: 1}


async def tells_of_a_line_that_is_too_long(world: World) -> None:
    peer = await open_peer(world, str.upper, max_line=5)
    peer.send(b"one\ntoolong\ntwo\n")
    assert await peer.lines(3) == ["ONE", "ERR too-long a line may have at most 5 bytes", "TWO"]
    assert world.factory.counters.problems == {Reason.TOO_LONG: 1}


@needs("closing")
async def closes_on_a_line_that_is_too_long_if_the_policy_says_so(world: World) -> None:
    peer = await open_peer(world, str.upper, max_line=5, overlong="close")
    peer.send(b"one\ntoolong\ntwo\n")
    assert await peer.rest() == ["ONE", "ERR too-long a line may have at most 5 bytes"]
    await world.until(lambda: world.factory.counters.closed == {Reason.TOO_LONG: 1})


@needs("invalid", "closing")
async def closes_on_a_problem_if_the_policy_says_so(world: World) -> None:
    peer = await open_peer(world, str.upper, invalid="close")
    peer.send(b"one\n\xff\ntwo\n")
    assert await peer.rest() == ["ONE", "ERR utf8 the line is not valid UTF-8 at byte 0"]
    await world.until(lambda: world.factory.counters.closed == {Reason.UTF8: 1})


async def gives_every_kind_of_reply(world: World) -> None:
    async def numbers(count: int) -> Any:
        for number in range(count):
            yield f"async {number}"

    async def later() -> list[str]:
        return ["coroutine", "list"]

    replies = {
        "none": lambda: None,
        "str": lambda: "text",
        "list": lambda: ["x", "y"],
        "generator": lambda: (str(n) for n in range(3)),
        "async": lambda: numbers(2),
        "coroutine": later,
    }
    peer = await open_peer(world, lambda line: replies[line]())
    peer.send("".join(f"{kind}\n" for kind in replies).encode())
    expected = ["text", "x", "y", "0", "1", "2", "async 0", "async 1", "coroutine", "list"]
    assert await peer.lines(len(expected)) == expected


async def keeps_replies_in_order_whatever_finishes_first(world: World) -> None:
    asked: dict[str, Deferred[str]] = {}
    peer = await open_peer(world, partial(Held, asked), Limits(window=3))
    peer.send(b"a\nb\nc\n")
    await world.until(lambda: len(asked) == 3)
    for name in "cba":
        asked[name].callback(name.upper())
    assert await peer.lines(3) == ["A", "B", "C"]


@needs("talk")
async def works_on_no_more_lines_than_the_window(world: World) -> None:
    asked: dict[str, Deferred[str]] = {}
    peer = await open_peer(world, partial(Held, asked), Limits(window=2))
    peer.send(b"a\nb\nc\nd\n")
    await world.until(lambda: len(asked) == 2)
    asked["b"].callback("B")  # b's place is taken until a is answered
    assert set(asked) == {"a", "b"}
    asked["a"].callback("A")
    assert await peer.lines(2) == ["A", "B"]
    assert set(asked) == {"a", "b", "c", "d"}
    asked["c"].callback("C")
    asked["d"].callback("D")
    assert await peer.lines(2) == ["C", "D"]


@needs("finish", "pieces")
async def finishes_the_work_when_the_peer_has_finished(world: World) -> None:
    asked: dict[str, Deferred[str]] = {}
    peer = await open_peer(world, partial(Held, asked))
    peer.send(b"a\nb\nlast without delimiter")
    peer.end()
    for name in ("a", "b", "last without delimiter"):
        await world.until(lambda name=name: name in asked)
        asked[name].callback(name.upper())
    assert await peer.rest() == ["A", "B", "LAST WITHOUT DELIMITER"]
    await world.until(lambda: world.factory.counters.closed == {Reason.DONE: 1})


async def survives_an_exception(world: World) -> None:
    watched = lifecycle()
    peer = await open_peer(world, watched)
    peer.send(b"fail\nnext\n")
    _welcome, error, after = await peer.lines(3)
    assert error.startswith("ERR internal ")
    assert after == "got next"
    assert world.factory.counters.problems == {Reason.INTERNAL: 1}


@needs("closing")
async def delivers_nothing_after_close(world: World) -> None:
    watched = lifecycle()
    peer = await open_peer(world, watched)
    peer.send(b"one\nclose\ntwo\n")
    assert await peer.rest() == ["welcome", "got one", "got close"]
    await world.until(lambda: watched.seen[-1] is Reason.CLOSED)
    assert watched.seen == ["made", "one", "close", Reason.CLOSED]


@needs("push", "reset", "closing")
async def delivers_nothing_after_abort(world: World) -> None:
    watched = lifecycle()
    peer = await open_peer(world, watched)
    assert await peer.lines(1) == ["welcome"]
    peer.send(b"abort\ntwo\n")
    await world.until(lambda: len(watched.seen) == 3)
    assert watched.seen == ["made", "abort", Reason.ABORTED]


@needs("push", "reset")
async def says_when_the_peer_broke_off(world: World) -> None:
    watched = lifecycle()
    peer = await open_peer(world, watched)
    assert await peer.lines(1) == ["welcome"]
    peer.reset()
    await world.until(lambda: len(watched.seen) == 2)
    assert watched.seen == ["made", Reason.LOST if world.tells_resets else Reason.DONE]
    assert world.factory.counters.current == 0


@needs("push")
async def pushes_at_any_time(world: World) -> None:
    opened: list[LineProtocol] = []

    class Pushed(LineProtocol):
        def connectionMade(self) -> None:
            opened.append(self)

    peer = await open_peer(world, Pushed)
    await world.until(lambda: opened)
    opened[0].sendLine("news")
    assert await peer.lines(1) == ["news"]


async def refuses_what_would_be_two_lines(world: World) -> None:
    peer = await open_peer(world, lambda line: line.replace("+", "\n"))
    peer.send(b"a+b\nfine\n")
    error, fine = await peer.lines(2)
    assert error.startswith("ERR internal ")
    assert fine == "fine"


@needs("flow")
async def stops_reading_from_a_peer_that_does_not_read(world: World) -> None:
    limits = Limits(high_water=100_000, stall_timeout=0)
    peer = await open_peer(world, lambda line: line * BIG, limits)
    peer.stop_reading()
    for _ in range(3):
        peer.send(b"x\n" * 1000)
    counters = world.factory.counters
    await world.until(lambda: counters.lines_in > 0)
    peer.start_reading()
    answers = await peer.lines(3000)
    assert answers == ["x" * BIG] * 3000


@needs("flow")
async def cuts_off_a_peer_that_never_reads(world: World) -> None:
    peer = await open_peer(world, lambda line: line * BIG, Limits(stall_timeout=0.2))
    peer.stop_reading()
    for _ in range(10):
        peer.send(b"x\n" * 1000)
    await world.until(lambda: world.factory.counters.closed)
    assert world.factory.counters.closed == {Reason.SLOW: 1}
    assert world.factory.counters.problems == {Reason.SLOW: 1}


@needs("flow", "closing")
async def ends_a_closing_that_the_peer_holds_up(world: World) -> None:
    class Bye(LineProtocol):
        def lineReceived(self, line: str) -> list[str]:
            self.close()
            return [line * BIG] * 2000

    peer = await open_peer(world, Bye, Limits(close_grace=0.2, stall_timeout=0))
    peer.stop_reading()
    peer.send(b"x\n")
    await world.until(lambda: world.factory.counters.closed)
    assert world.factory.counters.closed == {Reason.STUCK: 1}


@needs("closing")
async def lets_go_of_a_peer_that_does_not_close(world: World) -> None:
    watched = lifecycle()
    peer = await open_peer(world, watched, Limits(close_grace=0.2))
    peer.send(b"close\n")
    await world.until(lambda: world.factory.counters.closed)
    assert world.factory.counters.closed == {Reason.CLOSED: 1}
    assert await peer.rest() == ["welcome", "got close"]


@needs("closing")
async def closes_when_idle(world: World) -> None:
    peer = await open_peer(world, str.upper, Limits(idle_timeout=0.2))
    assert await peer.rest() == ["ERR idle nothing was said for too long"]


@needs("pieces", "closing")
async def closes_when_a_line_is_not_ended(world: World) -> None:
    peer = await open_peer(world, str.upper, Limits(line_timeout=0.2))
    peer.send(b"a\nb")
    assert await peer.rest() == ["A", "ERR partial a line was begun but not finished in time"]


async def gives_up_a_reply(world: World) -> None:
    def never(line: str) -> Any:
        return Deferred() if line == "wait" else line

    peer = await open_peer(world, never, Limits(reply_timeout=0.2))
    peer.send(b"wait\nnext\n")
    assert await peer.lines(2) == ["ERR timeout no reply in time", "next"]


@needs("busy", "talk")
async def refuses_one_too_many(world: World) -> None:
    peer = await open_peer(world, str.upper, Limits(max_connections=1))
    peer.send(b"a\n")
    assert await peer.lines(1) == ["A"]
    refused = await world.connect()
    assert await refused.rest() == ["ERR busy too many connections, try again later"]
    peer.send(b"b\n")
    assert await peer.lines(1) == ["B"]


@needs("closing")
async def drains(world: World) -> None:
    asked: dict[str, Deferred[str]] = {}
    peer = await open_peer(world, partial(Held, asked))
    peer.send(b"a\n")
    await world.until(lambda: asked)
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    assert not drained
    asked["a"].callback("A")
    assert await peer.rest() == ["A", "ERR shutdown the server is stopping"]
    await world.until(lambda: drained)
    assert world.factory.counters.current == 0


async def drains_at_the_deadline_whatever_happens(world: World) -> None:
    peer = await open_peer(world, lambda _: Deferred(), Limits(drain_timeout=0.2))
    peer.send(b"a\n")
    await world.until(lambda: world.factory.counters.lines_in)
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    await world.until(lambda: drained)
    assert world.factory.counters.closed == {Reason.ABORTED: 1}


PROMISES = [
    promise
    for name, promise in list(globals().items())
    if getattr(promise, "__code__", None)
    and promise.__code__.co_varnames[:1] == ("world",)
    and name != "open_peer"
]
