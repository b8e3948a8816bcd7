"""The operator's commands over HTTP, as JSON.

    GET  /operator/list       200 {"ok":true,"data":[...]}
    POST /operator/say        with the body {"id":3,"text":"hello"}

Each request has a field `Authorization: Bearer TOKEN`. GET and HEAD are for commands that change
nothing, POST is for all; the body is one object with the arguments, or empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.errors import Problem
from twisted_sock.http.answers import Answer, Refusal
from twisted_sock.http.exchange import Exchange, Phase
from twisted_sock.operator.commands import Desk, command_of
from twisted_sock.operator.door import Door
from twisted_sock.operator.syntax import Refused

#: What the paths of all commands begin with.
PREFIX = "/operator/"

#: Bytes that the arguments may have.
MOST = 65536

#: Methods that ask; what HEAD is answered has no body (RFC 9110 section 9.3.2).
ASKING = ("GET", "HEAD")

#: The status of the answer to what is not done, by its code; others are 400.
STATUSES = {
    "internal": 500,
    "no-command": 404,
    "no-conversation": 404,
    "no-fault": 404,
    "closing": 409,
    "exists": 409,
}

HEADERS = (
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class Pages:
    """Answers requests for paths that begin with `PREFIX`.

    Args:
        desk: does what is asked.
        door: has the token.
    """

    log = Logger()

    def __init__(self, desk: Desk, door: Door) -> None:
        self._desk = desk
        self._door = door

    def __call__(self, exchange: Exchange) -> None:
        """Answer a request whose head is there.

        Raises:
            Refusal: it is not to be answered so.
        """
        head = exchange.head
        self._check(head.first("authorization"))
        name = head.path.removeprefix(PREFIX)
        if head.method == "POST":
            self._gather(exchange, name)
            return
        try:
            asks = command_of(name).asks
        except Refused as refused:
            answer(exchange, failed(refused))
            return
        if not asks:
            raise refusal(405, Refused("usage", "this takes POST"), ("Allow", "POST"))
        if head.method not in ASKING:
            words = "this takes GET, HEAD and POST"
            raise refusal(405, Refused("usage", words), ("Allow", "GET, HEAD, POST"))
        answer(exchange, self._run(name, {}))

    def _check(self, authorization: str) -> None:
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer" and self._door.opens(token.strip()):
            return
        why = Refused("denied", "say who you are: Authorization: Bearer TOKEN")
        log = "an operator's token was wrong" if authorization else ""
        raise refusal(401, why, ("WWW-Authenticate", "Bearer"), log=log)

    def _gather(self, exchange: Exchange, name: str) -> None:
        if int(exchange.head.first("content-length") or 0) > MOST:
            raise too_large()
        body = Body(lambda data: answer(exchange, self._run(name, arguments(data))), exchange)
        exchange.gather(body)

    def _run(self, name: str, values: Any) -> Answer:
        try:
            if not isinstance(values, dict):
                raise Refused("usage", "the body is one JSON object with the arguments")
            self._desk.hub.visit()
            data = self._desk.run(name, values)
        except Refused as refused:
            return failed(refused)
        except Exception:
            self.log.failure("an operator's command failed")
            return failed(Refused("internal", "the service failed on this command; see its log"))
        return document(200, {"ok": True, "data": data})


class Body:
    """Takes the body of a request, in place of a conversation (see `transports.http.Post`).

    Args:
        whole: called with it.
        exchange: the request.
    """

    def __init__(self, whole: Callable[[bytes], None], exchange: Exchange) -> None:
        self._whole = whole
        self._exchange = exchange
        self._data = bytearray()

    def receive(self, data: bytes) -> None:
        """Some of it came."""
        self._data += data
        if len(self._data) > MOST:
            self._exchange.channel.refuse(too_large())

    def end(self) -> None:
        """It is whole."""
        self._whole(bytes(self._data))

    def fail(self, problem: Problem) -> None:
        """It is too long; that is told already."""

    def drop(self, problem: Problem | None) -> None:
        """The request is answered otherwise."""
        self._data.clear()

    def over(self, reason: Failure | None = None) -> None:
        """The answer is with the peer, or the connection is gone."""

    @property
    def producer(self) -> Body:
        """Who is to pause when the connection has enough."""
        return self

    def pauseProducing(self) -> None:
        """There is one answer, which is there already, or not yet."""

    def resumeProducing(self) -> None:
        """There is nothing to go on with."""


def answer(exchange: Exchange, what: Answer) -> None:
    """Answer a request, unless that was done."""
    if exchange.channel.phase < Phase.CLOSING:
        exchange.channel.answer(what)


def arguments(data: bytes) -> Any:
    """The arguments in a body; None when they cannot be read."""
    try:
        return json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None


def failed(refused: Refused) -> Answer:
    """The answer to what is not done."""
    return document(STATUSES.get(refused.code, 400), told(refused))


def refusal(status: int, refused: Refused, *headers: tuple[str, str], log: str = "") -> Refusal:
    """The refusal of a request that is not even tried, in JSON like any other answer.

    Args:
        status: the code of the answer.
        refused: why.
        headers: further fields of its head.
        log: what is wrong in words of our own, when it is worth a line in the log.
    """
    made = Refusal(status, refused.words, log=log)
    made.answer = document(status, told(refused), *headers)
    return made


def too_large() -> Refusal:
    """The refusal of a body."""
    return refusal(413, Refused("usage", f"the arguments may have at most {MOST} bytes"))


def told(refused: Refused) -> dict[str, Any]:
    """Why something is not done, as data."""
    return {"ok": False, "error": {"code": refused.code, "words": refused.words}}


def document(status: int, data: Any, *headers: tuple[str, str]) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(data).encode() + b"\n", (*HEADERS, *headers))
