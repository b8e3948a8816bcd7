"""Ours and its peers: one small program each, all answering `+PONG` or the line itself.

Each is written the way its own documentation would have it.
"""
