"""What every test is held to: nothing is left behind."""

import pytest


@pytest.fixture(autouse=True)
def _clean(no_leaks):
    return no_leaks
