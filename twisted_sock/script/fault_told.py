"""What is said, as it comes: replies of every kind as lines, and letting go of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.interfaces import Reply

log = Logger()


class Told(AsyncIterator[str]):
    """What is said, as it comes.

    Args:
        lines: gives it.
        begun: the reply under it that is in work already; given up with it.

    Attributes:
        over: whether nothing more comes.
    """

    def __init__(
        self, lines: AsyncGenerator[str, None], begun: Deferred[Any] | None = None
    ) -> None:
        self._lines = lines
        self._begun = begun
        self.over = False

    async def __anext__(self) -> str:
        try:
            return await self._lines.__anext__()
        except GeneratorExit:  # garbage, and so is what it awaits: to cancel that would resume it
            self._begun = None
            self.over = True
            raise
        except BaseException:
            self.drop()
            raise

    async def aclose(self) -> None:
        """Say no more."""
        self.drop()
        await self._lines.aclose()

    def drop(self) -> None:
        """Nobody waits for the rest."""
        self.over = True
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.addErrback(_log_unless_cancelled)
            begun.cancel()


async def lines_of(reply: Reply) -> AsyncGenerator[str, None]:
    """The lines of a reply of any kind."""
    while isinstance(reply, Awaitable):
        reply = await reply
    if isinstance(reply, str):
        yield reply
    elif isinstance(reply, AsyncIterator):
        async for line in reply:
            yield line
    elif reply is not None:
        for line in reply:
            yield line


async def one_after_another(*replies: Reply) -> AsyncGenerator[str, None]:
    """The lines of several replies. What one of them raises is raised after the others."""
    failure: Exception | None = None
    try:
        for reply in replies:
            try:
                async for line in lines_of(reply):
                    yield line
            except CancelledError:
                raise
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure
    finally:
        for reply in replies:
            if isinstance(reply, Told):
                reply.drop()


def begin(work: Coroutine[Any, Any, None]) -> Deferred[None]:
    """Let something go on by itself; what it raises is logged."""
    return Deferred.fromCoroutine(work).addErrback(_log_unless_cancelled)


def begun(reply: Awaitable[Any]) -> Deferred[Any]:
    """A reply that is in work from now on."""
    if isinstance(reply, Deferred):
        # Who awaits a Deferred in the midst of its callbacks gets what is between two of them.
        done: Deferred[Any] = Deferred(lambda _: reply.cancel())
        reply.chainDeferred(done)
        return done

    async def wait() -> Any:
        return await reply

    return Deferred.fromCoroutine(wait())


def _log_unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError, GeneratorExit):
        log.failure("something that had to go wrong has gone wrong otherwise", failure=failure)
