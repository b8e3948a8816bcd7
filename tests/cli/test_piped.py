"""`attach` from a pipe, in memory: one command after another, and the input waits for answers."""

from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.cli.command import Status
from twisted_sock.cli.operating import Answer
from twisted_sock.cli.piped import MOST, Piped


class Options(dict):
    """The command line, without a service behind it."""

    def link(self, reactor, owner):
        return self

    def write(self, data):
        self.setdefault("written", []).append(data)


class Pipe:
    """Standard input and output."""

    def __init__(self):
        self.reads = True
        self.out = b""

    def pauseProducing(self):
        self.reads = False

    def resumeProducing(self):
        self.reads = True

    def write(self, data):
        self.out += data


class Soon:
    """A reactor on which everything happens at once."""

    def callLater(self, seconds, call):
        call()


class PipedTest(SynchronousTestCase):
    def setUp(self):
        self.options = Options(timeout=0)
        self.piped = Piped(Soon(), self.options)
        self.piped._stdio = self.pipe = Pipe()

    @property
    def asked(self):
        return b"".join(self.options.get("written", [])).decode().split("\n")[:-1]

    def test_the_input_waits_while_many_commands_do(self):
        self.piped.dataReceived(b"list\n" * MOST)
        self.assertTrue(self.pipe.reads)
        self.piped.dataReceived(b"list\n" * 2)
        self.assertFalse(self.pipe.reads)
        self.assertEqual(len(self.asked), 1)
        for _ in range(MOST + 1):
            self.assertFalse(self.pipe.reads)
            self.piped._dialogue.received(b"OK\n")
        self.assertTrue(self.pipe.reads)
        self.piped._dialogue.received(b"OK\n")
        self.assertEqual(self.pipe.out, b"OK\n" * (MOST + 2))

    def test_lines_are_commands_as_they_are(self):
        self.piped.dataReceived(b" list\n\n  \nlist\n")
        self.piped._dialogue.received(b"ERR no-command x\n")
        self.piped._dialogue.received(b"OK\n")
        self.assertEqual(self.asked, [" list", "list"])
        self.piped.readConnectionLost()
        self.assertEqual(self.successResultOf(self.piped._ended), Status.UNEXPECTED)

    def test_events_are_printed_between(self):
        self.piped.happened({}, 'EVENT {"a":1}')
        self.piped._answered(Answer(lines=["OK"]))
        self.assertEqual(self.pipe.out, b'EVENT {"a":1}\nOK\n')
