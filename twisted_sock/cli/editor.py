"""The line editor of `twisted-sock connect`: prompt_toolkit, on a reactor that runs on asyncio.

What comes is shown above the line that is being typed, which stays as it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sock.cli.terminal import Typist

PROMPT = "> "

#: Lines that may wait to be shown; then the peer has to wait.
WAITING = 1000

#: Seconds in which lines are gathered, to be shown together.
GATHERING = 0.02


class Editor:
    """A terminal with a line editor.

    Args:
        history: whether lines are kept for the next time.
    """

    def __init__(self, history: bool = True) -> None:
        self._waiting: list[str] = []
        self._held = False
        self._showing: asyncio.Task[None] | None = None
        self._typing: asyncio.Task[None] | None = None
        self._typist: Typist | None = None
        self._history = history
        self._prompt = PROMPT
        self._begin = ""  # what the next line begins with
        self._session: PromptSession[str] | None = None

    def start(self, typist: Typist) -> None:
        """Let the person type."""
        self._typist = typist
        kept: History = InMemoryHistory()
        if self._history:
            try:
                kept = Kept(history_file(), self._tell_history)
            except OSError as error:
                self._tell_history(error)
        session: PromptSession[str] = PromptSession(history=kept, enable_suspend=True)
        session.default_buffer.on_text_changed += lambda text: typist.typing(bool(text.text))
        self._session = session
        self._typing = asyncio.ensure_future(self._type(session, typist))

    def show(self, lines: list[str]) -> None:
        """Show some lines above the one that is being typed."""
        self._waiting += lines
        if len(self._waiting) > WAITING and self._typist is not None and not self._held:
            self._held = True
            self._typist.pauseProducing()
        if self._showing is None:
            self._showing = asyncio.ensure_future(self._show())

    def ask(self, prompt: str, answers: bool) -> None:
        """Show this from now on before what is typed."""
        if prompt != self._prompt:
            self._prompt = prompt
            if self._session is not None:
                self._session.app.invalidate()

    def give_back(self, text: str) -> bool:
        """Put back what was typed, where nothing else is typed yet."""
        if self._session is None or not self._session.app.is_running:
            if self._begin:
                return False
            self._begin = text
            return True
        line = self._session.default_buffer
        if line.text:
            return False
        line.insert_text(text)
        return True

    def close(self) -> Deferred[None]:
        """Leave the terminal as it was found."""
        return Deferred.fromFuture(asyncio.ensure_future(self._close()))

    async def _type(self, session: PromptSession[str], typist: Typist) -> None:
        try:
            while True:
                begin, self._begin = self._begin, ""
                if begin:
                    typist.typing(True)
                typed = await session.prompt_async(
                    lambda: self._prompt, default=begin, set_exception_handler=False
                )
                typist.typed(typed)
        except EOFError:
            typist.ended()
        except KeyboardInterrupt:
            typist.interrupted()
        except Exception:
            typist.failed(Failure())

    async def _show(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHERING)
            await run_in_terminal(self._print)
            if self._held and self._typist is not None:
                self._held = False
                self._typist.resumeProducing()
        self._showing = None

    def _tell_history(self, error: OSError) -> None:
        where = f"{error.filename}: " if error.filename else ""
        self.show([f"(no history: {where}{error.strerror})"])

    def _print(self) -> None:
        lines, self._waiting = self._waiting, []
        print("\n".join(lines), flush=True)

    async def _close(self) -> None:
        typing = self._typing
        if typing is not None and typing is not asyncio.current_task():
            typing.cancel()
            await asyncio.wait([typing])
        if self._showing is not None:
            await self._showing


class Kept(FileHistory):
    """A history in a file; in memory from when the file cannot be written.

    Args:
        path: the file.
        tell: told, once, why it cannot.
    """

    def __init__(self, path: Path, tell: Callable[[OSError], None]) -> None:
        super().__init__(str(path))
        self._tell: Callable[[OSError], None] | None = tell

    def store_string(self, string: str) -> None:
        """Keep a line for the next time (see `History`)."""
        if self._tell is None:
            return
        try:
            super().store_string(string)
        except OSError as error:
            tell, self._tell = self._tell, None
            tell(error)


def history_file() -> Path:
    """The file of the history, in the user's state folder; made if it is missing, and private.

    Raises:
        OSError: it cannot be.
    """
    # https://specifications.freedesktop.org/basedir-spec: a relative path is to be ignored.
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    path = state / "twisted_sock" / "history"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)
    return path
