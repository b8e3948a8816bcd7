"""What a person is shown of what an operator endpoint tells.

What comes is taken for what it says, but never trusted to be there; what peers have said is shown
with control characters as escapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sock.cli.aims import waiting_of
from twisted_sock.display import show

HELP = """\
text          answers the line in the prompt: the one that had waited longest when you began
/3 text       answers conversation 3, or speaks to it; /3.7 text answers its line 7
/all text     speaks to all
/to 3, /3     chooses conversation 3; /to chooses none
/list         who is there
/history 3    what was said last
/hold 3 60    each line of 3 waits 60 s for your answer; then the script answers
/release 3    the script answers again
/close 3      ends the conversation; /abort 3 drops the connection
/save FILE    what you answered while holding, as rules of a script
/report       of a script; also /hits, /unmatched, /faults, /firings, /reset, /load PATH
/fault {do = "drop", nth = 3}   lets a fault happen; /unfault NAME ends it
//text        a line that begins with /
/quit, Ctrl-D leave; what you hold is released when nobody is attached any more"""


def conversation(talk: dict[str, Any]) -> str:
    """One conversation in a list."""
    who = f" ({talk['who']})" if talk.get("who") else ""
    waits = "".join(
        f"; line {each.get('line')} waits: {each.get('text')}" for each in waiting_of(talk)
    )
    counts = f"{talk.get('in')} in, {talk.get('out')} out"
    words = f"[{talk.get('id')}] {talk.get('peer')}{who} {talk.get('state')}, {counts}{waits}"
    return show(words)


def told(event: dict[str, Any]) -> str:
    """One event; empty for those that are seen from others."""
    if "missed" in event:
        return show(f"* {event['missed']} events were missed: they came faster than they went")
    words = EVENTS.get(str(event.get("event")), plainly)(event)
    return show(f"[{event.get('id')}] {words}") if words else ""


def said(line: dict[str, Any]) -> str:
    """A line of a conversation."""
    mark = "<" if line.get("way") == "in" else ">>" if line.get("by") else ">"
    return f"{mark} {line.get('text')}"


def plainly(data: dict[str, Any]) -> str:
    """Data of any kind."""
    return show("  ".join(f"{key}: {value}" for key, value in data.items()))


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _answered_by(event: dict[str, Any]) -> str:
    by = event.get("by")
    if by == "script":
        return f"* line {event.get('line')}: nobody has answered, the script does"
    return "" if by == "operator" else f"* line {event.get('line')} waits no more"


def _opened(event: dict[str, Any]) -> str:
    who = f" ({event['who']})" if event.get("who") else ""
    return f"* connected from {event.get('peer')}{who}"


EVENTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "opened": _opened,
    "line": said,
    "waiting": lambda event: (
        f"* line {event.get('line')} waits {_number(event.get('seconds'))} s for an answer"
    ),
    "answered": _answered_by,
    "held": lambda event: (
        f"* held: each line waits {_number(event.get('seconds'))} s for an answer"
    ),
    "closing": lambda event: "* is closing: nothing is said there any more",
    "released": lambda event: "* released: the script answers",
    "closed": lambda event: f"* ended: {event.get('reason')}",
}

ANSWERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "list": conversation,
    "history": lambda line: show(f"  {said(line)}"),
    "say": lambda data: "",
    "answer": lambda data: "",
    "hold": lambda data: "",
    "release": lambda data: "",
    "close": lambda data: "",
    "abort": lambda data: "",
}
