"""Our WebSocket server and clients of other makers: Node's `ws`, Python's `websockets`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.end_to_end.programs import HOST, PATIENCE

PLUG = """
from twisted_sock import LineProtocol

class Talk(LineProtocol):
    def lineReceived(self, line):
        if line == "bye":
            self.close()
            return "see you"
        return line
"""


@pytest.fixture(params=["off", "on"])
def deflate(request):
    return request.param


@pytest.fixture
def server(serve, plug, deflate):
    """A server that pings often, and compresses or does not."""
    plug("talk", PLUG)
    options = ["--protocol", "talk.Talk", "--deflate", deflate, "--ping-after", "0.2"]
    return serve(*options, port="ws:0")


def test_node(server, deflate, node, run):
    command, path = node
    script = Path(__file__).with_name("websocket_peer.js")
    peer = run([command, str(script), f"ws://{HOST}:{server.port}/", deflate], env=path)
    try:
        peer.out.expect("waiting\n")
    except AssertionError as error:
        raise AssertionError(peer.err.whole()) from error
    server.tell(signal.SIGTERM)
    assert peer.wait() == 0, peer.err.whole()
    assert peer.out.whole().count("ok ") == 8
    assert "closed 1001 ERR shutdown" in peer.out.whole()
    server.wait()


def to_the_end(talk):
    """What the server still says, and the code and words that it closes with."""
    said = []
    while True:
        try:
            said.append(talk.recv(PATIENCE))
        except ConnectionClosed as closed:
            return said, closed.rcvd.code, closed.rcvd.reason


def test_python(server, deflate):
    url = f"ws://{HOST}:{server.port}/"
    for compression in ("deflate", None):
        with connect(url, compression=compression) as talk:
            agreed = talk.response.headers.get("Sec-WebSocket-Extensions", "")
            used = compression is not None and deflate == "on"
            assert agreed.startswith("permessage-deflate") == used
            lines = ["héllo 世界", "", "x" * 60000, *map(str, range(1000))]
            for line in lines:
                talk.send(line)
            assert [talk.recv(PATIENCE) for _ in lines] == lines
            talk.send(["one\ntw", "o\r", "\nthr", "", "ee"])
            assert [talk.recv(PATIENCE) for _ in range(3)] == ["one", "two", "three"]
            assert talk.ping().wait(PATIENCE)
            talk.send("bye")
            assert to_the_end(talk) == (["see you"], 1000, "")
    for message, code in (("x" * 140_000, 1009), (b"\x00", 1003)):
        with connect(url) as talk:
            talk.send(message)
            assert to_the_end(talk)[1] == code
    for refused, status in ((f"{url}nowhere", 404), (url, 403)):
        with pytest.raises(InvalidStatus) as error:
            connect(refused, origin="http://evil.example" if status == 403 else None)
        assert error.value.response.status_code == status
    with connect(url) as talk:
        server.tell(signal.SIGTERM)
        [said], code, words = to_the_end(talk)
        assert (said, code) == (words, 1001)
        assert said.startswith("ERR shutdown ")
    server.wait()
