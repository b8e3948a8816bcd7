"""A server that is not there: its lines are in a file.

`mock:login.toml` plays a conversation script. The file is looked at every half second. When it
has changed, and is no longer being written, it is played from then on; conversations live on, in
the state that they are in. A file with a mistake is logged, once, and the old one played on.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from twisted_sock.errors import PlugError, ScriptError
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
        PlugError: the seed is no number.
    """

    log = Logger()

    def __init__(self, path: str, seed: str = "") -> None:
        self.path = path
        self._seed = _number(seed)
        self._seen = looks(path)
        self._settling = self._seen
        self._looking: LoopingCall | None = None
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
        """Read the file again; a mistake is logged, and the old script played on."""
        self._seen = self._settling = looks(self.path)
        try:
            self.play(self._read(self.path))
        except ScriptError as error:
            self.log.error("{error}; the script as it was is played on", error=str(error))
        else:
            self.log.info("{path} was read again", path=self.path)

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


def _number(seed: str) -> int | None:
    try:
        return int(seed) if seed else None
    except ValueError:
        raise PlugError(f"seed must be a whole number, not {seed!r}") from None
