"""The promises of every transport, over real sockets."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.contracts import STREAM, promises
from tests.end_to_end.worlds import http, proxied, sockets, tls, udp, websocket

#: What makes each world in a folder of its own, and what it can do (see `tests/contracts.py`).
WORLDS = {
    "tcp": (sockets.tcp, STREAM),
    "tcp6": (sockets.tcp6, STREAM),
    "unix": (sockets.unix, STREAM),
    "fast tcp": (sockets.fast_tcp, STREAM),
    "fast unix": (sockets.fast_unix, STREAM),
    "fast proxied": (proxied.fast_proxied, STREAM),
    "fast tls": (tls.fast_tls, tls.CAN),
    "fast websocket": (websocket.fast_websocket, websocket.CAN),
    "fast http": (http.fast_http, http.CAN),
    "udp": (udp.udp, udp.CAN),
    "udp6": (udp.udp6, udp.CAN),
}

CASES = [
    pytest.param(make, promise, id=f"{promise.__name__}-{name}")
    for name, (make, can) in WORLDS.items()
    for promise in promises(can)
]


@pytest.mark.parametrize(("make", "promise"), CASES)
@pytest_twisted.ensureDeferred
async def test_promise(make, promise, tmp_path, no_leaks):
    world = make(tmp_path)
    try:
        await promise(world)
    finally:
        await world.close()
    no_leaks.flush(ValueError)
