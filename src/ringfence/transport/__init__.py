"""Sockets, TLS, clock and randomness: the only source of "now" and of chance.

Imports `domain` only. Read `http` (the messages), then `server` and `client`;
`link` joins processes of one plane; `kernel` is what Linux offers to confine a process.
"""
