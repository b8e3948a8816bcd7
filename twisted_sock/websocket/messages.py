"""The lines in WebSocket messages: a message is as a stream of its own, with its own end."""

from __future__ import annotations

import dataclasses
import functools
import sys

from twisted_sock.framing import Run, make_framer
from twisted_sock.settings import LinePolicy, Web

#: Bytes that a message may have if nothing is said of it: room for a line that is too long, so
#: that its peer can be told and the conversation go on.
ROOM = 131072


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for all connections with the same settings.

    Args:
        policy: what a line is; the end of a message ends its last line.
        most: bytes that a message may have.
        quick: bytes of a message that surely breaks no rule.
        end: what stands between the lines of a message.
        binary: whether a binary message is text.
    """

    policy: LinePolicy
    most: int
    quick: int
    end: str
    binary: bool


@functools.lru_cache(maxsize=64)
def make_rules(policy: LinePolicy, web: Web) -> Rules:
    """The rules that follow from settings."""
    longest = policy.max_line or sys.maxsize
    most = web.max_message or min(sys.maxsize, max(ROOM, 2 * longest))
    end = "\r\n" if policy.delimiter == "crlf" else "\n"
    whole = dataclasses.replace(policy, eof_tail="deliver")
    return Rules(whole, most, min(most, longest), end, web.binary == "text")


def message_runs(message: bytes, rules: Rules) -> list[Run]:
    """The runs of one message; it is UTF-8."""
    lines = short_lines([message], rules) if len(message) <= rules.quick else None
    if lines is not None:
        return [lines]
    framer = make_framer(rules.policy)
    return framer.feed(message) + framer.end()


def short_lines(messages: list[bytes], rules: Rules) -> list[str] | None:
    """The lines of messages, none longer than `rules.quick`; None when one is not UTF-8."""
    end = rules.end
    try:
        text = end.encode().join(messages).decode()
    except UnicodeDecodeError:
        return None
    lines = text.split(end)
    if len(lines) == len(messages):
        return lines
    # Some hold delimiters; one at the end begins no other line.
    if rules.policy.framing == "chunk":
        return [message.decode() for message in messages]
    if rules.policy.delimiter == "lenient" and "\r" in text:
        return lenient_lines(messages)
    raw = end.encode()
    return raw.join([each.removesuffix(raw) for each in messages]).decode().split(end)


def lenient_lines(messages: list[bytes]) -> list[str]:
    """The lines of messages in which LF and CRLF end a line, and a lone CR belongs to it."""
    apart = b" ".join(messages)
    if apart.count(b"\r") == apart.count(b"\r\n"):
        ended = b"\n".join([each.removesuffix(b"\n") for each in messages]) + b"\n"
        return ended.decode().replace("\r\n", "\n").split("\n")[:-1]
    lines: list[str] = []
    for message in messages:
        *ended_lines, rest = message.decode().split("\n")
        lines += [line.removesuffix("\r") for line in ended_lines]
        if rest or not ended_lines:
            lines.append(rest)
    return lines
