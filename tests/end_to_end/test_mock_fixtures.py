"""The fixtures for mocks in a project of its own, as testers have it; what failures say."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest

from tests.test_docs import ROOT

from .programs import python, wait_until_gone

SCRIPT = """
greeting = "220 ready"

[[rule]]
name = "login"
regex = 'LOGIN (\\w+)'
reply = "250 hello {1}"
expect = 1

[[rule]]
name = "quit"
exact = "QUIT"
reply = "221 bye"
close = true
"""

TESTS = """
import socket, sys

import pytest

def talk(mock, *lines):
    with socket.create_connection(mock.address, 20) as client:
        client.sendall("".join(f"{line}\\n" for line in lines).encode())
        return client.makefile().read().splitlines()

@pytest.fixture
def client(mock_process):
    # What uses a mock ends before it, and what is said then counts.
    with socket.create_connection(mock_process("login.toml").address, 20) as client:
        yield client
        client.sendall(b"LOGIN alice\\n")

def test_good(mock_process):
    mock = mock_process("login.toml")
    assert talk(mock, "LOGIN alice", "QUIT") == ["220 ready", "250 hello alice", "221 bye"]
    assert "twisted.internet.reactor" not in sys.modules

def test_last_words(client):
    assert client.recv(100) == b"220 ready\\n"

def test_unmet(mock_process):
    assert talk(mock_process("login.toml"), "LOGON alice", "QUIT")

def test_two(mock_process):
    mocks = [mock_process("login.toml") for _ in range(2)]
    print(f"idle: the mock at {mocks[0].host}:{mocks[0].port}: not as the script expects:")
    assert talk(mocks[1], "LOGIN alice", "QUIT")

def test_fails_itself(mock_process):
    assert talk(mock_process("login.toml"), "LOGON alice", "QUIT") == ["250 hello alice"]

def test_skipped(mock_process):
    mock_process("login.toml")
    pytest.skip("not today")

def test_mistake(mock_process):
    mock_process("[[rule]]\\nreplay = 1")

def test_dead(mock_process):
    mock_process("login.toml")._process.kill()

def test_needs_more(mock_server):
    pass
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What pytest says of each test: of the call, or of what comes before and after."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "tests").mkdir()
    (folder / "tests" / "login.toml").write_text(SCRIPT)
    (folder / "tests" / "test_login.py").write_text(TESTS)
    (folder / "pytest_twisted.py").write_text("raise ImportError")  # it is not installed
    return pytest_says(folder, "-p", "no:twisted")


