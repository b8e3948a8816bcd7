"""The examples of a page in the docs, played in their order as a reader would, on free ports.

A section of a page is played in a folder of its own. A block whose first line names a file, as
`# login.toml`, is written to it. A ```console block is a session: every line that begins with a
dollar is run, and must print what stands below it; errors may be left out, and stand last. A
status other than 0 has to be shown by `echo $?`. What ends with `&` goes on until the section is
over.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.test_docs import text

from .programs import HOST, PATIENCE, UNEXPECTED, Program, do_without

#: Ports that the examples name.
PORTS = ("1234", "1235", "6400", "8080", "8443", "9000")
PORT = re.compile(rf"(?<=[:\s/])({'|'.join(PORTS)})\b")

#: A title, or a block with its language.
PART = re.compile(r"^## (?P<title>[^\n]*)$|^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)

#: The name of the file that a block is.
NAMED = re.compile(r"(?:#:schema .*\n)?# ([\w.-]+\.(?:toml|py))\n")

#: Programs of the examples that may not be there.
PROGRAMS = ("nc", "socat", "openssl", "curl", "redis-server", "systemd-socket-activate")

#: What a program says when it is there for others, and as often as these words are in its command.
READY = {
    "systemd-socket-activate": ("Listening on", "-l "),
    "redis-server": ("Ready to accept connections", "redis-server"),
    "twistd": ("listens on", "--(?:port|endpoint|operator) "),
}

#: What is another in every run: times, the ports of clients, and how long tests took.
VARIES = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "unix": r"\b1\d{9}(?:\.\d+)?\b",
    "port": r"(?<=127\.0\.0\.1:)\d{4,5}\b",
    "took": r"\b(?:\d+m)?\d+\.\d{2,3}s\b",
}
VARYING = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in VARIES.items()))


@dataclass
class Section:
    """A section of a page.

    Args:
        page: the page.
        title: its title.
        blocks: the language and the text of each block in it.
    """

    page: str
    title: str
    blocks: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sessions(self) -> list[str]:
        """Its sessions."""
        return [text for kind, text in self.blocks if kind == "console"]

    def missing(self) -> str | None:
        """A program that its sessions need, and that is not here."""
        used = (name for name in PROGRAMS if re.search(rf"\b{name}\b", "".join(self.sessions)))
        return next((name for name in used if shutil.which(name) is None), None)


def sections(page: str) -> list[Section]:
    """The sections of a page that have something to play."""
    found = [Section(page, "")]
    for part in PART.finditer(text(page)):
        if part["title"]:
            found.append(Section(page, part["title"]))
        else:
            found[-1].blocks.append((part["kind"], part["text"]))
    return [section for section in found if section.sessions]


def files(page: str) -> Iterator[tuple[str, str]]:
    """The name and the text of each block of a page that is a file."""
    for part in PART.finditer(text(page)):
        named = NAMED.match(part["text"] or "")
        if named:
            yield named[1], part["text"]


def steps(session: str) -> Iterator[tuple[str, str]]:
    """The commands of a session, each with what it prints."""
    for step in re.split(r"^\$ ", session, flags=re.M)[1:]:
        command, _, output = step.replace("\\\n", "").partition("\n")
        yield command, output


def free_ports() -> dict[str, str]:
    """Free ports in place of those in the examples."""
    with ExitStack() as stack:
        taken = {name: stack.enter_context(socket.socket()) for name in PORTS}
        for each in taken.values():
            each.bind((HOST, 0))
        return {name: str(each.getsockname()[1]) for name, each in taken.items()}


def like(shown: str) -> re.Pattern[str]:
    """A pattern of what differs from some output only in what is another in every run."""
    pattern, end = "", 0
    for found in VARYING.finditer(shown):
        pattern += re.escape(shown[end : found.start()]) + VARIES[str(found.lastgroup)]
        end = found.end()
    return re.compile(pattern + re.escape(shown[end:]))


class Background(Program):
    """What goes on while others run: a command of the shell, and all that it has started."""

    def __init__(self, command: str, folder: Path, env: dict[str, str]) -> None:
        super().__init__(["setsid", "bash", "-c", f"exec 2>&1\n{command}"], folder, env=env)

    def wait_until_it_is_there(self, command: str) -> None:
        """Wait until others can connect, where its command is one of those that listen."""
        for program, (words, each) in READY.items():
            if program in command:
                for _ in re.findall(each, command):
                    self.out.expect(words)
                return

    def reap(self) -> None:
        """See that all of it is gone, and that nothing went wrong in it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
        printed = self.out.whole()
        assert not UNEXPECTED.search(printed), printed[-3000:]


class Player:
    """Plays a section, in a folder where nothing is yet.

    Args:
        folder: the folder.
        at_the_end: where it says what is to be done afterwards.
    """

    def __init__(self, folder: Path, at_the_end: ExitStack) -> None:
        self._folder = folder
        self._at_the_end = at_the_end
        self._ports = free_ports()
        beside = Path(sys.executable).parent
        self._env = {"PATH": f"{beside}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"}
        self._status = 0

    def play(self, section: Section) -> None:
        """Write its files, and run its sessions."""
        if missing := section.missing():
            do_without(missing)
        for kind, block in section.blocks:
            self._show(kind, PORT.sub(lambda found: self._ports[found[1]], block))
        assert self._status == 0, "the last command failed"

    def _show(self, kind: str, block: str) -> None:
        if named := NAMED.match(block):
            (self._folder / named[1]).write_text(block)
        elif kind == "console":
            for command, output in steps(block):
                self._step(command, output)

    def _step(self, command: str, shown: str) -> None:
        if command.endswith("&"):
            assert not shown, f"{command}: what it prints cannot be compared"
            self._begin(command[:-1])
            return
        assert self._status == 0 or "$?" in command, f"what failed is behind: {command}"
        out, err = self._run(command)
        assert like(shown).fullmatch(out) or like(shown).fullmatch(out + err), (
            f"$ {command}\n--- the page shows\n{shown}\n--- it printed\n{out}{err}"
        )

    def _begin(self, command: str) -> None:
        begun = Background(command, self._folder, self._env)
        self._at_the_end.callback(begun.reap)
        begun.wait_until_it_is_there(command)

    def _run(self, command: str) -> tuple[str, str]:
        done = subprocess.run(
            ["bash", "-c", f"(exit {self._status})\n{command}"],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE + 10,
            check=False,
        )
        self._status = done.returncode
        out, err = (each.decode(errors="backslashreplace") for each in (done.stdout, done.stderr))
        return out, err
