"""What persons have answered, written as the rules of a script."""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sock.operator.talk import Taught
from twisted_sock.script import saving, writing
from twisted_sock.script.model import Match, Rule, Script

REMARK = "What was answered by hand."


def save(path: str, taught: Iterable[Taught], force: bool) -> int:
    """Write a script, for its owner alone.

    Args:
        path: the file.
        taught: what was answered, the first first.
        force: whether to replace what is there.

    Returns:
        How many rules it has.

    Raises:
        FileExistsError: something is there.
        OSError: it cannot be written.
    """
    script = learnt(taught)
    text = writing.text(script, [REMARK])
    saving.save(path, text, replace=force)
    return len(script.rules)


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
