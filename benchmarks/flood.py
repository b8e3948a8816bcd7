"""A flood, as a program of its own: connections that send lines as fast as they are answered.

    python -m benchmarks.flood PORT CONNECTIONS DEPTH

With a DEPTH that no socket holds, a connection never waits: it sends what there is room for while
answers come. Says FLOODING when it begins; ends when it is told to, or when the server breaks a
connection.
"""

from __future__ import annotations

import os
import sys

from benchmarks.closed_loop import ClosedLoop
from benchmarks.errors import BenchError
from benchmarks.plan import raise_open_files

FLOODING = "flooding"
ENDLESS = 1 << 60


def main() -> int:
    """Flood.

    Returns:
        The exit status: the flood has failed, since it ends only by a signal.
    """
    port, connections, depth = map(int, sys.argv[1:])
    os.nice(10)  # who measures shares this core, and must not wait for it
    raise_open_files()
    try:
        with ClosedLoop(port, b"PING\r\n", b"+PONG\r\n", clients=connections, depth=depth) as loop:
            print(FLOODING, flush=True)
            loop.run(ENDLESS)
    except BenchError as error:
        print(error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
