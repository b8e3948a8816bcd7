"""The other end: clients that come back, and keep their place.

`reconnecting` has the two that applications use. From the bottom up: `retry` says when to connect
again; `requests`, `outbox`, `pushes` and `heartbeat` keep what is asked and heard, without I/O;
`connection` is one connection, over its `outlet`; `asking` and `caller` outlive it.
"""
