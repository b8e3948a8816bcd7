"""Datagrams: a conversation for each peer, within what it has asked with."""
