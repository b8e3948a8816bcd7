"""Where to connect to: what a person may write, and what is said about the rest."""

import os
import sys
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.endpoints import FORMS, LONGEST_PATH, client_endpoint, split
from twisted_sock.errors import SettingError
from twisted_sock.transports.websocket_client import WebSocketEndpoint

WEBSOCKETS = "twisted_sock.transports.websocket_client"

GOOD = {
    "WS://host:1": ("ws", "host", 1, ""),
    "http:1234": ("tcp", "http", 1234, ""),
    "1234": ("tcp", "127.0.0.1", 1234, ""),
    "localhost:1234": ("tcp", "localhost", 1234, ""),
    "10.0.0.1:80": ("tcp", "10.0.0.1", 80, ""),
    "bücher.example:80": ("tcp", "bücher.example", 80, ""),
    "[::1]:1234": ("tcp", "::1", 1234, ""),
    "[fe80::1%eth0]:1234": ("tcp", "fe80::1%eth0", 1234, ""),
    "tcp:host:65535": ("tcp", "host", 65535, ""),
    "tcp:[::1]:1": ("tcp", "::1", 1, ""),
    "tls:host:443": ("tls", "host", 443, ""),
    "tls:[::1]:443": ("tls", "::1", 443, ""),
    "tls:host:443:trustRoots=/etc/ssl": ("tls", "host", 443, ":trustRoots=/etc/ssl"),
    "unix:/run/line.sock": ("unix", "/run/line.sock", 0, ""),
    "unix:line.sock": ("unix", "line.sock", 0, ""),
    "ws://host": ("ws", "host", 80, ""),
    "ws://host/": ("ws", "host", 80, ""),
    "ws://host:1234": ("ws", "host", 1234, ""),
    "ws://[::1]:1234/path?query=1:2": ("ws", "::1", 1234, r":path=/path?query\=1\:2"),
    "ws://[::1]/é": ("ws", "::1", 80, ":path=/é"),
    "ws://host?a": ("ws", "host", 80, ":path=/?a"),
    "wss://host": ("wss", "host", 443, ""),
    "wss://host:8443//x//": ("wss", "host", 8443, ":path=//x//"),
    "ws:host:80": ("ws", "host", 80, ""),
    "ws:[::1]:80:path=/chat": ("ws", "::1", 80, ":path=/chat"),
    "wss:host:443:trustRoots=/etc/ssl:path=/a": (
        "wss",
        "host",
        443,
        ":trustRoots=/etc/ssl:path=/a",
    ),
}

BAD = {
    "": "no port",
    "localhost": "no port",
    "localhost:": "a number up to 65535, not ''",
    "localhost:http": "not 'http'",
    "localhost:0": "not '0'",
    "65536": "not '65536'",
    "localhost:65536": "not '65536'",
    "localhost:٣": "not '٣'",
    ":1234": "no host",
    "tcp::1234": "no host",
    "tcp:host": "no port",
    "tcp:host:1:timeout=5": "behind the port",
    "host:1:2": "'2'",
    "::1:1234": "brackets",
    "fe80::1": "brackets",
    "tls:::1:443": "brackets",
    "a b:1": "no host",
    "a\nb:1": "no host",
    "unix:": "no path",
    "unix:/" + "é" * 60: "bytes",
    "tls:host": "no port",
    "ws:host": "no port",
    "wss:host": "no port",
    "ws:": "no port",
    "ws://": "no host",
    "ws:///path": "no host",
    "ws://:1234/": "no host",
    "ws://host:": "a number up to 65535, not ''",
    "ws://host:x/": "not 'x'",
    "ws://host:0/": "not '0'",
    "ws://::1/": "brackets",
    "ws://::1:1234/": "brackets",
    "ws://me:secret@host/": "a name and a password cannot be given",
    "ws://host/#there": "no #",
    "ws://host#there": "no #",
    "ws://host/a b": "no space",
    "ws://host/a\nb": "no space",
    "ws://host:1:2/": "'2'",
    "ws:host:1:path=x": "begins with /",
    "ws:host:1:path=": "begins with /",
    "http://host:8080/": "lines are spoken at ws://host:8080/",
    "HTTPS://host": "lines are spoken at wss://host",
    "ws:host:1:trustRoots=/etc": "only path=/..., not 'trustRoots=/etc'",
}


