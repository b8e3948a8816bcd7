"""Fixtures that start programs and see that they end with the test."""

import os
import subprocess
from contextlib import ExitStack

import pytest

from tests.test_docs import ROOT

from . import browsing
from .programs import Program, Server, Terminal, do_without, require, script


@pytest.fixture
def at_the_end():
    """What is to be done after the test, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def run(tmp_path, at_the_end):
    """Run a program in the test's folder: `run(command, ...)` as for `Program`."""

    def start(command, *, kind=Program, **more):
        program = kind(command, tmp_path, **more)
        at_the_end.callback(program.reap)
        return program

    return start


@pytest.fixture
def twistd(run):
    """Run `twistd -n sockservice` with some options, which may be wrong."""

    def start(*options, runner=("-n", "--pidfile="), **more):
        return run([*script("twistd"), *runner, "sockservice", *options], **more)

    return start


@pytest.fixture
def serve(twistd):
    """Run `twistd -n sockservice` on a free port, and wait until it listens."""

    def start(*options, port=0, **more):
        server = twistd("--port", str(port), *options, kind=Server, **more)
        server.wait_until_it_listens()
        return server

    return start


@pytest.fixture
def plug(tmp_path):
    """Write a module into the test's folder: `plug("name", "source")`."""

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(source)

    return write


@pytest.fixture
def terminal(at_the_end):
    """A pseudo-terminal."""
    made = Terminal()
    at_the_end.callback(made.close)
    return made


@pytest.fixture
def node():
    """How to run a script of Node that needs `ws`: the command, and its environment.

    Node looks for `ws` in NODE_PATH, as always, and in `.ci/node_modules`:

        npm install --prefix .ci --no-save --no-package-lock ws
    """
    command = require("node")
    folders = [os.environ.get("NODE_PATH", ""), str(ROOT / ".ci" / "node_modules")]
    path = {"NODE_PATH": os.pathsep.join(filter(None, folders))}
    asked = subprocess.run(
        [command, "-e", "require('ws')"], env=os.environ | path, capture_output=True, check=False
    )
    if asked.returncode:
        do_without("ws, for Node,")
    return command, path


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with browsing.browser() as made:
        yield made
