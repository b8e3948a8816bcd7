"""What every test is held to: nothing is left behind."""

import gc
import os

import pytest
from twisted.trial.unittest import SynchronousTestCase


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One more than there are cores (`-n auto`): many tests only wait for other programs."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish():
    """Let what is loaded by now be passed over when garbage is looked for after each test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean(no_leaks):
    return no_leaks


@pytest.fixture(autouse=True, scope="session")
def _trial_files(tmp_path_factory):
    """What trial's `mktemp` makes goes where pytest's own files go, not into this folder."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("trial")
        files = (str(folder / str(number)) for number in range(1_000_000))
        patch.setattr(SynchronousTestCase, "mktemp", lambda _: next(files))
        yield
