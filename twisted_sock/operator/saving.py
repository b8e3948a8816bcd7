"""What persons have answered, written as the rules of a script.

It is the service that writes, with the rights that it has; so what it replaces is a script, and
never another file that somebody has mistyped, or means harm to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from twisted_sock.errors import ScriptError
from twisted_sock.operator.lessons import Taught
from twisted_sock.script import saving, writing
from twisted_sock.script.model import Match, Rule, Script
from twisted_sock.script.reading import read

REMARK = "What was answered by hand."


def save(path: str, taught: Iterable[Taught], force: bool) -> int:
    """Write a script, for its owner alone.

    Args:
        path: the file.
        taught: what was answered, the first first.
        force: whether to replace a script that is there.

    Returns:
        How many rules it has.

    Raises:
        FileExistsError: something is there.
        ScriptError: what is there is no script.
        OSError: it cannot be written.
    """
    if force and os.path.exists(path):
        saving.see(path)
        _see_that_it_is_a_script(path)
    script = learnt(taught)
    text = writing.text(script, [REMARK])
    saving.save(path, text, replace=force)
    return len(script.rules)


def _see_that_it_is_a_script(path: str) -> None:
    try:
        read(path)
    except ScriptError:
        raise ScriptError("the file that is there is no script, and stays as it is") from None


def learnt(taught: Iterable[Taught]) -> Script:
    """The script that says the same: for each line what was said to it, in turn."""
    answers: dict[str, list[tuple[str, ...]]] = {}
    for each in taught:
        answers.setdefault(each.line, []).append(tuple(map(literal, each.answer)))
    rules = []
    for number, (line, replies) in enumerate(answers.items(), 1):
        always = replies[:1] if len(set(replies)) == 1 else replies
        rules.append(Rule(f"rule {number}", 0, Match(exact=line), tuple(always)))
    return Script(rules=tuple(rules))


def literal(line: str) -> str:
    """A line as the template that stands for it."""
    return line.replace("{", "{{").replace("}", "}}")
