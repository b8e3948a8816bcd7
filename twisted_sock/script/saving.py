"""A file that is either the old one or the new one, whatever happens meanwhile."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress


def save(path: str, text: str) -> None:
    """Put a text in the place of what a file holds, and see that it is on the disk.

    The file is for its owner alone.

    Args:
        path: the file; a link is followed.
        text: what it is to hold, as UTF-8.

    Raises:
        OSError: it cannot be written; then it is as it was.
    """
    path = os.path.realpath(path)
    number, beside = tempfile.mkstemp(
        dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}."
    )
    try:
        with open(number, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
