"""What systemd hands over, and what it is told."""

import gc
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import _SystemdParser
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import systemd
from twisted_sock.errors import SettingError
from twisted_sock.systemd import Notifier, Passed, inherited, passed


class FolderTest(SynchronousTestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = str(self.folder / "sock")


class InheritedTest(FolderTest):
    def setUp(self):
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.passed = []
        self.patch(systemd, "passed", lambda _: self.passed)

    def hand_over(self, name, opened, listening=True):
        """Let systemd pass a socket."""
        self.addCleanup(opened.close)
        if listening:
            opened.listen()
        self.passed.append(Passed(name, opened.fileno()))
        return opened

    def unix(self, name="lines"):
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(self.path)
        os.chmod(self.path, 0o600)
        return self.hand_over(name, opened)

    def tcp(self, name="lines"):
        opened = socket.socket()
        opened.bind(("127.0.0.1", 0))
        return self.hand_over(name, opened)

    def refused(self, *arguments):
        with self.assertRaises(SettingError) as caught:
            inherited(self.reactor, *arguments)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def listen(self, *arguments):
        return self.successResultOf(inherited(self.reactor, *arguments).listen(Factory()))

    def stop(self, port):
        stopped = port.stopListening()
        self.reactor.advance(0)
        self.successResultOf(stopped)

    def test_a_unix_socket(self):
        theirs = self.unix()
        port = self.listen("lines")
        self.assertIn(port, self.reactor.getReaders())
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.stop(port)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)  # it is still there, and still listens
            theirs.accept()[0].close()

    def test_a_tcp_socket(self):
        """It is the reactor's own way to adopt one."""
        opened = self.tcp()
        self.reactor.adoptStreamPort = lambda *what: what[:2]
        self.assertEqual(self.listen("lines"), (opened.fileno(), socket.AF_INET))
        self.assertFalse(opened.getblocking() and os.get_blocking(opened.fileno()))

    def test_it_can_be_listened_on_again(self):
        self.unix()
        endpoint = inherited(self.reactor, "lines")
        for _ in range(3):
            self.stop(self.successResultOf(endpoint.listen(Factory())))

    def test_what_we_start_does_not_get_it(self):
        opened = self.unix()
        opened.set_inheritable(True)
        inherited(self.reactor, "lines")
        self.assertFalse(opened.get_inheritable())

    def test_nothing_is_left_open(self):
        self.unix()
        gc.collect()  # of other tests
        before = set(os.listdir("/dev/fd"))
        self.refused("other")
        self.stop(self.listen("lines"))
        self.assertEqual(set(os.listdir("/dev/fd")) - before, set())

    def test_by_name_and_index(self):
        tcp = self.tcp()
        self.unix()
        third = self.tcp("other")
        self.reactor.adoptStreamPort = lambda fd, *_: fd
        self.assertEqual(self.listen("lines", "0"), tcp.fileno())
        self.assertEqual(self.listen("other"), third.fileno())
        self.assertEqual(self.listen("", "2"), third.fileno())
        self.assertEqual(self.listen("other", "0"), third.fileno())

    def test_the_only_one_needs_no_name(self):
        self.unix()
        self.stop(self.listen("", ""))

    def test_it_must_be_clear_which(self):
        self.tcp()
        self.unix()
        self.assertIn("there are 2: lines; say which with index=", self.refused("lines"))
        for index in ("2", "-1", "x", "1.0"):
            self.assertIn("index: below 2", self.refused("lines", index))

    def test_not_started_by_systemd(self):
        self.assertIn("must be started by its socket unit", self.refused("lines"))

    def test_no_such_name(self):
        self.tcp("web")
        self.unix("lines")
        self.assertIn("no socket 'other'; there are: lines, web", self.refused("other"))

    def test_datagrams(self):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.hand_over("lines", opened, listening=False)
        self.assertIn("is for datagrams", self.refused("lines"))

    def test_packets(self):
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        opened.bind(self.path)
        self.hand_over("lines", opened)
        self.assertIn("neither TCP nor a UNIX stream", self.refused("lines"))

    def test_a_connection(self):
        """This is what Accept=yes gives."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.hand_over("connection", ours, listening=False)
        self.assertIn("must say Accept=no", self.refused("connection"))

    def test_no_socket_at_all(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.passed.append(Passed("fifo", reading))
        self.assertIn("'fifo' is no socket", self.refused("fifo"))


class PassedTest(SynchronousTestCase):
    """What Twisted has taken from the environment."""

    def take(self, environ):
        environ["LISTEN_PID"] = str(os.getpid())
        self.patch(os, "environ", environ)
        taken = ListenFDs.fromEnvironment(environ)
        self.patch(_SystemdParser, "_sddaemon", taken)
        return passed(MemoryReactorClock())

    def test_nothing(self):
        self.assertEqual(self.take({}), [])

    def test_names_in_order(self):
        found = self.take({"LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:lines:lines"})
        self.assertEqual(found, [Passed("web", 3), Passed("lines", 4), Passed("lines", 5)])

    def test_names_left_over_from_somebody_else(self):
        self.patch(os, "environ", {"LISTEN_FDNAMES": "web"})
        self.patch(_SystemdParser, "_sddaemon", ListenFDs([], ()))
        self.assertEqual(passed(MemoryReactorClock()), [])


class NotifierTest(FolderTest):
    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.systemd = self.bind(self.path)
        self.warnings = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event):
        if event.get("log_namespace") == "twisted_sock.systemd.Notifier":
            self.warnings.append(event["why"])

    def bind(self, path):
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(opened.close)
        opened.bind(path)
        opened.setblocking(False)
        return opened

    def notifier(self, **environ):
        environ = {"NOTIFY_SOCKET": self.path, "HOME": "/", **environ}
        made = Notifier.from_environment(self.clock, environ)
        self.assertEqual(environ, {"HOME": "/"})
        self.addCleanup(made.close)
        return made

    def said(self):
        """What systemd was told since it was last asked."""
        messages = []
        while True:
            try:
                messages.append(self.systemd.recv(4096).decode())
            except BlockingIOError:
                return messages

    def test_a_life(self):
        notifier = self.notifier()
        self.assertEqual(self.said(), [])
        notifier.ready("listens on 2 endpoints")
        self.assertEqual(self.said(), ["READY=1\nSTATUS=listens on 2 endpoints"])
        notifier.reloading()
        notifier.ready()
        reloading, ready = self.said()
        self.assertRegex(reloading, r"\ARELOADING=1\nMONOTONIC_USEC=[0-9]+\Z")
        self.assertEqual(ready, "READY=1")
        notifier.status("5 conversations")
        notifier.stopping()
        self.assertEqual(self.said(), ["STATUS=5 conversations", "STOPPING=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_name(self):
        name = f"twisted_sock-{os.getpid()}"
        self.systemd = self.bind(f"\0{name}")
        self.notifier(NOTIFY_SOCKET=f"@{name}").ready()
        self.assertEqual(self.said(), ["READY=1"])

    def test_signs_of_life(self):
        notifier = self.notifier(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
        self.clock.advance(10)
        self.assertEqual(self.said(), [])
        notifier.ready()
        self.assertEqual(self.said(), ["READY=1", "WATCHDOG=1"])
        self.clock.pump([1.5] * 3)
        self.assertEqual(self.said(), ["WATCHDOG=1"] * 3)
        notifier.ready()  # after a reload
        notifier.stopping()
        self.clock.advance(1.5)
        self.assertEqual(self.said(), ["READY=1", "STOPPING=1", "WATCHDOG=1"])
        notifier.close()
        self.clock.advance(10)
        self.assertEqual(self.said(), [])

    def test_a_watchdog_of_another_process(self):
        for environ in (
            {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
            {"WATCHDOG_USEC": "soon"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": ""},
        ):
            self.notifier(**environ).ready()
            self.assertEqual(self.said(), ["READY=1"])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_wants_to_know(self):
        notifier = Notifier.from_environment(self.clock, {"WATCHDOG_USEC": "3000000"})
        notifier.ready("well")
        notifier.reloading()
        notifier.status("well")
        notifier.stopping()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        notifier.close()

    def test_systemd_is_gone(self):
        """That is said once."""
        notifier = self.notifier(WATCHDOG_USEC="2000000")
        os.unlink(self.path)
        notifier.ready()
        self.clock.pump([1] * 5)
        self.assertEqual(self.warnings, ["No such file or directory"])

    def test_addresses_that_are_none(self):
        for address in ("vsock:2:1234", "/" + "x" * 200, "@", "relative", "a\0b"):
            self.warnings.clear()
            self.notifier(NOTIFY_SOCKET=address).ready()
            self.assertEqual(len(self.warnings), 1, address)

    def test_there_is_no_room(self):
        """What was to be said is said later, in its order, and nobody waits."""
        notifier = self.notifier(WATCHDOG_USEC="60000000")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
            flood.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    flood.sendto(b"STATUS=flood", self.path)
        notifier.ready()
        notifier.status("1")
        notifier.stopping()
        self.clock.advance(systemd.AGAIN)
        self.assertEqual(set(self.said()), {"STATUS=flood"})
        self.clock.advance(systemd.AGAIN)
        self.assertEqual(self.said(), ["READY=1", "STATUS=1", "STOPPING=1"])
        self.assertEqual(len(self.warnings), 1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the next sign of life

    def test_little_is_kept_for_later(self):
        notifier = self.notifier()
        self.patch(notifier, "_send", lambda _: False)
        for number in range(1000):
            notifier.status(str(number))
        self.assertEqual(len(notifier._waiting), systemd.WAITING)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    @given(st.text())
    def test_a_status_is_one_line(self, words):
        """Whatever is said, nothing can be smuggled in with it."""
        self.notifier().status(words)
        for message in self.said():
            self.assertTrue(message.startswith("STATUS="))
            self.assertEqual(message.count("\n"), 0)
