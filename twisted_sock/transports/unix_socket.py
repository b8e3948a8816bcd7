"""UNIX sockets that listen, and the files that stand for them.

A program that is killed leaves the file of its socket behind, and nobody can bind a socket there
again. So a file at which nobody listens is removed first; one at which somebody does never is,
nor anything else that is no socket. Who starts here holds a lock meanwhile, as two programs that
find the same stale file could otherwise each remove it, and the second would remove the socket of
the first. The lock is a file of its own, made so that only its owner can open it, held for the
moment of starting with `flock`, and so free again whatever becomes of the holder. A lock that is
held for as long as a server runs, or that stays as a symbolic link with a number in it, as
Twisted's, can be stale itself; and on the folder anybody who can read it could hold one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from twisted_sock.errors import ListenError, SettingError

#: Bytes that a path may have: all of `sun_path` but the NUL behind it (`man 7 unix`).
LONGEST = 107 if sys.platform == "linux" else 103

#: What a path begins with that is a name in the abstract namespace of Linux instead.
ABSTRACT = ("@", "\0")

TAKEN = "another server listens there already"

#: What is behind the path of a socket in that of its lock.
LOCK = ".starting"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect.

    Args:
        mode: the permissions; who may write may connect.
        uid: the owner; -1 for the user that the process runs as.
        gid: the group; -1 for the one that new files have there.
    """

    mode: int = 0o660
    uid: int = -1
    gid: int = -1


class SocketFile:
    """The file of a socket that is bound.

    Args:
        path: its path.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # it is known by that when the folder is another
        self._identity = _identity(os.lstat(path))

    def remove(self) -> None:
        """Remove it, unless it is gone, or another has taken its place.

        The socket must still be open: until then its number is not given to another file.

        Raises:
            OSError: it cannot be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            if _identity(os.lstat(self._path)) == self._identity:
                os.unlink(self._path)


def see(path: str) -> bool:
    """See whether a path can be that of a socket.

    Returns:
        Whether it is an abstract name.

    Raises:
        SettingError: it cannot be.
    """
    size = len(os.fsencode(path))
    abstract = path.startswith(ABSTRACT)
    if not path or path in ABSTRACT or "\0" in path[1:]:
        raise SettingError(f"{path!r} is no path for a socket")
    if size > LONGEST:
        raise SettingError(f"{path}: it has {size} bytes; a socket's path has at most {LONGEST}")
    if abstract and sys.platform != "linux":
        raise SettingError(f"{path!r}: only Linux has abstract names")
    return abstract


def user(name: str) -> int:
    """The number of a user.

    Args:
        name: a name or number; -1 is the answer when it is empty.

    Raises:
        SettingError: there is no such user.
    """
    return _number("user", name, lambda known: pwd.getpwnam(known).pw_uid)


def group(name: str) -> int:
    """The number of a group (see `user`)."""
    return _number("group", name, lambda known: grp.getgrnam(known).gr_gid)


def _number(kind: str, name: str, look_up: Callable[[str], int]) -> int:
    if not name:
        return -1
    if name.isascii() and name.isdigit() and int(name) < 0xFFFF_FFFF:
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        raise SettingError(f"there is no {kind} {name!r} here") from None


def listen(path: str, access: Access, backlog: int) -> tuple[socket.socket, SocketFile | None]:
    """Make a socket that listens.

    Args:
        path: where; `@name` for an abstract name, which everybody may connect to.
        access: who may connect.
        backlog: the connections that may wait to be accepted.

    Returns:
        The socket, which does not block, and the file to remove before it is closed.

    Raises:
        ListenError: somebody listens there; or something else is there; or the system does not
            allow it.
    """
    try:
        if path.startswith(ABSTRACT):
            return _listen_by_name(f"\0{path[1:]}", backlog), None
        with _lock(path):
            _clear(path)
            return _listen_by_path(path, access, backlog)
    except OSError as error:
        raise ListenError(f"{path!r}: {_words(path, error)}") from error


def _words(path: str, error: OSError) -> str:
    """What is wrong when the system does not let us listen."""
    folder = os.path.dirname(path) or "."
    if error.errno == errno.EADDRINUSE:
        return TAKEN
    if error.filename is None or os.path.lexists(error.filename):
        at = f": {error.filename!r}" if error.filename else ""
        return f"{error.strerror}{at}"
    if isinstance(error, FileNotFoundError):
        return f"there is no folder {folder!r}"
    return f"{error.strerror}: no socket can be made in {folder!r}"


def _listen_by_name(name: str, backlog: int) -> socket.socket:
    """Nothing is ever stale here: a name is gone with its socket."""
    with _closed_on_error(socket.socket(socket.AF_UNIX)) as listening:
        listening.setblocking(False)
        listening.bind(name)
        listening.listen(backlog)
    return listening


def _listen_by_path(path: str, access: Access, backlog: int) -> tuple[socket.socket, SocketFile]:
    with _closed_on_error(socket.socket(socket.AF_UNIX)) as listening:
        listening.setblocking(False)
        before = os.umask(0o777 & ~access.mode)  # the file is never more open than it is to be
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        file = SocketFile(path)
        try:
            _admit(path, access)
            listening.listen(backlog)  # nobody can connect before this
        except BaseException:
            file.remove()
            raise
    return listening, file


def _admit(path: str, access: Access) -> None:
    """Give a new socket to those who may connect."""
    if (access.uid, access.gid) != (-1, -1):
        try:
            os.chown(path, access.uid, access.gid, follow_symlinks=False)
        except OSError as error:
            raise ListenError(f"{path!r}: its owner cannot be set: {error.strerror}") from error
    if stat.S_IMODE(os.lstat(path).st_mode) != access.mode:  # where folders have default ACLs
        os.chmod(path, access.mode)


def _clear(path: str) -> None:
    """Remove the file of a socket at which nobody listens.

    Raises:
        ListenError: somebody does, or it is no such file.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(f"{path!r}: it is there already, and is no socket")
    if why := _alive(path):
        raise ListenError(f"{path!r}: {why}")
    os.unlink(path)


def _alive(path: str) -> str:
    """Why a socket may not be removed, if it may not: only a refusal tells that nobody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a server that accepts nobody has a full queue
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return ""
        except BlockingIOError:
            pass
        except OSError as error:
            return f"{error.strerror}: whether another server listens there cannot be seen"
    return TAKEN


@contextlib.contextmanager
def _lock(path: str) -> Iterator[None]:
    """Be the only one who starts to listen there.

    Raises:
        ListenError: another does.
    """
    lock = path + LOCK
    while True:
        # A file of somebody else's, or a symbolic link, is not followed.
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ListenError(f"{path!r}: {_holder(fd)} is about to listen there") from None
            if not _is_at(lock, fd):  # its last holder has removed it meanwhile
                continue
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(lock)
            return
        finally:
            os.close(fd)


def _holder(fd: int) -> str:
    """Who holds a lock, as far as its file tells."""
    owner = os.fstat(fd).st_uid
    return "another server" if owner == os.geteuid() else f"a process of user {owner}"


def _is_at(path: str, fd: int) -> bool:
    try:
        return _identity(os.lstat(path)) == _identity(os.fstat(fd))
    except FileNotFoundError:
        return False


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _closed_on_error(opened: socket.socket) -> Iterator[socket.socket]:
    try:
        yield opened
    except BaseException:
        opened.close()
        raise
