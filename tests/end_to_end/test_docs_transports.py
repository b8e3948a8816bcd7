"""The examples of docs/transports.md, as they stand there, but on free ports."""

import pytest

from .docs_sessions import Player, sections

SECTIONS = sections("docs/transports.md")


@pytest.mark.parametrize("section", [pytest.param(each, id=each.title) for each in SECTIONS])
def test_the_examples_work(section, tmp_path, at_the_end):
    Player(tmp_path, at_the_end).play(section)


def test_every_transport_has_one():
    titles = {each.title for each in SECTIONS}
    for transport in ("TCP", "TLS", "UNIX", "UDP", "WebSocket", "HTTP", "proxy", "systemd"):
        assert any(transport.lower() in title.lower() for title in titles), titles
