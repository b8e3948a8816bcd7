"""The line protocols that come along, one file each: the names that `--protocol` knows."""

#: Name to dotted path. What a plug does is the first line of its docstring.
PROTOCOLS = {
    "echo": "twisted_sock.protocols.echo.echo",
    "console": "twisted_sock.protocols.console.Console",
    "mock": "twisted_sock.protocols.mock.Mock",
    "proxy": "twisted_sock.protocols.proxy.Proxy",
}
