"""The one error that a measurement ends with when it cannot be taken."""


class BenchError(Exception):
    """A server did not start, did not answer, or a load did not finish; says so in one line."""
