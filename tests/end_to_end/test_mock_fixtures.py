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
    without = ["-p", "no:twisted", "-p", "no:cacheprovider"]
    done = python("-m", "pytest", "-v", "--color=no", *without, cwd=folder)
    parts = re.split(r"^_{3,} (.+?) _{3,}$", done.stdout, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def test_what_is_good_is_good(told):
    results = dict(re.findall(r"::test_(\w+) (\w+)", told[""]))
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