def pytest_says(folder, *options):
    """The parts of pytest's report by their headings; what comes first has none."""
    done = python(
        "-m", "pytest", "-v", "--color=no", "-p", "no:cacheprovider", *options, cwd=folder
    )
    parts = re.split(r"^_{3,} (.+?) _{3,}$", done.stdout, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def outcomes(told):
    """What became of each test."""
    return dict(re.findall(r"::test_(\w+) (\w+)", told[""]))


def test_what_is_good_is_good(told):
    results = outcomes(told)
    assert results["good"] == results["last_words"] == "PASSED"
    assert results["skipped"] == "SKIPPED"
    assert not [name for name in told if re.search("good|last_words|skipped", name)]


def test_what_was_not_expected_fails(told):
    lines = told["ERROR at teardown of test_unmet"].splitlines()[1:]
    assert lines[:2] == [
        "not as the script expects:",
        "rule 'login' (tests/login.toml:4) was hit 0 times, expected 1",
    ]
    assert re.fullmatch(r"no rule is for 'LOGON alice', said once by 127\.0\.0\.1:\d+", lines[2])
    assert len(lines) == 3


def test_of_several_it_is_told_which(told):
    text = told["ERROR at teardown of test_two"]
    head, rule = text.splitlines()[1:3]
    assert rule == "rule 'login' (tests/login.toml:4) was hit 0 times, expected 1"
    assert f"idle: {head}\n" in text
    assert text.count("the mock at") == 2


def test_the_first_failure_stays_the_first(told):
    first, _, note = told["test_fails_itself"].partition("the mock at 127.0.0.1:")
    assert "AssertionError: assert ['220 ready', '221 bye'] == " in first
    assert "rule 'login' (tests/login.toml:4) was hit 0 times, expected 1" in note
    assert "ERROR at teardown of test_fails_itself" not in told


def test_a_mistake_is_shown_where_the_test_makes_it(told):
    text = told["test_mistake"]
    assert "ScriptError: script:2: rule 1: there is no 'replay'; did you mean 'reply'?" in text
    assert ".py" not in text.replace("tests/test_login.py", "")


def test_a_mock_that_ended_is_no_good(told):
    assert "process has ended by itself, with -9" in told["ERROR at teardown of test_dead"]


def test_what_is_missing_is_named(told):
    assert "pip install pytest-twisted" in told["ERROR at setup of test_needs_more"]


#: Where all mocks have the same to say.
STANDING_IN = """
import twisted_sock.testing
from twisted_sock.mocking import Mock

class Unmet(Mock):
    host, port = "here", 7
    report = reset = remove = _play = _inject = None

    def __init__(self, *given, **settings):
        self.stopped = False

    def missed(self):
        return "unmet"

    def stop(self):
        self.stopped = True

twisted_sock.testing.MockProcess = Unmet
"""

#: The same case for unittest and for trial, whose ways to say what came of it differ.
CASES = """
import unittest

import pytest
from twisted.trial.unittest import SynchronousTestCase

@pytest.fixture
def mock(mock_process):
    return mock_process()

@pytest.mark.usefixtures("mock")
class Plain(unittest.TestCase):
    def test_plain_unmet(self):
        pass

    def test_plain_fails(self):
        self.assertEqual(1, 2)

    def test_plain_skips(self):
        self.skipTest("not today")

    @unittest.expectedFailure
    def test_plain_fails_as_expected(self):
        self.assertEqual(1, 2)

    def test_plain_in_part(self):
        with self.subTest("part"):
            self.assertEqual(1, 2)
        with self.subTest("other part"):
            pass

@pytest.mark.usefixtures("mock")
class Trial(SynchronousTestCase):
    def test_trial_unmet(self):
        pass

    def test_trial_fails(self):
        self.assertEqual(1, 2)

    def test_trial_skips(self):
        raise unittest.SkipTest("not today")

    def test_trial_fails_as_expected(self):
        self.assertEqual(1, 2)
    test_trial_fails_as_expected.todo = "not yet"

def test_raises_skip(mock):
    raise unittest.SkipTest("not today")

@pytest.mark.xfail
def test_marked(mock):
    assert 1 == 2

@pytest.mark.xfail
def test_marked_in_vain(mock):
    pass

MOCKS = {}

def cannot_stop():
    raise OSError("it does not stop")

@pytest.mark.parametrize("kind", ["process", "server"])
def test_stop(request, kind):
    start = request.getfixturevalue(f"mock_{kind}")
    MOCKS[kind] = [start("strict = false") for _ in range(3)]
    MOCKS[kind][1].stop = cannot_stop

def test_stopped():
    assert [mock.stopped for mock in MOCKS["process"]] == [True, False, True]
    assert [bool(mock._stopped) for mock in MOCKS["server"]] == [True, False, True]
"""


@pytest.fixture(scope="module")
def told_of_cases(tmp_path_factory):
    """The same of test cases, and of mocks that cannot be stopped."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "conftest.py").write_text(STANDING_IN)
    (folder / "test_cases.py").write_text(CASES)
    return pytest_says(folder)


@pytest.mark.parametrize("case", ["Plain", "Trial"])
def test_a_test_case_is_checked_if_it_is_good(told_of_cases, case):
    results = outcomes(told_of_cases)
    name = case.lower()
    assert results[f"{name}_fails"] == "FAILED"
    assert results[f"{name}_skips"] == "SKIPPED"
    assert results[f"{name}_fails_as_expected"] == "XFAIL"
    assert told_of_cases[f"ERROR at teardown of {case}.test_{name}_unmet"].startswith("\nunmet\n")
    assert "the mock at here:7: unmet" in told_of_cases[f"{case}.test_{name}_fails"]


def test_nothing_more_is_said(told_of_cases):
    """Neither of those that did not get so far, nor of what fails as it is expected to."""
    names = {name.partition(" [")[0] for name in told_of_cases}  # without that of the subtest
    assert names - {""} == {
        "ERROR at teardown of Plain.test_plain_unmet",
        "ERROR at teardown of Trial.test_trial_unmet",
        "ERROR at teardown of test_stop[process]",
        "ERROR at teardown of test_stop[server]",
        "Plain.test_plain_fails",
        "Plain.test_plain_in_part",
        "Trial.test_trial_fails",
    }


def test_all_are_stopped_though_one_cannot_be(told_of_cases):
    for kind in ("process", "server"):
        assert "it does not stop" in told_of_cases[f"ERROR at teardown of test_stop[{kind}]"]
    assert outcomes(told_of_cases)["stopped"] == "PASSED"


HANGS = """
import os, socket

def test_hangs(mock_process):
    mock = mock_process("strict = false", "unix:socket")
    with socket.create_connection(mock_process("strict = false").address) as client:
        os.write(1, f"{mock.pid} is there\\n".encode())
        client.recv(100)
"""


def test_an_interrupt_ends_all(run, tmp_path):
    (tmp_path / "test_hangs.py").write_text(HANGS)
    options = ["-s", "-p", "no:twisted", "-p", "no:cacheprovider"]
    test = run([sys.executable, "-m", "pytest", *options], env={"PYTHONPATH": str(ROOT)})
    mock = int(test.out.expect(r"(\d+) is there")[1])
    test.tell(signal.SIGINT)
    assert test.wait() == pytest.ExitCode.INTERRUPTED
    wait_until_gone(mock)
    assert not os.path.lexists(tmp_path / "socket")
    assert "Error" not in test.out.whole().replace("KeyboardInterrupt", "")
