"""The examples that need a reactor or a process, as the docs show them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest_twisted

from tests.end_to_end.programs import python
from tests.test_docs import ROOT, block_with, run

hello = run(block_with("README.md", "line_server"))["hello"]


@pytest_twisted.ensureDeferred
async def test_the_fixture_of_the_readme(line_server):
    server = line_server(hello)
    assert await server.ask("you", "世界") == ["hello you", "hello 世界"]


def test_the_trial_test_of_the_readme(tmp_path):
    (tmp_path / "test_real.py").write_text(block_with("README.md", "RealHelloTests"))
    done = python("-m", "twisted.trial", "test_real", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "PASSED (successes=1)" in done.stdout


def test_the_pytest_test_of_the_readme(tmp_path):
    (tmp_path / "test_real.py").write_text(block_with("README.md", "line_server"))
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_real.py", cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_the_embedding_application(tmp_path):
    path = tmp_path / "socket"
    example = Path(ROOT, "docs", "examples", "embed.py")
    with subprocess.Popen([sys.executable, example, path]) as application:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            while client.connect_ex(str(path)):
                assert application.poll() is None
            client.sendall("héllo\nabc".encode())
            client.shutdown(socket.SHUT_WR)
            assert client.makefile(encoding="utf-8").read() == "olléh\ncba\n"
        application.terminate()
        assert application.wait(20) == 0
