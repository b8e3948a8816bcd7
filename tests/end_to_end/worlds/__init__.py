"""The transports that keep the promises of `tests/contracts.py`, over real sockets."""
