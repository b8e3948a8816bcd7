"""The smallest line protocol."""


def echo(line: str) -> str:
    """Answers with the same line."""
    return line
