"""WebSocket (RFC 6455): frames and messages to lines and back, handshakes, closing."""
