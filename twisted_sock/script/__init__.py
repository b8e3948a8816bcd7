"""Scripted conversations: what a script says, reading it, playing it, and what it was used for.

`model` is what a script says, as data; `reading` makes it from TOML; `playing` answers lines by
it; `faults` lets things go wrong on purpose; `recording` writes one from what was said.
"""
