"""Fixtures for pytest; found by pytest by itself once the package is installed.

`line_server` and `mock_server` need pytest-twisted, which runs the reactor; `mock_process` does
not. `no_leaks` is for projects that want what a test leaves behind to fail that test; make it
autouse in a `conftest.py`::

    @pytest.fixture(autouse=True)
    def _clean(no_leaks):
        return no_leaks
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from twisted.logger import ILogObserver
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted_sock.mocking import Mock
    from twisted_sock.testing import LocalServer, MockProcess, MockServer

M = TypeVar("M", bound="Mock")

#: The mocks that the fixtures of a test have started.
MOCKS: pytest.StashKey[list[Sequence[Mock]]] = pytest.StashKey()

#: Whether a test is good by itself: what came of it, and of its subtests; empty until then.
GOOD: pytest.StashKey[list[bool]] = pytest.StashKey()


@pytest.fixture
def line_server() -> Iterator[Callable[..., LocalServer]]:
    """Start line servers on free ports of 127.0.0.1; they stop when the test is over.

    Call it as `LocalServer`: with what `LineFactory` takes. It returns the `LocalServer`.
    """
    _pytest_twisted("line_server")

    from twisted_sock.testing import LocalServer

    servers: list[LocalServer] = []

    def start(handler: Any, **settings: Any) -> LocalServer:
        servers.append(LocalServer(handler, **settings))
        return servers[-1]

    yield start
    _stop(servers)


@pytest.fixture
def mock_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., MockServer]]:
    """Start mocks on free ports; the test fails unless their scripts were played as expected.

    Call it as `MockServer`: with a script, and an endpoint unless TCP will do. A script that is
    named by a relative path is looked for beside the test first. It returns the `MockServer`; all
    of them stop when the test is over.
    """
    _pytest_twisted("mock_server; tests that run no reactor take mock_process")

    from twisted_sock.testing import MockServer

    mocks: list[MockServer] = []
    yield _starter(MockServer, mocks, request)
    _stop(mocks)
    _check(mocks, request)


@pytest.fixture
def mock_process(request: pytest.FixtureRequest) -> Iterator[Callable[..., MockProcess]]:
    """The same for tests that block, or know nothing of Twisted: mocks in processes of their own.

    Call it as `MockProcess`. It needs neither pytest-twisted nor a reactor.
    """
    from twisted_sock.testing import MockProcess

    mocks: list[MockProcess] = []
    yield _starter(MockProcess, mocks, request)
    with ExitStack() as at_the_end:  # they are all stopped, also when one fails to
        for mock in mocks:
            at_the_end.callback(mock.stop)
    _check(mocks, request)


def _starter(
    kind: Callable[..., M], mocks: list[M], request: pytest.FixtureRequest
) -> Callable[..., M]:
    """What a test calls to start one more mock."""
    _mocks(request.node).append(mocks)

    def start(*given: Any, **settings: Any) -> M:
        __tracebackhide__ = True
        mocks.append(kind(*given, **{"folder": request.path.parent} | settings))
        return mocks[-1]

    return start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See whether a test is good by itself, test cases of unittest and trial, too.

    What those raise is kept from whoever calls them, and comes up only in their report.
    """
    report = yield
    good = item.stash.setdefault(GOOD, [])
    if call.when == "setup":
        good.clear()  # it may be run once more
    elif call.when == "call":
        good.append(report.passed and not hasattr(report, "wasxfail"))
    return report


@pytest.hookimpl(specname="pytest_runtest_makereport")
def pytest_tell_of_mocks(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Tell of a test that has failed what its mocks have to say besides.

    It comes before the report is written, and after pytest has put in what a test case raised.
    """
    error = call.excinfo.value if call.when == "call" and call.excinfo else None
    if isinstance(error, Exception | pytest.fail.Exception):
        for mock in chain.from_iterable(_mocks(item)):
            mock.explain(error)


def _check(mocks: Sequence[Mock], request: pytest.FixtureRequest) -> None:
    """Fail a test that is good by itself, if scripts were not played as expected.

    One that is not may have got no further. What uses a mock, a fixture say, has ended before.
    """
    from twisted_sock.mocking import all_missed

    _mocks(request.node).remove(mocks)
    good = request.node.stash.get(GOOD, [])
    if good and all(good) and (missed := all_missed(mocks)):
        pytest.fail(missed, pytrace=False)


def _mocks(item: pytest.Item) -> list[Sequence[Mock]]:
    """Those that each fixture of a test has started."""
    none: list[Sequence[Mock]] = []
    return item.stash.setdefault(MOCKS, none)


def _stop(servers: Sequence[LocalServer | MockServer]) -> None:
    """Stop what has run in the reactor: all of it, also when one fails to."""
    import pytest_twisted
    from twisted.internet import reactor

    from twisted_sock.testing import PATIENCE

    def stop(server: LocalServer | MockServer) -> None:
        pytest_twisted.blockon(server.stop().addTimeout(PATIENCE, reactor))

    with ExitStack() as at_the_end:
        for server in servers:
            at_the_end.callback(stop, server)


def _pytest_twisted(needed_by: str) -> None:
    """See that it is installed."""
    try:
        import pytest_twisted  # noqa: F401
    except ImportError:
        raise pytest.UsageError(
            f"pip install pytest-twisted: it is needed by {needed_by}"
        ) from None


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
