"""`mock:PATH` plays a file, and goes on with it when it changes."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import LineFactory
from twisted_sock.errors import PlugError, ScriptError
from twisted_sock.interfaces import LineApplication
from twisted_sock.plugs import load
from twisted_sock.protocols import mock
from twisted_sock.protocols.mock import EVERY, Mock
from twisted_sock.script.reading import read
from twisted_sock.testing import MemoryPeer


class Threads(Clock):
    """A clock with threads, which finish their work when the test wants it.

    Attributes:
        work: what is to be done.
    """

    def __init__(self):
        super().__init__()
        self.work = []

    def getThreadPool(self):
        return self

    def callInThreadWithCallback(self, done, call, *arguments):
        self.work.append((done, call, arguments))

    def callFromThread(self, call, *arguments):
        call(*arguments)

    def finish(self):
        """Let the oldest be done."""
        done, call, arguments = self.work.pop(0)
        try:
            result = call(*arguments)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)


def says(reply):
    return f'[[rule]]\nname = "all"\nreply = "{reply}"\n'


class MockTest(SynchronousTestCase):
    def setUp(self):
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.path = str(self.folder / "a.toml")
        self.clock = Clock()
        self.logged = []
        globalLogPublisher.addObserver(self.log)
        self.addCleanup(globalLogPublisher.removeObserver, self.log)
        self.writes = 0

    def log(self, event):
        if event["log_namespace"].endswith("protocols.mock.Mock"):
            self.logged.append(event["log_level"].name)

    def write(self, text, path=None):
        path = path or self.path
        Path(path).write_text(text)
        self.writes += 1
        os.utime(path, (self.writes, self.writes))  # however coarse the clock of the files is

    def begin(self, text, **more):
        self.write(text)
        self.mock = Mock(self.path, **more)
        self.mock.start(self.clock)
        self.addCleanup(self.mock.stop)
        self.peer = MemoryPeer(LineFactory(self.mock, reactor=self.clock), self.clock)

    def ask(self, line="x"):
        self.peer.say(line)
        return self.peer.lines()

    def look(self, times=2):
        for _ in range(times):
            self.clock.advance(EVERY)

    def test_it_is_an_application_by_name(self):
        self.write(says("hello"))
        application = load(f"mock:{self.path}")
        self.assertIsInstance(application, LineApplication)
        self.assertIsInstance(application, Mock)

    def test_bad_files_are_refused_in_one_line(self):
        for text in ("[[rule]]\nreplay = 1\n", "no toml", "[[rule]]\nregex = '('\n"):
            self.write(text)
            error = self.assertRaises(PlugError, load, f"mock:{self.path}")
            self.assertRegex(str(error), rf"^mock: {self.path}:\d: .*$")
        error = self.assertRaises(PlugError, load, "mock:/nowhere/at/all")
        self.assertIn("/nowhere/at/all", str(error))
        self.write(says("x"))
        error = self.assertRaises(PlugError, load, f"mock:{self.path}:seed=often")
        self.assertEqual(str(error), "mock: seed must be a whole number, not 'often'")
        error = self.assertRaises(PlugError, load, f"mock:{self.path}:seed=")
        self.assertEqual(str(error), "mock: seed must be a whole number, not ''")
        error = self.assertRaises(PlugError, load, "mock:")
        self.assertEqual(str(error), "mock: which script? mock:FILE")
        error = self.assertRaises(PlugError, load, "mock")
        self.assertTrue(str(error).endswith("it is mock:path:seed="), error)

    def test_the_seed_is_an_option(self):
        text = "seed = 5\n" + says("{random:1-1000000}")
        told = []
        for seed in ("5", "5", "6", None):
            self.begin(text, seed=seed)
            told.append(self.ask())
        self.assertEqual(told[0], told[1])
        self.assertEqual(told[0], told[3])
        self.assertNotEqual(told[0], told[2])

    def test_a_change_is_played_and_connections_live_on(self):
        self.begin(says("old"))
        self.assertEqual(self.ask(), ["old"])
        self.write(says("new"))
        self.look()
        self.assertEqual(self.ask(), ["new"])
        self.assertEqual(self.mock.report().hits, {"all": 2})
        self.assertEqual(self.logged, ["info"])

    def test_while_it_is_written_it_is_not_read(self):
        self.begin(says("old"))
        for part in (says("half"), says("more")):
            self.write(part)
            self.look(1)
            self.assertEqual(self.ask(), ["old"])
        self.look(1)
        self.assertEqual(self.ask(), ["more"])

    def test_a_mistake_is_told_once_and_the_old_one_played_on(self):
        self.begin(says("old"))
        self.write("[[rule]]\nreply = ")
        self.look(6)
        self.assertEqual(self.ask(), ["old"])
        self.assertEqual(self.logged, ["error"])
        self.write(says("mended"))
        self.look()
        self.assertEqual(self.ask(), ["mended"])

    def test_a_file_that_is_gone_and_back(self):
        self.begin(says("old"))
        os.remove(self.path)
        self.look(6)
        self.assertEqual((self.ask(), self.logged), (["old"], ["error"]))
        self.write(says("back"))
        self.look()
        self.assertEqual(self.ask(), ["back"])

    def test_another_file(self):
        self.begin(says("old"))
        other = str(self.folder / "b.toml")
        self.assertRaises(ScriptError, self.mock.load, other)
        self.write(says("other"), other)
        self.mock.load(other)
        self.assertEqual(self.ask(), ["other"])
        self.write(says("changed"))  # nobody looks at it any more
        self.look(3)
        self.assertEqual(self.ask(), ["other"])
        self.write(says("changed"), other)
        self.look()
        self.assertEqual(self.ask(), ["changed"])

    def test_reload_reads_at_once(self):
        self.begin(says("old"))
        self.write(says("new"))
        self.mock.reload()
        self.assertEqual(self.ask(), ["new"])
        self.look(3)
        self.assertEqual(self.logged, ["info"])

    def test_it_is_read_in_a_thread(self):
        """The service goes on meanwhile, and what was written last is played last."""
        self.clock = Threads()
        self.begin(says("old"))
        self.write(says("new"))
        self.look()
        self.assertEqual(self.ask(), ["old"])
        self.write(says("newer"))
        self.look(4)  # it is not read twice at a time
        self.assertEqual(len(self.clock.work), 1)
        self.clock.finish()
        self.assertEqual(self.ask(), ["newer"])
        self.clock.finish()
        self.assertEqual(self.ask(), ["newer"])
        self.assertEqual((self.clock.work, self.logged), ([], ["info", "info"]))

    def test_a_mistake_is_told_from_a_thread_too(self):
        self.clock = Threads()
        self.begin(says("old"))
        self.write("[[rule]]\nreply = ")
        self.look()
        self.clock.finish()
        self.assertEqual((self.ask(), self.logged), (["old"], ["error"]))
        self.patch(mock, "read", lambda path: 1 / 0)
        self.mock.reload()
        self.clock.finish()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(mock, "read", read)
        self.write(says("new"))
        self.mock.reload()
        self.clock.finish()
        self.assertEqual(self.ask(), ["new"])

    def test_another_file_is_loaded_while_it_is_read(self):
        self.clock = Threads()
        self.begin(says("old"))
        self.write(says("new"))
        self.look()
        other = str(self.folder / "b.toml")
        self.write(says("other"), other)
        self.mock.load(other)
        self.clock.finish()
        self.assertEqual(self.ask(), ["other"])
        self.assertEqual(self.logged, [])

    def test_it_is_stopped_while_it_is_read(self):
        self.clock = Threads()
        self.begin(says("old"))
        self.write(says("new"))
        self.look()
        self.mock.reload()
        self.mock.stop()
        self.clock.finish()
        self.assertEqual((self.ask(), self.logged, self.clock.work), (["old"], [], []))

    def test_it_looks_no_more_when_stopped(self):
        self.write(says("old"))
        mock = Mock(self.path)
        mock.start(self.clock)
        mock.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        mock.stop()