class SplitTest(SynchronousTestCase):
    def test_what_a_person_may_write(self):
        for text, parts in GOOD.items():
            self.assertEqual(split(text), parts, text)

    def test_what_is_wrong_is_said_and_how_to_write_it(self):
        for text, words in BAD.items():
            error = self.assertRaises(SettingError, split, text)
            self.assertIn(words, str(error), text)
            self.assertTrue(str(error).endswith(f"; write {FORMS}"))


class ClientEndpointTest(SynchronousTestCase):
    def test_kinds(self):
        for text, kind in (
            ("1234", HostnameEndpoint),
            ("localhost:1234", HostnameEndpoint),
            ("[::1]:1234", HostnameEndpoint),
            ("unix:/run/line.sock", UNIXClientEndpoint),
            ("ws://localhost:1234", WebSocketEndpoint),
            ("ws:localhost:1234", WebSocketEndpoint),
            ("wss://localhost", WebSocketEndpoint),
        ):
            self.assertIsInstance(client_endpoint(text, reactor), kind)

    def test_what_goes_with_tls(self):
        for text, words in (
            ("tls:host:1:bogus=1", "there is no option bogus"),
            ("wss:host:1:bogus=1", "there is no option bogus"),
            ("tls:host:1:trustRoots=/nowhere/at/all", "no such folder of certificates"),
        ):
            error = self.assertRaises(SettingError, client_endpoint, text, reactor)
            self.assertIn(words, str(error))

    def test_path_with_colons(self):
        self.assertEqual(client_endpoint("unix:/run/a:b=c", reactor)._path, "/run/a:b=c")

    def test_the_longest_path(self):
        path = "/" + "x" * (LONGEST_PATH - 1)
        self.assertEqual(client_endpoint(f"unix:{path}", reactor)._path, path)
        error = self.assertRaises(SettingError, client_endpoint, f"unix:{path}x", reactor)
        self.assertIn(f"a path may have {LONGEST_PATH} bytes", str(error))

    def test_tls_that_is_not_installed(self):
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.ssl": None})
        error = self.assertRaises(SettingError, client_endpoint, "tls:localhost:1", reactor)
        words = "tls:localhost:1: TLS needs `pip install 'twisted_sock[tls]'`"
        self.assertEqual(str(error), words)

    def test_websockets(self):
        for text, asked in (
            ("ws://host", ("host", 80, "/", False)),
            ("ws://[::1]:1234/path?query=1:2", ("::1", 1234, "/path?query=1:2", False)),
            (r"ws:host:1234:path=/a\:b", ("host", 1234, "/a:b", False)),
            ("wss://host/x", ("host", 443, "/x", True)),
            ("wss:host:1:path=/x:trustRoots=/etc", ("host", 1, "/x", True)),
            (f"wss:host:1:trustRoots={os.sep}", ("host", 1, "/", True)),
        ):
            to = client_endpoint(text, reactor).url
            self.assertEqual((to.host, to.port, to.resource_name, to.secure), asked)

    def test_websockets_that_are_not_installed(self):
        for text in ("ws://localhost", "wss://localhost"):
            with patch.dict(sys.modules, {WEBSOCKETS: None}):
                error = self.assertRaises(SettingError, client_endpoint, text, reactor)
            words = f"{text}: WebSocket needs `pip install 'twisted_sock[web]'`"
            self.assertEqual(str(error), words)

    def test_timeout(self):
        self.assertEqual(client_endpoint("1234", reactor)._timeout, 30)
        self.assertEqual(client_endpoint("1234", reactor, 0.5)._timeout, 0.5)
        self.assertEqual(client_endpoint("unix:/x", reactor, 5)._timeout, 5)
        self.assertEqual(client_endpoint("ws://x", reactor, 5).timeout, 5)

    def test_bad(self):
        for text in (
            *BAD,
            "tls:host:1:wat=1",
            "tls:host:1:trustRoots=/nonexistent",
            "wss:host:1:wat=1",
            "wss:host:1:path=/:trustRoots=/nonexistent",
            f"ws://{'x' * 64}é.example/",
        ):
            error = self.assertRaises(SettingError, client_endpoint, text, reactor)
            self.assertTrue(str(error).startswith(f"{text}: not an endpoint, "), str(error))
