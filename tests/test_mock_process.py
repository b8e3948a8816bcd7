"""A mock in a process of its own: how that is begun, and answers that are none."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted_sock
from twisted_sock import mock_process
from twisted_sock.errors import SockError

#: Where this package is.
HERE = str(Path(twisted_sock.__file__).parent.parent)


def message(answer):
    data = pickle.dumps(answer)
    return mock_process.LENGTH.pack(len(data)) + data


class Process:
    """Stands in for a process.

    Attributes:
        said: what it has answered before it closed its output.
        status: how it has ended; None while it goes on.
        asked: what it was started with.
    """

    said = message(("here", 7))
    status = None
    pid = 0

    def __init__(self, command, **pipes):
        Process.asked = command
        reads, writes = os.pipe()
        os.write(writes, self.said)
        os.close(writes)
        self.stdin = io.BytesIO()
        self.stdout = os.fdopen(reads, "rb")

    def wait(self, timeout=None):
        if self.status is None and timeout is not None:
            raise subprocess.TimeoutExpired("process", timeout)
        return self.status

    def kill(self):
        self.stdout.close()


class MockProcessTest(SynchronousTestCase):
    def setUp(self):
        self.patch(subprocess, "Popen", Process)

    def begin(self):
        mock = mock_process.MockProcess("strict = false")
        self.addCleanup(mock._kill)
        return mock

    def why_not(self):
        """Why it does not begin."""
        return str(self.assertRaises(SockError, self.begin))

    def test_it_begins(self):
        self.assertEqual(str(self.begin()), "the mock at here:7")

    def test_an_answer_that_breaks_off(self):
        self.patch(Process, "status", 3)
        whole = Process.said
        for size in (0, 2, 4, 5, len(whole) - 1):
            self.patch(Process, "said", whole[:size])
            self.assertEqual(self.why_not(), "the mock's process has ended by itself, with 3")

    def test_a_process_that_closes_its_output_and_goes_on(self):
        self.patch(Process, "said", b"")
        self.assertEqual(self.why_not(), "the mock's process does not answer any more")

    def test_it_is_asked_nothing_more_then(self):
        mock = self.begin()
        whys = []
        asked = []
        for _ in range(2):
            whys.append(str(self.assertRaises(SockError, mock.reset)))
            asked.append(mock._process.stdin.getvalue())
        self.assertEqual(whys, ["the mock's process does not answer any more"] * 2)
        self.assertEqual(*asked)


class PathTest(SynchronousTestCase):
    def setUp(self):
        self.patch(subprocess, "Popen", Process)

    def path(self, *path):
        """Where the process looks for modules if the test does so there."""
        patched = self.patch(sys, "path", list(path))
        mock_process.MockProcess("strict = false")._kill()
        patched.restore()
        return Process.asked[Process.asked.index(mock_process.PROGRAM) + 1 :]

    def test_it_is_that_of_the_test(self):
        path = ["/first", HERE, "/other"]
        self.assertEqual(self.path(*path), path)

    def test_but_for_the_folder_that_it_runs_in(self):
        self.assertEqual(self.path("/first", "", HERE), ["/first", HERE])
        self.assertEqual(self.path("", "/other"), [HERE, "/other"])
