"""Names the service for twistd; the body is imported only when it is asked for."""

from twisted.application.service import ServiceMaker

sockservice = ServiceMaker(
    "sockservice",
    "twisted_sock.service",
    "A line service with pluggable protocols.",
    "sockservice",
)
