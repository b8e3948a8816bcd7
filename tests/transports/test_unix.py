"""UNIX sockets: private, recovered when stale, never stolen; and who is at the other end."""

import fcntl
import os
import shutil
import socket
import stat
import sys
import tempfile
from pathlib import Path
from unittest import skipUnless

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.lockfile import FilesystemLock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory, LineProtocol
from twisted_sock.errors import ListenError, SettingError
from twisted_sock.interfaces import Credentials, Peer
from twisted_sock.memory import join
from twisted_sock.transports import unix_socket
from twisted_sock.transports.unix import UNIXEndpoint, WithCredentials, adopt, credentials

ON_LINUX = skipUnless(sys.platform == "linux", "only Linux has it")


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


class FolderTest(SynchronousTestCase):
    """Each test has a folder, whose path is short, and a path in it."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = str(self.folder / "sock")
        self.reactor = MemoryReactorClock()

    def open(self, kind=socket.SOCK_STREAM):
        made = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(made.close)
        return made

    def bound(self, kind=socket.SOCK_STREAM, path=None):
        """A socket of somebody else's at the path."""
        made = self.open(kind)
        made.bind(path or self.path)
        return made

    def stale(self):
        self.bound().close()

    def endpoint(self, path=None, **settings):
        return UNIXEndpoint(self.reactor, path or self.path, **settings)

    def listen(self, path=None, factory=None, **settings):
        listening = self.endpoint(path, **settings).listen(factory or Factory())
        port = self.successResultOf(listening)
        self.addCleanup(self.stop, port)
        return port

    def stop(self, port):
        stopped = port.stopListening()
        self.reactor.advance(0)
        if stopped is not None:
            self.successResultOf(stopped)

    def cannot_listen(self, path=None, **settings):
        """Listening fails; returns why, in one line."""
        failed = self.failureResultOf(self.endpoint(path, **settings).listen(Factory()))
        failed.trap(ListenError)
        why = failed.getErrorMessage()
        self.assertNotIn("\n", why)
        self.assertIn(str(path or self.path).lstrip("@"), why)
        return why

    def names(self):
        return sorted(os.listdir(self.folder))


