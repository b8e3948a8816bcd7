"""A file that is either the old one or the new one, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress


def save(path: str, text: str | Iterable[str], replace: bool = True) -> int:
    """Put a text in the place of what a file holds, and see that it is on the disk.

    The file is for its owner alone.

    Args:
        path: the file; a link is followed.
        text: what it is to hold, as UTF-8; may be given in pieces.
        replace: whether there may be such a file already.

    Returns:
        The bytes that it holds.

    Raises:
        FileExistsError: there is, and may not be.
        OSError: it cannot be written; then it is as it was.
    """
    see(path)
    path = os.path.realpath(path)
    number, beside = tempfile.mkstemp(
        dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}."
    )
    try:
        with open(number, "w", encoding="utf-8", newline="\n") as file:
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        if replace:
            os.replace(beside, path)
        else:
            os.link(beside, path)
            os.unlink(beside)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    return size


def see(path: str) -> None:
    """See that what is at a path, if anything, may be replaced by a file.

    Raises:
        OSError: it is a device, a socket or the like, which must stay what it is.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is no plain file", path)
