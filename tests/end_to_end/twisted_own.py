"""Twisted's own tests of its TCP and UNIX transports, run against the fast ones.

`test_fast.py` runs this file with trial. Each of Twisted's builders makes a class for each
reactor of the platform; here the reactors are made fast first.
"""

from typing import Any

from twisted.internet.test import test_tcp, test_unix

from twisted_sock import fast

BUILDERS = [
    test_tcp.TCP4ClientTestsBuilder,
    test_tcp.TCP6ClientTestsBuilder,
    test_tcp.TCPPortTestsBuilder,
    test_tcp.TCPConnectionTestsBuilder,
    test_tcp.TCP4ConnectorTestsBuilder,
    test_tcp.TCP6ConnectorTestsBuilder,
    test_tcp.TCPTransportTestsBuilder,
    test_tcp.TestBindAddressBuilder,
    test_tcp.AbortConnectionTests,
    test_unix.UNIXTestsBuilder,
]


class FastReactors:
    """Makes every reactor that a builder builds fast."""

    def buildReactor(self) -> Any:
        return fast(super().buildReactor())  # type: ignore[misc]


#: What is different by design: the tests that say otherwise.
OTHERWISE = {
    "test_logPrefix": "log lines of all fast connections have one prefix",
    "test_avoidLeakingFileDescriptors": "the system drops unwanted descriptors",
}


def _left_out(why: str) -> Any:
    def test(self: Any) -> None: ...

    test.skip = why  # type: ignore[attr-defined]
    return test


for _builder in BUILDERS:
    _fast = type("Fast" + _builder.__name__, (FastReactors, _builder), {})
    for _name, _why in OTHERWISE.items():
        if hasattr(_fast, _name):
            setattr(_fast, _name, _left_out(_why))
    for _name, _case in _fast.makeTestCaseClasses().items():
        if "ThreadedSelect" not in _name:  # which nobody runs a service on
            globals()[_name] = _case
