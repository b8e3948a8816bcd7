"""Who may ask: names of the server, and pages."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import SettingError
from twisted_sock.http.access import Access
from twisted_sock.http.answers import Refusal

UNHURRIED = settings(deadline=None, max_examples=100)


def asked(act, *arguments):
    """The status that something is refused with, or what it returns."""
    try:
        return act(*arguments)
    except Refusal as refusal:
        return refusal.answer.status


class Hosts(SynchronousTestCase):
    def check(self, hosts, host):
        return asked(Access(hosts, "").check_host, host)

    def test_names_that_lead_nowhere_else(self):
        for host in (
            "localhost", "LOCALHOST:80", "localhost.", "a.localhost:1234", "127.0.0.1",
            "192.0.2.7:8080", "[::1]", "[2001:db8::1]:443", "localhost:",
        ):  # fmt: skip
            self.assertIsNone(self.check("", host), host)

    def test_other_names_must_be_ours(self):
        for host in ("example.org", "localhost.example.org", "xlocalhost", "127.0.0.1.nip.io"):
            self.assertEqual(self.check("", host), 421, host)
            self.assertIsNone(self.check("*", host), host)
        self.assertIsNone(self.check("a.example, Example.org", "example.ORG.:8080"))
        self.assertEqual(self.check("a.example", "b.a.example"), 421)

    def test_the_refusal_says_what_to_do(self):
        with self.assertRaises(Refusal) as caught:
            Access("", "").check_host("example.org")
        self.assertIn("--hosts", str(caught.exception))
        self.assertNotIn("example.org", caught.exception.log)

    def test_malformed(self):
        for host in ("", "a b", "a@b", "a:b", "a:123456", "[::1", "a/b", "a;b", "a,b", "a'b"):
            self.assertEqual(self.check("*", host), 400, host)

    def test_what_is_no_name_cannot_be_listed(self):
        for hosts in ("https://x.example", "x.example:8080", "x.example/", "a b", "::1", "a,b:1"):
            with self.assertRaisesRegex(SettingError, "names only, like sock.example.org"):
                Access(hosts, "")
        self.assertEqual(self.check("[2001:db8::1], x_y.example", "x_y.example"), None)

    def test_names_with_other_letters_are_listed_in_ascii(self):
        with self.assertRaisesRegex(SettingError, "xn--"):
            Access("b\xfccher.example", "")
        self.assertIsNone(self.check("xn--bcher-kva.example", "xn--bcher-kva.example:80"))

    @UNHURRIED
    @given(st.text(max_size=20))
    def test_what_passes_can_stand_in_a_field(self, host):
        if self.check("*", host) is None:
            self.assertRegex(host, r"\A[A-Za-z0-9._:\[\]-]+\Z")


class Origins(SynchronousTestCase):
    def check(self, origin, host="localhost:8080", origins="", secure=False):
        values = origin if isinstance(origin, list) else [origin]
        return asked(Access("", origins).check_origin, values, host, secure)

    def test_no_page_at_all(self):
        self.assertEqual(self.check([]), "")

    def test_our_own_page(self):
        for origin, host in (
            ("http://localhost:8080", "localhost:8080"),
            ("http://LOCALHOST:8080", "localhost:8080"),
            ("http://localhost", "localhost"),
            ("http://localhost", "localhost:80"),
            ("http://localhost:80", "localhost"),
            ("https://localhost", "localhost"),  # TLS was taken off on the way
            ("https://localhost", "localhost:443"),
            ("http://[::1]:8080", "[::1]:8080"),
        ):
            self.assertEqual(self.check(origin, host), "", (origin, host))

    def test_over_tls(self):
        self.assertEqual(self.check("https://a.example", "a.example", secure=True), "")
        self.assertEqual(self.check("http://a.example", "a.example", secure=True), 403)

    def test_others_may_not(self):
        for origin in (
            "http://evil.example", "http://localhost", "http://localhost:8081",
            "http://localhost:8080.evil.example", "http://evil.example#localhost:8080",
            "http://evil@localhost:8080", "http://localhost:8080/", "null", "", "localhost:8080",
            "file://localhost:8080", "chrome-extension://localhost:8080", "http://",
            ["http://localhost:8080", "http://localhost:8080"],
            "http://localhost:8080 http://evil.example",
        ):  # fmt: skip
            self.assertEqual(self.check(origin), 403, origin)

    def test_a_port_of_another_scheme_is_another_port(self):
        self.assertEqual(self.check("http://a.example", "a.example:443"), 403)
        self.assertEqual(self.check("https://a.example", "a.example:80"), 403)

    def test_those_that_are_listed(self):
        listed = "https://a.example, http://b.example:8080 ,chrome-extension://abc"
        for origin in (
            "https://a.example", "https://A.example:443", "http://b.example:8080",
            "chrome-extension://abc",
        ):  # fmt: skip
            self.assertEqual(self.check(origin, origins=listed), origin)
        for origin in ("http://a.example", "https://a.example:444", "http://b.example", "null"):
            self.assertEqual(self.check(origin, origins=listed), 403)

    def test_null_is_listed_by_its_name(self):
        self.assertEqual(self.check("null", origins="null"), "null")
        self.assertEqual(self.check("http://a.example", origins="null"), 403)

    def test_all(self):
        for origin in ("http://evil.example", "null"):
            self.assertEqual(self.check(origin, origins="*"), origin)
        self.assertEqual(self.check("no\r\norigin", origins="*"), 403)

    def test_origins_with_other_letters_are_none(self):
        self.assertEqual(self.check("http://b\xfc.example", origins="*"), 403)
        self.assertEqual(self.check("http://xn--b.example", origins="*"), "http://xn--b.example")
        with self.assertRaisesRegex(SettingError, "xn--"):
            Access("", "https://b\xfccher.example")

    @UNHURRIED
    @given(st.text(max_size=20))
    def test_what_passes_can_stand_in_a_field(self, text):
        origin = self.check(f"http://{text}", origins="*")
        if origin != 403:
            self.assertRegex(origin, r"\A[!-~]+\Z")

    def test_what_is_no_origin_cannot_be_listed(self):
        for origins in ("a.example", "https://a.example/path", "https://"):
            with self.assertRaises(SettingError):
                Access("", origins)