class ListeningTest(FolderTest):
    def test_who_may_connect(self):
        self.listen()
        self.assertEqual(mode(self.path), 0o660)
        self.assertEqual(self.names(), ["sock"])

    def test_other_permissions(self):
        for number, wanted in enumerate((0o600, 0o666, 0o777, 0)):
            path = f"{self.path}{number}"
            self.listen(path, mode=wanted)
            self.assertEqual(mode(path), wanted)

    def test_it_is_never_more_open_than_that(self):
        seen = []
        self.patch(unix_socket, "_admit", lambda path, _: seen.append(mode(path)))
        umask = os.umask(0)
        try:
            self.listen()
            self.assertEqual(os.umask(0), 0)
        finally:
            os.umask(umask)
        self.assertEqual(seen, [0o660])

    def test_permissions_that_the_folder_has_changed(self):
        """A default ACL stands above the umask."""
        self.patch(os, "umask", lambda _: 0)
        self.listen(mode=0o640)
        self.assertEqual(mode(self.path), 0o640)

    def test_it_accepts_as_many_as_are_to_wait(self):
        self.listen(backlog=2)
        clients = [self.open() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
        for client in clients[:3]:
            client.connect(self.path)
        with self.assertRaises(BlockingIOError):
            clients[3].connect(self.path)

    def test_the_address(self):
        self.assertEqual(self.listen().getHost(), UNIXAddress(self.path))

    def test_owners_by_number_and_name(self):
        given = []
        self.patch(os, "chown", lambda *what, **_: given.append(what))
        self.listen(user="0", group="root" if sys.platform == "linux" else "0")
        self.assertEqual(given, [(self.path, 0, 0)])
        self.listen(self.path + "2", group="7")
        self.assertEqual(given[1], (self.path + "2", -1, 7))

    def test_an_owner_who_may_not_be_set(self):
        def refuse(*_, **__):
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "chown", refuse)
        why = self.cannot_listen(user="1")
        self.assertIn("its owner cannot be set: Operation not permitted", why)
        self.assertEqual(self.names(), [])

    def test_settings_that_cannot_be(self):
        for settings, words in (
            ({"user": "no-such-user"}, "there is no user 'no-such-user'"),
            ({"group": "no-such-group"}, "there is no group 'no-such-group'"),
            ({"user": "4294967295"}, "there is no user"),
            ({"mode": 0o1777}, "mode: up to 777, not 1777"),
            ({"path": "/" + "x" * 120}, "121 bytes; a socket's path has at most"),
            ({"path": "/" + "é" * 60}, "121 bytes"),
            ({"path": "a\0b"}, "is no path"),
            ({"path": "@"}, "is no path"),
            ({"path": "@name", "user": "1"}, "an abstract name has no owner"),
        ):
            with self.assertRaises(SettingError) as caught:
                self.endpoint(**settings)
            self.assertIn(words, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_the_longest_path(self):
        path = str(self.folder / ("x" * (unix_socket.LONGEST - len(str(self.folder)) - 1)))
        self.listen(path)
        client = self.open()
        client.connect(path)
        with self.assertRaises(SettingError):
            self.endpoint(path + "x")

    @given(st.text(max_size=120))
    def test_any_text(self, text):
        """Each is a path that the system takes, or refused in words."""
        try:
            unix_socket.see(text)
        except SettingError as error:
            self.assertTrue(str(error))
        else:
            self.assertLessEqual(len(os.fsencode(text)), unix_socket.LONGEST)

    def test_no_folder(self):
        path = str(self.folder / "none" / "sock")
        self.assertIn("there is no folder", self.cannot_listen(path))

    def test_a_file_for_a_folder(self):
        (self.folder / "file").touch()
        self.assertIn("Not a directory", self.cannot_listen(str(self.folder / "file" / "sock")))

    def test_a_folder_that_may_not_be_written(self):
        def refuse(path, *_):
            raise PermissionError(13, "Permission denied", path)

        self.patch(os, "open", refuse)
        self.assertIn("Permission denied: no socket can be made in", self.cannot_listen())

    def test_a_factory_that_cannot_start(self):
        class Broken(Factory):
            def doStart(self):
                raise RuntimeError("not today")

        failed = self.endpoint().listen(Broken())
        self.failureResultOf(failed, RuntimeError)
        self.assertEqual(self.names(), [])


class StaleTest(FolderTest):
    def test_a_stale_socket_is_replaced(self):
        self.stale()
        self.listen()
        self.open().connect(self.path)

    def test_a_live_one_is_not(self):
        self.bound().listen()
        before = os.lstat(self.path).st_ino
        self.assertIn("another server listens there already", self.cannot_listen())
        self.assertEqual(os.lstat(self.path).st_ino, before)
        self.assertEqual(self.names(), ["sock"])

    def test_nor_one_of_our_own(self):
        self.listen()
        self.assertIn("already", self.cannot_listen())

    def test_nor_one_that_accepts_nobody_any_more(self):
        self.bound().listen(0)
        with self.assertRaises(BlockingIOError):
            while True:
                client = self.open()
                client.setblocking(False)
                client.connect(self.path)
        self.assertIn("already", self.cannot_listen())

    def test_nor_one_of_another_kind(self):
        self.bound(socket.SOCK_DGRAM)
        self.assertIn("cannot be seen", self.cannot_listen())
        self.assertEqual(self.names(), ["sock"])

    def test_nor_one_that_may_not_be_asked(self):
        class Refused(socket.socket):
            def connect(self, _):
                raise PermissionError(13, "Permission denied")

        self.stale()
        self.patch(socket, "socket", Refused)
        self.assertIn("Permission denied", self.cannot_listen())
        self.assertEqual(self.names(), ["sock"])

    def test_what_is_no_socket_stays(self):
        Path(self.path).write_text("precious")
        self.assertIn("is no socket", self.cannot_listen())
        self.assertEqual(Path(self.path).read_text(), "precious")

    def test_a_folder_stays(self):
        os.mkdir(self.path)
        self.assertIn("is no socket", self.cannot_listen())
        self.assertTrue(os.path.isdir(self.path))

    def test_symbolic_links_stay(self):
        """Also one to a stale socket, and one to nothing."""
        self.bound(path=str(self.folder / "target")).close()
        for target in ("target", "nothing"):
            os.symlink(target, self.path)
            self.assertIn("is no socket", self.cannot_listen())
            self.assertEqual(os.readlink(self.path), target)
            os.unlink(self.path)
        self.assertEqual(self.names(), ["target"])

    def test_a_stale_lock_of_twisted(self):
        """It is a symbolic link with the number of a process that is gone."""
        os.symlink("999999999", self.path + ".lock")
        self.stale()
        self.listen()
        self.assertEqual(self.names(), ["sock", "sock.lock"])

    def test_a_lock_that_twisted_holds(self):
        """Its socket tells that it lives."""
        lock = FilesystemLock(self.path + ".lock")
        lock.lock()
        self.bound().listen()
        self.assertIn("already", self.cannot_listen())
        lock.unlock()


class StartingTest(FolderTest):
    """Two that start at once."""

    def setUp(self):
        super().setUp()
        self.lock = self.path + unix_socket.LOCK

    def test_another_is_starting(self):
        with open(self.lock, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.assertIn("another server is about to listen there", self.cannot_listen())
        self.listen()
        self.assertEqual(self.names(), ["sock"])

    def test_one_was_killed_while_it_started(self):
        Path(self.lock).touch()
        self.stale()
        self.listen()
        self.assertEqual(self.names(), ["sock"])

    def test_the_lock_of_another_is_removed_while_it_is_awaited(self):
        real = fcntl.flock
        opened = []

        def late(fd, how):
            opened.append(fd)
            if len(opened) == 1:
                os.unlink(self.lock)  # its holder was just done
            real(fd, how)

        self.patch(unix_socket.fcntl, "flock", late)
        self.listen()
        self.assertEqual(len(opened), 2)
        self.assertEqual(self.names(), ["sock"])

    def test_a_link_is_not_followed(self):
        os.symlink("elsewhere", self.lock)
        self.assertIn(self.lock, self.cannot_listen())
        self.assertEqual(self.names(), ["sock.starting"])

    def test_a_failed_start_leaves_nothing(self):
        def refuse(*_):
            raise OSError(28, "No space left on device")

        self.patch(unix_socket, "_listen_by_path", refuse)
        self.assertIn("No space left on device", self.cannot_listen())
        self.assertEqual(self.names(), [])


class StoppingTest(FolderTest):
    def test_the_file_is_removed(self):
        self.stop(self.listen())
        self.assertEqual(self.names(), [])

    def test_from_another_folder(self):
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            port = self.listen("sock")
        finally:
            os.chdir(here)
        self.stop(port)
        self.assertEqual(self.names(), [])

    def test_that_of_another_stays(self):
        port = self.listen()
        os.rename(self.path, self.path + ".moved")
        self.bound()
        self.stop(port)
        self.assertEqual(self.names(), ["sock", "sock.moved"])

    def test_it_is_gone_already(self):
        """Twisted's own port would never stop."""
        port = self.listen()
        os.unlink(self.path)
        self.stop(port)
        self.assertFalse(port.connected)

    def test_it_may_not_be_removed(self):
        """The process may have become another user's."""

        def refuse(_):
            raise PermissionError(13, "Permission denied")

        port = self.listen()
        self.patch(os, "unlink", refuse)
        self.stop(port)
        self.assertFalse(port.connected)

    def test_it_can_be_listened_on_again(self):
        endpoint = self.endpoint()
        for _ in range(3):
            self.stop(self.successResultOf(endpoint.listen(Factory())))


class AbstractTest(FolderTest):
    @ON_LINUX
    def test_a_name(self):
        name = f"@twisted_sock-{os.getpid()}"
        port = self.listen(name)
        self.open().connect(f"\0{name[1:]}")
        self.assertIn("already", self.cannot_listen(name))
        self.stop(port)
        self.stop(self.listen(name))


class AdoptTest(FolderTest):
    """A socket that somebody else has made keeps its file, and lives on."""

    def test_it_is_left_as_it_was(self):
        theirs = self.bound()
        theirs.listen()
        os.chmod(self.path, 0o600)
        port = adopt(self.reactor, theirs.dup(), Factory())
        self.assertEqual(mode(self.path), 0o600)
        self.stop(port)
        self.open().connect(self.path)
        theirs.accept()[0].close()

    def test_it_is_seen_by_the_reactor(self):
        port = self.listen()
        self.assertIn(port, self.reactor.getReaders())
        self.stop(port)
        self.assertEqual(self.reactor.getReaders(), [])


class Handle:
    """A transport that has nothing but a socket."""

    def __init__(self, handle):
        self._handle = handle

    def getHandle(self):
        return self._handle


class WhoTest(SynchronousTestCase):
    """Who is at the other end."""

    def pair(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        return ours

    @ON_LINUX
    def test_the_process(self):
        found = credentials(Handle(self.pair()))
        self.assertEqual(found, Credentials(os.getpid(), os.getuid(), os.getgid()))

    def test_sockets_of_other_kinds(self):
        with socket.socket() as tcp:
            self.assertIsNone(credentials(Handle(tcp)))
        self.assertIsNone(credentials(Handle(None)))
        self.assertIsNone(credentials(object()))

    def test_a_socket_that_was_closed(self):
        ours = self.pair()
        ours.close()
        self.assertIsNone(credentials(Handle(ours)))

    def test_a_system_that_does_not_tell(self):
        ours = self.pair()
        if hasattr(socket, "SO_PEERCRED"):
            self.patch(socket, "SO_PEERCRED", None)
            del socket.SO_PEERCRED
        self.assertIsNone(credentials(Handle(ours)))


class Nobody(Protocol):
    pass


class Told(LineProtocol):
    """Says who is there."""

    def connectionMade(self):
        known = self.peer.credentials
        return f"{self.peer} {known.uid if known else 'unknown'} {self.peer.identity}"


class LayerTest(SynchronousTestCase):
    def connect(self, owner, address, handle=None):
        """Connect to a line protocol through the layer; returns what it says."""
        protocol = WithCredentials()(owner, owner).buildProtocol(address)
        client = Nobody()
        received = []
        client.dataReceived = received.append
        make = protocol.makeConnection
        if handle is not None:
            # The transport is only made by `join`.
            def with_handle(transport):
                transport.getHandle = lambda: handle
                make(transport)

            protocol.makeConnection = with_handle
        wire = join(protocol, client, host=address)
        wire.flow()
        self.addCleanup(wire.flow)
        self.addCleanup(client.transport.abortConnection)
        return b"".join(received)

    @ON_LINUX
    def test_a_line_protocol_is_told(self):
        owner = LineFactory(Told, reactor=Clock())
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        said = self.connect(owner, UNIXAddress(None), ours)
        uid = os.getuid()
        self.assertEqual(said, f"unix {uid} uid {uid}\n".encode())

    def test_others_pass_unchanged(self):
        owner = LineFactory(Told, reactor=Clock())
        address = IPv4Address("TCP", "192.0.2.1", 5)
        self.assertEqual(self.connect(owner, address), b"192.0.2.1:5 unknown \n")

    def test_what_is_known_already_is_kept(self):
        seen = []

        class Inner(Factory):
            def buildProtocol(self, addr):
                seen.append(addr)
                return Nobody()

        owner = LineFactory(Told, reactor=Clock())
        peer = Peer(UNIXAddress("/x"), via=IPv4Address("TCP", "192.0.2.1", 5))
        protocol = WithCredentials()(owner, Inner()).buildProtocol(peer)
        join(protocol, Nobody())
        self.assertEqual(seen, [peer])

    def test_nobody_makes_room_for_it(self):
        """It waits for nothing, so those who do are left alone."""
        owner = LineFactory(Told, reactor=Clock(), limits=Limits(max_handshakes=1))
        given_up = []

        class Waiting:
            bucket = 0.0

            def give_up(self, why):
                given_up.append(why)

        waiting = Waiting()
        owner.openings.begin(waiting)
        self.connect(owner, UNIXAddress(None))
        self.assertEqual(given_up, [])
        owner.openings.done(waiting)

    def test_a_factory_that_wants_nobody(self):
        class Closed(Factory):
            def buildProtocol(self, addr):
                return None

        owner = LineFactory(Told, reactor=Clock())
        protocol = WithCredentials()(owner, Closed()).buildProtocol(UNIXAddress(None))
        wire = join(protocol, Nobody())
        wire.flow()
        self.assertFalse(wire.ends[0].connected)
