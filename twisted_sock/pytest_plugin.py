"""Fixtures for pytest; found by pytest by itself once the package is installed.

`line_server` needs pytest-twisted, which runs the reactor. `no_leaks` is for projects that want
what a test leaves behind to fail that test; make it autouse in a `conftest.py`::

    @pytest.fixture(autouse=True)
    def _clean(no_leaks):
        return no_leaks
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from twisted.logger import ILogObserver
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted_sock.testing import LocalServer, MockServer


@pytest.fixture
def line_server() -> Iterator[Callable[..., LocalServer]]:
    """Start line servers on free ports of 127.0.0.1; they stop when the test is over.

    Call it as `LocalServer`: with what `LineFactory` takes. It returns the `LocalServer`.
    """
    import pytest_twisted

    from twisted_sock.testing import PATIENCE, LocalServer

    servers: list[LocalServer] = []

    def start(handler: Any, **settings: Any) -> LocalServer:
        servers.append(LocalServer(handler, **settings))
        return servers[-1]

    yield start
    from twisted.internet import reactor

    for server in servers:
        pytest_twisted.blockon(server.stop().addTimeout(PATIENCE, reactor))


@pytest.fixture
def mock_server() -> Iterator[Callable[..., MockServer]]:
    """Start mocks on free ports; the test fails unless their scripts were played as expected.

    Call it as `MockServer`: with a script, and an endpoint unless TCP will do. It returns the
    `MockServer`; all of them stop when the test is over.
    """
    import pytest_twisted

    from twisted_sock.testing import PATIENCE, MockServer

    servers: list[MockServer] = []

    def start(*given: Any, **settings: Any) -> MockServer:
        servers.append(MockServer(*given, **settings))
        return servers[-1]

    yield start
    from twisted.internet import reactor

    for server in servers:
        pytest_twisted.blockon(server.stop().addTimeout(PATIENCE, reactor))
    for server in servers:
        server.check()


@pytest.fixture
def no_leaks(request: pytest.FixtureRequest) -> Iterator[LoggedErrors]:
    """Fail a test that leaves an unhandled error, a delayed call or a descriptor behind.

    Errors that a test expects are taken back with `flush`. Trial's test cases look after logged
    errors themselves, with `flushLoggedErrors`.
    """
    from twisted.internet import reactor
    from twisted.logger import globalLogPublisher

    errors = LoggedErrors()
    before = _left(reactor)
    globalLogPublisher.addObserver(errors)
    yield errors
    if hasattr(request.instance, "flushLoggedErrors"):
        errors.events.clear()
    gc.collect()
    globalLogPublisher.removeObserver(errors)
    left = [str(each) for each in _left(reactor) if each not in before]
    found = [str(event["log_failure"]) for event in errors.events]
    if left or found:
        pytest.fail("left behind: " + "; ".join(left + found))


@implementer(ILogObserver)
class LoggedErrors:
    """A log observer that keeps failures."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        """Take an event of the log (see `ILogObserver`)."""
        if "log_failure" in event:
            self.events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[BaseException]:
        """Take back, and return, the errors of these types; all when none is named."""
        taken = [e for e in self.events if not kinds or isinstance(e["log_failure"].value, kinds)]
        self.events = [event for event in self.events if event not in taken]
        return [event["log_failure"].value for event in taken]


def _left(reactor: Any) -> list[Any]:
    """What a reactor still has to do."""
    internal: set[Any] = getattr(reactor, "_internalReaders", set())
    readers = [each for each in reactor.getReaders() if each not in internal]
    return [*reactor.getDelayedCalls(), *readers, *reactor.getWriters()]
