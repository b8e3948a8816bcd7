"""The site: what is at which path, who may ask, and what a connection may cost."""

from __future__ import annotations

import hashlib
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from tests.http_peer import END, HEAD, PEER, Visitor, chunk, post, request
from twisted_sock import Limits, LineProtocol, Reason
from twisted_sock.http.pages import Page
from twisted_sock.interfaces import Credentials, Peer
from twisted_sock.settings import Web
from twisted_sock.web import Site

UNHURRIED = settings(deadline=None, max_examples=100)

UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def site(**web):
    return Site(Web(**web))


def paged(**web):
    """A site with a page that these tests know."""
    made = site(**web)
    files = {"index.html": b"<p>hi", "page.css": b"p{}", "page.js": b"1"}
    made.pages = {
        "/" if name == "index.html" else f"/{name}": Page(name, content)
        for name, content in files.items()
    }
    return made


SITE = paged(origins="*")


def from_page(host):
    """The bytes of a POST that comes from a page."""
    return post(b"x").replace(b"\r\n", b"\r\nOrigin: http://" + host + b"\r\n", 1)


class ThePage(SynchronousTestCase):
    def ask(self, path="/", method="GET", visitor=None, **fields):
        visitor = visitor or Visitor(site=paged())
        return visitor.ask(request(method, path, **fields), bodiless=method == "HEAD")

    def test_its_files(self):
        for path, kind, body in (
            ("/", "text/html; charset=utf-8", b"<p>hi"),
            ("/?query", "text/html; charset=utf-8", b"<p>hi"),
            ("/page.css", "text/css; charset=utf-8", b"p{}"),
            ("/page.js", "text/javascript; charset=utf-8", b"1"),
        ):
            answer = self.ask(path)
            self.assertEqual((answer.status, answer.body), (200, body))
            self.assertEqual(answer.fields["content-type"], kind)
            self.assertEqual(answer.fields["cache-control"], "no-cache")

    def test_the_files_that_are_installed(self):
        answer = Visitor().ask(request())
        self.assertEqual(answer.status, 200)
        self.assertIn(b"<html", answer.body)

    def test_head(self):
        answer = self.ask(method="HEAD")
        self.assertEqual((answer.status, answer.fields["content-length"]), (200, "5"))
        self.assertEqual(self.ask("/line", "HEAD").status, 405)
        self.assertEqual(self.ask("/nothing", "HEAD").status, 404)

    def test_nothing_else_is_loaded_or_framed(self):
        fields = self.ask(host="a.localhost:8080").fields
        self.assertEqual(
            fields["content-security-policy"],
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self' ws://a.localhost:8080 wss://a.localhost:8080; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        )
        for host, sources in (
            ("[::1]:8080", "'self'"),
            ("[::1]", "'self'"),
            ("a_b.localhost", "'self'"),
            ("localhost:", "'self' ws://localhost wss://localhost"),
        ):
            policy = self.ask(host=host).fields["content-security-policy"]
            self.assertIn(f"; connect-src {sources}; ", policy)
        self.assertEqual(fields["x-content-type-options"], "nosniff")
        self.assertEqual(fields["x-frame-options"], "DENY")
        self.assertEqual(fields["referrer-policy"], "no-referrer")
        self.assertEqual(fields["cross-origin-opener-policy"], "same-origin")
        self.assertEqual(fields["cross-origin-resource-policy"], "same-origin")
        self.assertNotIn("server", fields)

    def test_a_browser_that_has_it_already(self):
        tag = self.ask().fields["etag"]
        self.assertEqual(tag, f'"{hashlib.sha256(b"<p>hi").hexdigest()[:32]}"')
        for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            answer = self.ask(if_none_match=known)
            self.assertEqual((answer.status, answer.body), (304, b""))
            self.assertEqual(answer.fields["etag"], tag)
            self.assertNotIn("content-length", answer.fields)
        self.assertEqual(self.ask(if_none_match='"other"').status, 200)
        self.assertNotEqual(self.ask("/page.js").fields["etag"], tag)

    def test_it_can_be_off(self):
        visitor = Visitor(site=site(page="off"))
        for path in ("/", "/page.css"):
            self.assertEqual(self.ask(path, visitor=visitor).status, 404)
        self.assertEqual(visitor.ask(post()).body, b"HELLO\n")


class Refusals(SynchronousTestCase):
    def refused(self, status, data, **web):
        """Ask for what is refused; return the answer, and whether the connection goes on."""
        visitor = Visitor(site=site(**web))
        answer = visitor.ask(data)
        self.assertEqual(answer.status, status, data)
        self.assertEqual(answer.fields["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(answer.body.count(b"\n"), 1)
        self.assertEqual(visitor.ended, answer.fields.get("connection") == "close")
        return answer, visitor

    def test_unknown_paths(self):
        for path in ("/x", "/lines", "/line/", "/page.py", "/../page.css", "//line", "*"):
            _, visitor = self.refused(404, request("GET", path))
            self.assertFalse(visitor.ended)

    def test_methods(self):
        for method, path, allowed in (
            ("GET", "/line", "POST, OPTIONS"),
            ("post", "/line", "POST, OPTIONS"),
            ("OPTIONS", "/", "GET, HEAD"),
            ("POST", "/", "GET, HEAD"),
            ("DELETE", "/page.css", "GET, HEAD"),
        ):
            answer, _ = self.refused(405, request(method, path))
            self.assertEqual(answer.fields["allow"], allowed)

    def test_kinds_of_body(self):
        for kind in (
            None, "text/plain", "TEXT/PLAIN; charset=UTF-8", 'text/plain;charset="utf-8"',
            "application/x-www-form-urlencoded", "application/octet-stream",
        ):  # fmt: skip
            self.assertEqual(Visitor().ask(post(content_type=kind)).status, 200, kind)
        for kind in (
            "application/json", "multipart/form-data; boundary=x", "text/html",
            "text/plain; charset=latin-1", "x",
        ):  # fmt: skip
            self.refused(415, post(content_type=kind))
        self.refused(415, post(content_encoding="gzip"))

    def test_fields_that_are_given_twice(self):
        for status, fields in (
            (415, b"Content-Type: text/plain\r\nContent-Type: text/html\r\n"),
            (415, b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"),
            (417, b"Expect: 100-continue\r\nExpect: tea\r\n"),
        ):
            self.refused(status, post().replace(b"\r\n", b"\r\n" + fields, 1))

    def test_a_body_that_is_said_to_be_too_long(self):
        answer, visitor = self.refused(413, post(b"x" * 11)[:-11], max_body=10)
        self.assertIn(b"--max-body", answer.body)
        self.assertEqual(visitor.counters.opened, 0)
        self.assertEqual(Visitor(site=site(max_body=10)).ask(post(b"x" * 10)).status, 200)
        self.assertEqual(Visitor(site=site(max_body=0)).ask(post(b"x\n" * 10)).status, 200)

    def test_a_body_that_turns_out_to_be_too_long(self):
        data = HEAD + chunk(b"x" * 10) + chunk(b"y") + END
        _, visitor = self.refused(413, data, max_body=10)
        self.assertEqual(visitor.counters.closed, {Reason.TOO_LONG: 1})

    def test_a_body_that_turns_out_to_be_too_long_behind_answers(self):
        visitor = Visitor(site=site(max_body=10))
        answer = visitor.ask(HEAD + chunk(b"x\n") + chunk(b"y\n" * 10) + END)
        self.assertEqual(bytes(answer.body), b"X\nERR too-long a body may have at most 10 bytes\n")
        self.assertTrue(visitor.ended)

    def test_the_rest_of_a_refused_body_is_no_request(self):
        body = post(b"evil")
        _, visitor = self.refused(413, post(body), max_body=10)
        self.assertTrue(visitor.ended)
        self.assertEqual(visitor.counters.opened, 0)

    def test_malformed_heads(self):
        for status, data in (
            (400, request(host=None)),
            (400, request(host="a b")),
            (400, request(transfer_encoding="chunked", content_length="3")),
            (400, request(a="b\r\n c")),
            (501, request(transfer_encoding="gzip")),
            (505, request(version="HTTP/2.0")),
            (417, post(expect="tea")),
        ):
            self.refused(status, data)

    def test_large_heads(self):
        self.refused(431, request(a="a" * 20_000))
        self.refused(414, request(path="/" + "a" * 20_000))
        self.refused(431, request(a="a" * 2000), max_head=1000)
        self.refused(431, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 100 + b"\r\n")

    def test_another_protocol(self):
        answer, _ = self.refused(400, b"\x16\x03\x01\x02\x00\x01")
        self.assertIn(b"TLS", answer.body)
        answer, _ = self.refused(400, b"hello\n")
        self.assertIn(b"HTTP", answer.body)


class WhoMayAsk(SynchronousTestCase):
    """Threat 11: pages of others, and DNS rebinding."""

    def status(self, data, **web):
        visitor = Visitor(site=site(**web))
        visitor.send(data)
        status = int(visitor.read().split(b" ")[1])
        noted = visitor.counters.problems[Reason.HANDSHAKE]
        self.assertEqual(noted, status in (400, 403, 421))
        return status

    def test_names(self):
        for data in (request(), post(), request(**UPGRADE), request("GET", "/nothing")):
            foreign = data.replace(b"localhost", b"evil.example")
            self.assertEqual(self.status(foreign), 421)
            self.assertNotEqual(self.status(foreign, hosts="evil.example"), 421)

    def test_pages_of_others(self):
        for origin in ("http://evil.example", "null", "http://localhost:81"):
            for ask in (post, lambda **fields: request(**UPGRADE, **fields)):
                self.assertEqual(self.status(ask(origin=origin)), 403)
                self.assertIn(self.status(ask(origin=origin), origins=origin), (101, 200))
                self.assertIn(self.status(ask(origin=origin), origins="*"), (101, 200))
                self.assertIn(self.status(ask(origin="http://localhost")), (101, 200))

    def test_a_page_that_may_ask_may_read_the_answer(self):
        """The Fetch standard, section 3.3.3."""
        visitor = Visitor(site=site(origins="https://a.example"))
        fields = visitor.ask(post(origin="https://a.example")).fields
        self.assertEqual(fields["access-control-allow-origin"], "https://a.example")
        self.assertEqual(fields["vary"], "Origin")
        self.assertNotIn("vary", visitor.ask(post(origin="http://localhost")).fields)

    def test_it_may_read_why_it_is_refused(self):
        origin = "https://a.example"
        full = Visitor(site=site(origins=origin, max_body=10), limits=Limits(max_connections=1))
        full.send(HEAD)
        broken = HEAD.replace(b"\r\n", f"\r\nOrigin: {origin}\r\n".encode(), 1) + b"x\r\n"
        for status, data in (
            (503, post(b"x", origin=origin)),
            (413, post(b"x" * 11, origin=origin)),
            (415, post(b"x", origin=origin, content_type="image/png")),
            (417, post(b"x", origin=origin, expect="tea")),
        ):
            answer = Visitor(factory=full.factory).ask(data)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.fields["access-control-allow-origin"], origin)
            self.assertEqual(answer.fields["access-control-expose-headers"], "Retry-After")
        full.close()
        answer = Visitor(factory=full.factory).ask(broken)
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.fields["access-control-allow-origin"], origin)

    def test_nobody_else_is_let_in_on_the_same_connection(self):
        visitor = Visitor(site=site(origins="https://a.example"))
        visitor.ask(post(origin="https://a.example"))
        for data in (post(), request("GET", "/x"), post(origin="http://evil.example")):
            self.assertNotIn("access-control-allow-origin", visitor.ask(data).fields)

    def test_a_browser_that_asks_first(self):
        """A preflight: the Fetch standard, section 3.3.2."""
        asks = {"access_control_request_method": "POST"}
        visitor = Visitor(site=site(origins="https://a.example"))
        answer = visitor.ask(request("OPTIONS", "/line", origin="https://a.example", **asks))
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.fields["access-control-allow-origin"], "https://a.example")
        self.assertEqual(answer.fields["access-control-allow-methods"], "POST")
        self.assertEqual(answer.fields["access-control-allow-headers"], "Content-Type")
        self.assertFalse(visitor.ended)
        data = request("OPTIONS", "/line", origin="http://evil.example", **asks)
        answer = visitor.ask(data)
        self.assertEqual(answer.status, 403)
        self.assertNotIn("access-control-allow-origin", answer.fields)

    def test_an_origin_that_cannot_stand_in_an_answer(self):
        """It is refused before anything begins, however the answer would have come."""
        for handler in (str.upper, lambda line: Deferred()):
            for ask in (post, lambda **fields: request(**UPGRADE, **fields)):
                visitor = Visitor(handler, site=site(origins="*"))
                visitor.send(ask(origin="http://b\xfc.example"))
                self.assertEqual(visitor.read()[:12], b"HTTP/1.1 403")
                self.assertEqual(visitor.counters.opened, 0)
                visitor.advance(10)
                self.assertTrue(visitor.gone)

    def test_another_host_in_the_target(self):
        for target in ("http://evil.example/line", "http://localhost/line"):
            for hosts in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
                data = f"POST {target} HTTP/1.1\r\n".encode() + hosts + b"\r\n"
                self.assertEqual(self.status(data), 400)
        data = request("POST", "http://evil.example/line", b"x")
        self.assertEqual(self.status(data), 421)
        self.assertEqual(self.status(request("POST", "http://localhost/line", b"x")), 200)

    def test_over_tls(self):
        for origin, status in (("http://localhost", 403), ("https://localhost", 200)):
            visitor = Visitor()
            directlyProvides(visitor.server, ISSLTransport)
            self.assertEqual(visitor.ask(post(origin=origin)).status, status)


class Upgrading(SynchronousTestCase):
    def test_websocket(self):
        visitor = Visitor()
        visitor.send(request(**UPGRADE))
        self.assertEqual(visitor.read().split(b"\r\n")[0], b"HTTP/1.1 101 Switching Protocols")
        visitor.send(b"\x81\x85" + bytes(4) + b"hello")
        self.assertEqual(visitor.read(), b"\x81\x05HELLO")

    def test_what_came_behind_the_request_at_once(self):
        for piece in (1, 7, 65536):
            visitor = Visitor()
            visitor.send(request(**UPGRADE) + b"\x81\x85" + bytes(4) + b"hello", piece)
            self.assertEqual(visitor.read().partition(b"\r\n\r\n")[2], b"\x81\x05HELLO")

    def test_after_a_conversation_with_much_behind_the_request(self):
        """It reads again, though so much was not to be read ahead."""
        first = Deferred()
        visitor = Visitor(lambda line: "x" if first.called else first)
        frame = b"\x81\x85" + bytes(4) + b"hello"
        visitor.send(post())
        visitor.send(request(**UPGRADE) + frame * 3000)
        visitor.send(frame)
        first.callback("done")
        visitor.advance(1)
        self.assertTrue(visitor.read().endswith(b"\x81\x01x" * 3001))

    def test_the_time_for_the_head_is_no_time_for_the_conversation(self):
        visitor = Visitor(limits=Limits(handshake_timeout=5))
        visitor.send(request(**UPGRADE))
        visitor.advance(15)
        self.assertFalse(visitor.gone)
        self.assertEqual(len(visitor.owner.openings), 0)

    def test_not_so(self):
        for data in (
            request(**UPGRADE, content_length="3"),
            request(**UPGRADE, version="HTTP/1.0"),
            request(**{**UPGRADE, "sec_websocket_key": None}),
        ):
            visitor = Visitor()
            visitor.send(data)
            self.assertEqual(visitor.read()[:12], b"HTTP/1.1 400")
            self.assertEqual(visitor.counters.opened, 0)
            self.assertEqual(visitor.counters.problems, {Reason.HANDSHAKE: 1})
        visitor = Visitor()
        visitor.send(request("GET", "/line", **UPGRADE))
        self.assertEqual(visitor.read()[:12], b"HTTP/1.1 405")

    def test_what_is_wrong_is_told_in_one_line(self):
        for status, name, value, word in (
            (400, "sec_websocket_key", "short", b"Sec-WebSocket-Key"),
            (426, "sec_websocket_version", "8", b"13"),
            (426, "connection", "close", b"Connection"),
        ):
            noted = []
            visitor = Visitor()
            visitor.owner.note = lambda problem, peer, noted=noted: noted.append(str(problem))
            answer = visitor.ask(request(**{**UPGRADE, name: value}))
            self.assertEqual((answer.status, answer.body.count(b"\n")), (status, 1))
            self.assertIn(word, answer.body)
            self.assertEqual(noted, [f"ERR handshake {answer.body.decode().strip()}"])
            self.assertTrue(visitor.ended)
            wanted = ("websocket", "13") if status == 426 else (None, None)
            fields = answer.fields
            self.assertEqual((fields.get("upgrade"), fields.get("sec-websocket-version")), wanted)

    def test_other_protocols_that_are_offered_too(self):
        visitor = Visitor()
        visitor.send(request(**{**UPGRADE, "upgrade": "h2c, WebSocket"}))
        self.assertEqual(visitor.read()[:12], b"HTTP/1.1 101")


class Greets(LineProtocol):
    """Says something first."""

    def connectionMade(self):
        return "hi"

    def lineReceived(self, line):
        return line


class Continuing(SynchronousTestCase):
    def test_a_client_that_asks_first(self):
        """RFC 9110 section 10.1.1."""
        visitor = Visitor()
        visitor.send(post(expect="100-continue")[:-5])
        self.assertEqual(visitor.read(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(visitor.ask(b"hello").body, b"HELLO\n")

    def test_it_is_told_no_without_its_body(self):
        data = post(b"x" * 2_000_000, expect="100-continue").rstrip(b"x")
        self.assertEqual(Visitor().ask(data).status, 413)

    def test_before_a_greeting(self):
        visitor = Visitor(Greets)
        visitor.send(post(expect="100-continue")[:-5])
        came = visitor.read()
        self.assertTrue(came.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), came)
        visitor.send(b"hello")
        self.assertNotIn(b"100 Continue", visitor.read())

    def test_not_when_the_body_is_there(self):
        for handler in (Greets, str.upper):
            visitor = Visitor(handler)
            visitor.send(post(expect="100-continue"))
            self.assertNotIn(b"100", visitor.read())

    def test_not_to_a_client_of_http_1_0(self):
        visitor = Visitor()
        visitor.send(post(expect="100-continue", version="HTTP/1.0")[:-5])
        self.assertEqual(visitor.read(), b"")


class Deadlines(SynchronousTestCase):
    """Threats 8 and 9: heads that drip, and heads without end."""

    def test_a_head_that_drips(self):
        visitor = Visitor(limits=Limits(handshake_timeout=5))
        for byte in request()[:20]:
            visitor.send(bytes([byte]))
            visitor.advance(0.5)
        (answer,) = visitor.answers()
        self.assertEqual(answer.status, 408)
        self.assertEqual(visitor.counters.problems, {Reason.HANDSHAKE: 1})
        visitor.advance(4)
        self.assertTrue(visitor.gone)
        self.assertEqual(visitor.clock.getDelayedCalls(), [])

    def test_a_client_that_says_nothing(self):
        for data in (b"", b"\r\n"):
            visitor = Visitor()
            visitor.send(data)
            visitor.advance(10)
            self.assertEqual((visitor.read(), visitor.ended, visitor.gone), (b"", True, True))
            self.assertEqual(visitor.counters.problems, {Reason.HANDSHAKE: 1})

    def test_a_connection_that_is_kept_and_not_used(self):
        visitor = Visitor(site=paged())
        for _ in range(3):
            self.assertEqual(visitor.ask(request()).status, 200)
            visitor.advance(4)
        self.assertFalse(visitor.ended)
        visitor.advance(5)
        self.assertEqual((visitor.read(), visitor.ended), (b"", True))
        self.assertEqual(visitor.counters.problems, {})

    def test_a_long_answer_is_not_cut_off(self):
        visitor = Visitor(lambda line: Deferred(), limits=Limits(handshake_timeout=1))
        visitor.send(post())
        visitor.advance(100)
        self.assertFalse(visitor.gone)

    def test_a_file_that_is_taken_slowly(self):
        made = site()
        made.pages = {"/": Page("index.html", b"x" * 50_000)}
        visitor = Visitor(site=made, limits=Limits(handshake_timeout=2))
        visitor.client.pauseProducing()
        visitor.send(request())
        visitor.client.piece = 1000
        for _ in range(60):
            visitor.advance(1)
            visitor.client.resumeProducing()
            visitor.client.step()
            visitor.client.pauseProducing()
        visitor.client.resumeProducing()
        visitor.advance(0)
        self.assertEqual(len(visitor.answers()[0].body), 50_000)

    def test_a_file_that_nobody_takes(self):
        made = site()
        made.pages = {"/": Page("index.html", b"x" * 500_000)}
        visitor = Visitor(site=made)
        visitor.client.pauseProducing()
        visitor.send(request())
        visitor.advance(30)
        self.assertTrue(visitor.gone)
        self.assertEqual(visitor.clock.getDelayedCalls(), [])

    def test_a_flood_of_requests_for_a_file_that_nobody_takes(self):
        """Threat 1."""
        made = site()
        made.pages = {"/": Page("index.html", b"x" * 50_000)}
        visitor = Visitor(site=made)
        visitor.client.pauseProducing()
        visitor.send(request() * 10_000)
        self.assertLess(len(visitor.server.dataBuffer), 200_000)
        self.assertGreater(len(visitor.client.dataBuffer), 200_000)

    def test_many_requests_at_once_are_answered_without_deep_stacks(self):
        visitor = Visitor(site=paged())
        visitor.send(request() * 1000)
        self.assertEqual([answer.status for answer in visitor.answers()], [200] * 1000)

    def test_there_are_only_so_many(self):
        limits = Limits(max_handshakes=2)
        first = Visitor(limits=limits)
        others = [Visitor(factory=first.factory) for _ in range(2)]
        self.assertTrue(first.ended or first.advance(0) or first.ended)
        self.assertEqual(others[1].ask(post()).status, 200)
        self.assertEqual(others[0].ask(post()).status, 200)

    def test_at_the_end_of_the_server_idle_connections_close(self):
        idle = Visitor()
        asked = Visitor(factory=idle.factory)
        asked.send(request()[:10])
        drained = idle.owner.drain()
        idle.end()
        self.assertTrue(idle.gone)
        self.assertNoResult(drained)
        asked.advance(4)
        self.assertTrue(asked.gone)
        self.successResultOf(drained)
        self.assertEqual(idle.clock.getDelayedCalls(), [])

    def test_at_the_drain_deadline_what_is_left_is_dropped(self):
        visitor = Visitor(limits=Limits(drain_timeout=2, close_grace=0))
        drained = visitor.owner.drain()
        visitor.advance(1.9)
        self.assertNoResult(drained)
        visitor.advance(0.2)
        self.assertTrue(visitor.gone)
        self.successResultOf(drained)

    def test_a_client_that_leaves(self):
        for leave in (Visitor.end, Visitor.close, Visitor.reset):
            for data in (b"", request()[:9], request(), request(path="/x" * 9000)):
                visitor = Visitor()
                visitor.send(data)
                leave(visitor)
                visitor.advance(0)
                self.assertTrue(visitor.gone, (leave, data[:20]))
                self.assertEqual(visitor.clock.getDelayedCalls(), [])
                self.assertEqual(len(visitor.owner.openings), 0)


class WhoAsks(SynchronousTestCase):
    """Behind a proxy."""

    def peer(self, peer=PEER, trusted="192.0.2.0/24", **fields):
        peers = []

        class Sees(LineProtocol):
            def connectionMade(self):
                peers.append(self.peer)

            def lineReceived(self, line):
                """Nothing is said."""

        made = Site(Web(), (ip_network(trusted),) if trusted else ())
        Visitor(Sees, site=made, peer=peer).ask(post(**fields))
        return peers[0]

    def test_a_proxy_that_is_trusted(self):
        for fields in ({"x_forwarded_for": "198.51.100.7"}, {"forwarded": "for=198.51.100.7"}):
            peer = self.peer(**fields)
            self.assertEqual((peer.host, peer.via), ("198.51.100.7", PEER))

    def test_anybody_else(self):
        for trusted in ("", "10.0.0.0/8"):
            peer = self.peer(x_forwarded_for="198.51.100.7", trusted=trusted)
            self.assertEqual((peer.host, peer.via), ("192.0.2.1", None))

    def test_what_is_known_besides_is_kept(self):
        known = Peer(PEER, via=IPv4Address("TCP", "10.0.0.1", 1), credentials=Credentials(1, 2, 3))
        self.assertEqual(self.peer(known), known)
        peer = self.peer(known, x_forwarded_for="198.51.100.7")
        self.assertEqual((peer.credentials, peer.via), (known.credentials, PEER))

    def test_whom_a_refusal_is_about(self):
        noted = []
        made = Site(Web(), (ip_network("192.0.2.0/24"),))
        visitor = Visitor(site=made)
        visitor.owner.note = lambda problem, peer: noted.append(peer.host)
        visitor.send(post(origin="null", x_forwarded_for="198.51.100.7"))
        self.assertEqual(noted, ["198.51.100.7"])


class Anything(SynchronousTestCase):
    PARTS = (
        b"GET / HTTP/1.1\r\n", b"POST /line HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n",
        b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"hello", b"a\nb\n",
        b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"-1\r\n", b"\x00", b"\xff\n",
        b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: websocket\r\n",
        post(), request(), HEAD, END, chunk(b"x\n"),
    )  # fmt: skip

    PART = st.sampled_from(PARTS) | st.binary(max_size=5).map(from_page)

    @UNHURRIED
    @given(st.lists(PART, max_size=12), st.integers(1, 100), st.booleans(), st.booleans())
    def test_whatever_comes_the_connection_ends_and_nothing_is_left(
        self, parts, piece, leaves, waits
    ):
        def handle(line):
            return deferLater(visitor.clock, 0.1, str.upper, line) if waits else line.upper()

        visitor = Visitor(handle, site=SITE, limits=Limits(idle_timeout=20))
        visitor.send(b"".join(parts), piece)
        if leaves:
            visitor.end()
        visitor.advance(40)
        self.assertTrue(visitor.gone)
        self.assertEqual(visitor.counters.current, 0)
        self.assertEqual(visitor.clock.getDelayedCalls(), [])


class Cutting(SynchronousTestCase):
    """However what is sent is cut, the answers are the same."""

    STREAMS = (
        post(b"a\nb\nc"),
        post(b"a") + request() + request("GET", "/x") + post(b"b"),
        HEAD + chunk(b"a\nb") + chunk(b"c\n") + END + post(b"d"),
        HEAD + chunk(b"a") + b"zz\r\n",
        request() + b"\r\n\r\n" + request(path="/line"),
        request(version="HTTP/1.0") + request(),
        post(b"x" * 30, content_type="image/png") + request(),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    )  # fmt: skip

    @UNHURRIED
    @given(st.sampled_from(STREAMS), st.integers(1, 80))
    def test_the_answers_are_the_same(self, data, piece):
        texts = []
        for size in (piece, 65536):
            visitor = Visitor(site=SITE)
            visitor.send(data, size)
            visitor.advance(0.1)
            texts.append([(answer.status, answer.body) for answer in visitor.answers()])
        self.assertEqual(*texts)
