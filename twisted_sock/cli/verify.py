"""`twisted-sock verify`: ask a running mock whether all was as its script expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sock.cli.command import OF_ASKING, CommandError, Status, say
from twisted_sock.cli.operating import Dialogue, OperatorOptions
from twisted_sock.display import show


class Options(OperatorOptions):
    """The command line of `twisted-sock verify`."""

    name = "verify"
    summary = (
        "Asks a running mock, at the endpoint of its --operator, whether all was as its script\n"
        "expects. Prints what was not, how often each rule was hit, and what no rule was for."
    )
    optFlags = (
        ("reset", None, "then let it count from the beginning"),
        ("quiet", None, "print nothing when all is well"),
    )
    examples = (
        "twisted-sock verify unix:/run/mock.operator\n"
        "twisted-sock verify --token-file secret --reset ws://127.0.0.1:9000"
    )
    statuses = OF_ASKING
    closing = "Status 0 means that all was as expected, 1 that it was not."


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Verify.

    Returns:
        Fires with the exit status.
    """
    return Deferred.fromCoroutine(_verify(reactor, options))


async def _verify(reactor: Any, options: Options) -> int:
    dialogue = Dialogue(reactor, options, Nobody())
    try:
        await dialogue.open()
        told = await dialogue.must("report")
        if options["reset"]:
            await dialogue.must("reset")
    finally:
        dialogue.close()
    if not told:
        raise CommandError(Status.UNEXPECTED, "it has told nothing")
    [report, *_] = told
    well = not report.get("missed")
    if not (well and options["quiet"]):
        say("\n".join(described(report)))
    return Status.DONE if well else Status.UNEXPECTED


class Nobody:
    """Listens to nothing (see `operating.Listener`)."""

    def happened(self, event: dict[str, Any], line: str) -> None:
        """Nothing was asked for."""

    def over(self, error: CommandError) -> None:
        """What was asked fails by itself."""


def described(report: Mapping[str, Any]) -> Iterator[str]:
    """A report for people."""
    missed = report.get("missed", [])
    yield "NOT as expected:" if missed else "as expected"
    for sentence in missed:
        yield f"  - {show(str(sentence))}"
    yield from _counted("hits", report.get("hits", {}))
    fired = {name: count for name, count in report.get("fired", {}).items() if count}
    yield from _counted("faults that fired", fired)
    unmatched = report.get("unmatched", [])
    if unmatched:
        yield "lines that no rule was for:"
    for each in unmatched:
        line = json.dumps(each.get("line"), ensure_ascii=False)
        yield f"  {each.get('count')} x {show(line)}, first by {show(str(each.get('peer')))}"


def _counted(title: str, counts: Mapping[str, Any]) -> Iterator[str]:
    if counts:
        yield f"{title}:"
    for name, count in counts.items():
        yield f"  {count} x {show(name)}"
