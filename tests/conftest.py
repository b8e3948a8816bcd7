"""What every test is held to: nothing is left behind."""

import pytest
from twisted.trial.unittest import SynchronousTestCase


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
