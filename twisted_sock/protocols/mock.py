"""A server that is not there: its lines are in a file.

`mock:login.toml` plays a conversation script. The file is looked at every half second. When it
has changed, and is no longer being written, it is played from then on; conversations live on, in
the state that they are in. A file with a mistake is logged, once, and the old one played on.

A long script takes seconds to read. When it has changed it is read in a thread, where the reactor
has threads, and the service goes on meanwhile.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.errors import PlugError, ScriptError
from twisted_sock.script.cues import Plot
from twisted_sock.script.model import Script
from twisted_sock.script.playing import Playing
from twisted_sock.script.reading import read

#: Seconds between looks at the file.
EVERY = 0.5

#: What is seen of a file from outside; None: there is none.
Looks = tuple[int, int, int] | None


class Mock(Playing):
    """Plays a conversation script from a TOML file, as a server that a test needs.

    Args:
        path: the file.
        seed: what is random is drawn from it, and not from the script's own seed.

    Raises:
        ScriptError: the file cannot be read, or has a mistake.
        PlugError: the path is empty, or the seed is no number.
    """

    log = Logger()

    def __init__(self, path: str, seed: str | None = None) -> None:
        if not path:
            raise PlugError("which script? mock:FILE")
        self.path = path
        self._seed = _number(seed)
        self._seen = looks(path)
        self._settling = self._seen
        self._looking: LoopingCall | None = None
        self._reading = False  # the file, for `reload`
        self._again = False  # it is to be read once more then
        self._turn = 0  # grows when what is being read is no longer wanted
        super().__init__(self._read(path))

    # LineApplication.

    def start(self, reactor: Any) -> None:
        """Begin to look at the file."""
        super().start(reactor)
        self._looking = LoopingCall(self.look)
        self._looking.clock = reactor
        self._looking.start(EVERY, now=False)

    def stop(self) -> None:
        """Look at it no more."""
        self._turn += 1
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.stop()
        super().stop()

    # Scripted.

    def load(self, path: str) -> None:
        """Go on with the script in another file, and look at that from now on.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        seen = looks(path)
        self.play(self._read(path))
        self._turn += 1
        self.path = path
        self._seen = self._settling = seen

    # What changes.

    def look(self) -> None:
        """See whether the file has changed, and goes on changing: then it is being written."""
        seen = looks(self.path)
        settled = seen == self._settling
        self._settling = seen
        if settled and seen != self._seen:
            self.reload()

    def reload(self) -> None:
        """Read the file again; a mistake is logged, and the old script played on.

        One reading comes after the other, so that what was written last is played last.
        """
        if self._reading:
            self._again = True
            return
        self._reading = True
        self._seen = self._settling = looks(self.path)
        done = self._in_thread(self._made_ready, self.path)
        done.addBoth(self._read_again, self._turn)

    def _read_again(self, made: Plot | Failure, turn: int) -> None:
        """The file was read."""
        self._reading = False
        again, self._again = self._again, False
        if turn == self._turn:
            self._go_on(made)
        if again and self._looking is not None:
            self.reload()

    def _go_on(self, made: Plot | Failure) -> None:
        try:
            if isinstance(made, Failure):
                made.raiseException()
            else:
                self.go_on_with(made)
                self.log.info("{path} was read again", path=self.path)
        except ScriptError as error:
            self.log.error("{error}; the script as it was is played on", error=str(error))
        except Exception:
            self.log.failure(
                "{path} cannot be read; the script as it was is played on", path=self.path
            )

    def _in_thread(self, call: Any, *arguments: Any) -> Deferred[Any]:
        """Call something in a thread, if there are threads."""
        pool = getattr(self.reactor, "getThreadPool", None)
        if pool is None:
            return maybeDeferred(call, *arguments)
        return deferToThreadPool(self.reactor, pool(), call, *arguments)

    def _made_ready(self, path: str) -> Plot:
        """What is in the file; the way that most conversations go first is made ready, too.

        Raises:
            ScriptError: it cannot be used.
        """
        plot = Plot(self._read(path))
        plot.way(plot.script.start, "")
        return plot

    def _read(self, path: str) -> Script:
        script = read(path)
        return script if self._seed is None else replace(script, seed=self._seed)


def looks(path: str) -> Looks:
    """What is seen of a file without reading it; another one, or another text, looks otherwise."""
    try:
        seen = os.stat(path)
    except (OSError, ValueError):  # no file has such a name
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _number(seed: str | None) -> int | None:
    try:
        return None if seed is None else int(seed)
    except ValueError:
        raise PlugError(f"seed must be a whole number, not {seed!r}") from None
