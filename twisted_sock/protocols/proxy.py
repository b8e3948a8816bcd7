"""Passes lines on to another server, and can keep what is said as a script for `mock`.

    proxy:6379                                      a server on this machine
    proxy:tls:example.org:6380:record=said.toml     any endpoint that can be connected to
    proxy:unix:/run/app.sock:script=faults.toml     with faults on purpose

Each client has a connection of its own to the server, so logins survive. Lines go both ways as
they come, and no answer is paired with any question: servers may greet, push, answer with several
lines or with none. Who is slow slows the other down; the end of either side is passed on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger

from twisted_sock import endpoints
from twisted_sock.errors import PlugError, ScriptError
from twisted_sock.passing import Passing
from twisted_sock.relay import Relay
from twisted_sock.script.faults import Faults
from twisted_sock.script.keeping import Keeper
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.script.reading import read
from twisted_sock.script.recording import Conversation as Talk
from twisted_sock.script.recording import Recording
from twisted_sock.script.saving import see
from twisted_sock.settings import Limits, LinePolicy
from twisted_sock.upstream import Link, Links, Listener


class Proxy:
    """Passes lines on to another server, as `proxy:6379:record=FILE`, which keeps what is said.

    Args:
        to: the server, as for `twisted-sock connect`; its colons need no backslash.
        record: the file that becomes a script of what was said; an old one is replaced.
        mask: a regular expression; what it matches, or its groups, is not recorded.
        timing: whether that script is to wait as the server did.
        script: a script whose faults happen, both ways.

    An option that is given is not empty: `mask=$MASK` with no such variable is no way to record
    secrets.

    Raises:
        SettingError: there is no such server to connect to.
        ScriptError: the script or the regular expression cannot be used.
        PlugError: an option is empty, or the file cannot be written.
    """

    log = Logger()

    def __init__(
        self,
        *to: str,
        record: str | None = None,
        mask: str | None = None,
        timing: bool = True,
        script: str | None = None,
    ) -> None:
        self.to = ":".join(to)
        if not self.to:
            raise PlugError("which server? proxy:localhost:1234")
        endpoints.split(self.to)
        _see_that_none_is_empty(record=record, mask=mask, script=script)
        if mask and not record:
            raise PlugError("mask is of no use without record=FILE")
        self._path = script
        self._script = read(script) if script else Script()
        self._keeper: Keeper | None = None
        if record:
            _see_that_it_can_be_written(record)
            recording = Recording(self._seconds, f"recorded from {self.to}", mask or "", timing)
            self._keeper = Keeper(recording, os.path.abspath(record))
        self._relays: dict[Passing, None] = {}  # in their order
        self._reactor: Any = None
        self._links: Links | None = None
        self._faults: Faults | None = None
        self._endpoint: IStreamClientEndpoint

    # LineApplication.

    def build_protocol(self) -> Relay:
        """One more conversation."""
        return Relay(self)

    def start(self, reactor: Any) -> None:
        """The service starts."""
        self._reactor = reactor
        self._links = Links(reactor)
        self._endpoint = self.endpoint(reactor)
        if self._keeper is not None:
            self._keeper.start(reactor)

    def stop(self) -> None:
        """The service has stopped: write the last of the recording."""
        if self._keeper is not None:
            self._keeper.stop()

    def reload(self) -> None:
        """Read the script again; a mistake is logged, and the faults stay as they were."""
        if self._path:
            try:
                self.load(self._path)
            except ScriptError as error:
                self.log.error("{error}; the faults stay as they were", error=str(error))

    # Scripted.

    def report(self) -> Report:
        """What has gone wrong on purpose, and with the recording."""
        problems = self._keeper.problems if self._keeper is not None else []
        return Report(
            fired=dict(self.faults.fired),
            firings=list(self.faults.firings),
            missed=[*problems, *self.faults.missed()],
        )

    def reset(self) -> None:
        """Forget what has fired, and begin to count and to draw anew."""
        self.faults.reset()

    def load(self, path: str) -> None:
        """Go on with the faults of another script.

        Raises:
            ScriptError: it cannot be used; the old ones stay.
        """
        script = read(path)
        self.faults.load(script.faults, script.seed)
        self._path, self._script = path, script
        self._look_again()

    def inject(self, fault: Fault) -> None:
        """Let a fault happen from now on, besides those of the script."""
        self.faults.inject(fault)
        self._look_again()

    def remove(self, name: str) -> bool:
        """Let a fault happen no more; returns whether there was one."""
        return self.faults.remove(name)

    # What a relay calls.

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        if self._faults is None:
            reactor = self._reactor
            if reactor is None:
                from twisted.internet import reactor
            self._faults = Faults(self._script.faults, self._script.seed, reactor)
        return self._faults

    def connect(self, listener: Listener, policy: LinePolicy, limits: Limits) -> Link:
        """Begin to connect to the server."""
        assert self._links is not None, "it was not started"
        link = Link(self._links, listener, policy, limits)
        link.connect(self._endpoint)
        return link

    def later(self, seconds: float, call: Callable[[], object]) -> IDelayedCall:
        """Call something later."""
        later: IDelayedCall = self._reactor.callLater(seconds, call)
        return later

    def recorded(self) -> Talk | None:
        """Where to keep what is said in one more conversation, if it is to be kept."""
        return None if self._keeper is None else self._keeper.recording.begin()

    def joined(self, relay: Passing) -> None:
        """A conversation begins."""
        self._relays[relay] = None

    def left(self, relay: Passing) -> None:
        """A conversation is over."""
        self._relays.pop(relay, None)

    # What a subclass may change.

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """What to connect to."""
        return endpoints.client_endpoint(self.to, reactor)

    # Inside.

    def _look_again(self) -> None:
        for relay in list(self._relays):
            relay.look_again()

    def _seconds(self) -> float:
        return self._links.now() if self._links is not None else 0.0


def _see_that_none_is_empty(**options: str | None) -> None:
    """Take none that is empty for one that was left out.

    Raises:
        PlugError: one is empty.
    """
    for name, value in options.items():
        if value == "":
            raise PlugError(f"{name} is empty: give it a value, or leave it out")


def _see_that_it_can_be_written(path: str) -> None:
    """Fail now rather than when something was recorded.

    Raises:
        PlugError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise PlugError(f"record: {path} is a folder")
    if not os.path.isdir(folder):
        raise PlugError(f"record: there is no folder {folder}")
    try:
        see(path)
    except OSError as error:
        raise PlugError(f"record: {path}: {error.strerror}") from None
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PlugError(f"record: {path} is not to be written")
    if not os.access(folder, os.W_OK):
        raise PlugError(f"record: nothing can be written into {folder}")
