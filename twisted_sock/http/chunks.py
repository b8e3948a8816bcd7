"""Bodies in chunks (RFC 9112 section 7.1), read strictly.

Whatever could be read in two ways is refused, as in a head. So are fields behind the last chunk:
nothing here has a use for them, and others have taken them for fields of the head.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted_sock.http.head import malformed

#: Bytes that the line with the size of a chunk may have.
MOST = 1024

SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?")
#: What such a line may begin with.
BEGIN = re.compile(rb"[0-9A-Fa-f]{0,16}|[0-9A-Fa-f]{1,16};[\t\x20-\x7e\x80-\xff]*")

WORDS = "a chunk of the body is malformed"


class Chunks:
    """Takes one body out of its chunks, however they are cut.

    Args:
        receive: called with some of the body.
        end: called when the body is whole, with what came behind it.
    """

    def __init__(self, receive: Callable[[bytes], None], end: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._end = end
        self._data = bytearray()
        self._left = 0  # bytes of the chunk
        self._step = Chunks._take_size

    def dataReceived(self, data: bytes) -> None:
        """Take what came.

        Raises:
            Refusal: it is malformed.
        """
        self._data += data
        while self._data and self._step(self):
            pass

    def _take_size(self) -> bool:
        data = self._data
        end = data.find(b"\r\n", 0, MOST)
        if end < 0:
            if len(data) >= MOST or not BEGIN.fullmatch(bytes(data).removesuffix(b"\r")):
                raise malformed(WORDS)
            return False
        size = SIZE.fullmatch(bytes(data[:end]))
        if size is None:
            raise malformed(WORDS)
        del data[: end + 2]
        self._left = int(size[1], 16)
        self._step = Chunks._take_data if self._left else Chunks._take_end
        return True

    def _take_data(self) -> bool:
        data = bytes(self._data[: self._left])
        del self._data[: len(data)]
        self._left -= len(data)
        if not self._left:
            self._step = Chunks._take_data_end
        self._receive(data)
        return True

    def _take_data_end(self) -> bool:
        if not self._ends(WORDS):
            return False
        del self._data[:2]
        self._step = Chunks._take_size
        return True

    def _take_end(self) -> bool:
        if self._ends("a body in chunks may have no fields behind it"):
            rest = bytes(self._data[2:])
            self._data.clear()
            self._end(rest)
        return False

    def _ends(self, words: str) -> bool:
        """Whether the end of a line is there; nothing else may be."""
        if not b"\r\n".startswith(self._data[:2]):
            raise malformed(words)
        return len(self._data) >= 2
