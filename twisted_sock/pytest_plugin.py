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

#: Whether a test is good by itself.
GOOD: pytest.StashKey[bool] = pytest.StashKey()


@pytest.fixture
def line_server() -> Iterator[Callable[..., LocalServer]]:
    """Start line servers on free ports of 127.0.0.1; they stop when the test is over.

    Call it as `LocalServer`: with what `LineFactory` takes. It returns the `LocalServer`.
    """
    pytest_twisted = _pytest_twisted("line_server")

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
def mock_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., MockServer]]:
    """Start mocks on free ports; the test fails unless their scripts were played as expected.

    Call it as `MockServer`: with a script, and an endpoint unless TCP will do. A script that is
    named by a relative path is looked for beside the test first. It returns the `MockServer`; all
    of them stop when the test is over.
    """
    pytest_twisted = _pytest_twisted("mock_server; tests that run no reactor take mock_process")

    from twisted_sock.testing import PATIENCE, MockServer

    mocks: list[MockServer] = []
    yield _starter(MockServer, mocks, request)
    from twisted.internet import reactor

    for mock in mocks:
        pytest_twisted.blockon(mock.stop().addTimeout(PATIENCE, reactor))
    _check(mocks, request)


@pytest.fixture
def mock_process(request: pytest.FixtureRequest) -> Iterator[Callable[..., MockProcess]]:
    """The same for tests that block, or know nothing of Twisted: mocks in processes of their own.

    Call it as `MockProcess`. It needs neither pytest-twisted nor a reactor.
    """
    from twisted_sock.testing import MockProcess

    mocks: list[MockProcess] = []
    with ExitStack() as at_the_end:
        yield _starter(MockProcess, mocks, request)
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
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """See whether a test is good by itself; else tell besides what its mocks have to say."""
    item.stash[GOOD] = False
    try:
        result = yield
    except (Exception, pytest.fail.Exception) as error:
        for mock in chain.from_iterable(_mocks(item)):
            mock.explain(error)
        raise
    item.stash[GOOD] = True
    return result


def _check(mocks: Sequence[Mock], request: pytest.FixtureRequest) -> None:
    """Fail a test that is good by itself, if scripts were not played as expected.

    One that is not may have got no further. What uses a mock, a fixture say, has ended before.
    """
    from twisted_sock.mocking import all_missed

    _mocks(request.node).remove(mocks)
    if request.node.stash.get(GOOD, False) and (missed := all_missed(mocks)):
        pytest.fail(missed, pytrace=False)


def _mocks(item: pytest.Item) -> list[Sequence[Mock]]:
    """Those that each fixture of a test has started."""
    none: list[Sequence[Mock]] = []
    return item.stash.setdefault(MOCKS, none)


def _pytest_twisted(needed_by: str) -> Any:
    try:
        import pytest_twisted
    except ImportError:
        raise pytest.UsageError(
            f"pip install pytest-twisted: it is needed by {needed_by}"
        ) from None
    return pytest_twisted


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
