r"""What can be told of a regular expression by reading it.

How the lines that it matches begin, how much it has to do at most, and whether it is so plain
that Python's own `re` means the same by it as the package `regex` does. In doubt the answer is the
careful one.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable

#: What stands for itself wherever it stands in a pattern, besides letters and digits.
PLAIN = frozenset(" _:;,/@=<>'\"!~&%-")

#: Steps that a pattern may take for one line without being watched; to watch costs more than most
#: lines do.
UNWATCHED = 100_000

#: For a text that is ASCII, what is true of it if it is not empty and has only these characters.
TESTS: dict[Callable[[str], bool], str] = {
    str.isalnum: string.ascii_letters + string.digits,
    str.isdigit: string.digits,
}

_STEP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{([0-9]{1,9})(?:,[0-9]*)?\}|.", re.DOTALL)

#: One character of a line: itself, one of some, or any.
_CHAR = r"[A-Za-z0-9 _:;,/@=<>'\"!~&%-]|\\[].()\[{}*+?^$|\\/-]"
_SET = r"\[\^?+(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_ .,:;/@=]|\\[wd.-])++-?+\]"
_ONE = rf"(?>{_CHAR}|\\[wd]|\.|{_SET})"

#: Words in a choice, or characters in a row.
_WORDS = r"(?:[A-Za-z0-9_ ]++\|)++[A-Za-z0-9_ ]++"
_ROW = rf"(?:{_ONE}(?:[*+]\??)?+)++"

#: No group is repeated, left out, or in another; so each that there is takes part.
_SAME_IN_RE = re.compile(
    rf"(?:\((?:\?:|\?P<[a-z]\w*+>)?+(?:{_WORDS}\)|{_ROW}\))|{_ONE}(?:[*+?]\??)?+)*+", re.ASCII
)
_IS_TAIL = re.compile(rf"\((?:\?P<[a-z]\w*+>)?+({_ONE})[*+]\)", re.ASCII)
_IS_ONE = re.compile(_ONE)
_IS_CHAR = re.compile(_CHAR)


def same_in_re(pattern: str) -> bool:
    """Whether `re` and `regex` find the same in lines that are ASCII.

    They differ in what is a word beyond ASCII, what is space, in which group keeps what it has
    matched in a repetition, and in much that only one of them has. Little is let through here.
    """
    return _SAME_IN_RE.fullmatch(pattern) is not None


def literal_prefix(pattern: str) -> str:
    """What every line that a pattern matches begins with, as far as it is plain to see.

    Args:
        pattern: the regular expression; in doubt the answer is shorter, never wrong.
    """
    if _is_doubtful(pattern):
        return ""
    for place, char in enumerate(pattern):
        if not (char in PLAIN or (char.isascii() and char.isalnum())):
            return pattern[: max(0, place - (char in "?*{"))]
    return pattern


def tail_test(pattern: str) -> Callable[[str], bool] | None:
    """A test of what follows the literal beginning of a pattern.

    Returns:
        If it is true of an ASCII text, the rest of the pattern matches it as its one group, and
        it holds no newline; if not, it may match all the same. None if there is no such test.
    """
    found = _IS_TAIL.fullmatch(pattern[len(literal_prefix(pattern)) :])
    if found is None:
        return None
    one = re.compile(found[1], re.ASCII)
    for test, chars in TESTS.items():
        if all(map(one.fullmatch, chars)):
            return test
    return None


def _is_doubtful(pattern: str) -> bool:
    """Whether a pattern may have alternatives or flags that concern its beginning."""
    depth = 0
    for place, char in enumerate(pattern):
        if char in "[\\" and "|" in pattern[place:]:
            return True  # from here on it is hard to say what a bracket or a bar means
        if char == "|" and depth == 0:
            return True
        if pattern.startswith("(?", place) and pattern[place + 2 : place + 3] not in (":", "P"):
            return True
        depth += (char == "(") - (char == ")")
    return False


def steps(pattern: str) -> int:
    """About how many steps a pattern has once it is compiled, which unrolls what is repeated.

    Returns:
        `(ab){3}` has six.
    """
    groups = [0]  # the steps of what is open: the pattern, a group, a group in it ...
    last = 0  # those of what would be repeated
    for found in _STEP.finditer(pattern):
        if found[1]:
            groups[-1] += last * (int(found[1]) - 1)
            last *= int(found[1])
        elif found[0] == "(":
            groups.append(0)
        elif found[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif found[0] not in ("?", "*", "+", "|"):
            last = 1
            groups[-1] += 1
    return sum(groups)


def longest_unwatched(pattern: str) -> int:
    """The longest line for which a pattern can only take a few steps; -1: none.

    Where no group is repeated, each repetition ends in as many places as the line has, and each
    choice doubles that. But `\\w+` before a space ends in one place only: where the space is.
    """
    groups = pattern.replace("(?:", "(").replace("(?P<", "(")
    if any(doubt in groups for doubt in ("{", "(?", ")*", ")+")):
        return -1
    choices = groups.count("?") + groups.count("|")
    repeated = groups.count("*") + groups.count("+") - _ending_in_one_place(groups)
    return int((UNWATCHED / 2.0 ** min(choices, 60)) ** (1 / (1 + repeated)))


def _ending_in_one_place(pattern: str) -> int:
    """How many repetitions of one character go on until the end, or another that must follow.

    None are told where `_STEP` may cut into pieces what is one, as it does `\\pL` and `\\x41`.
    """
    parts = [found[0] for found in _STEP.finditer(pattern) if found[0] != ")"]
    if any(part[0] == "\\" and part[1:].isalnum() and part[1:] not in "wd" for part in parts):
        return 0
    fours = zip(parts, parts[1:], [*parts[2:], ""], [*parts[3:], "", ""], strict=False)
    return sum(
        repeat in ("*", "+") and after not in ("*", "?") and _is_ended(one, follows)
        for one, repeat, follows, after in fours
    )


def _is_ended(one: str, follows: str) -> bool:
    if not follows:
        return True
    if not (_IS_ONE.fullmatch(one) and _IS_CHAR.fullmatch(follows)):
        return False
    return re.fullmatch(one, follows[-1]) is None
