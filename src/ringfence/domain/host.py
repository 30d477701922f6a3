"""The words of hosts: which of them lie inside, by their name or address alone."""

import ipaddress

_PRIVATE_SUFFIXES = (".internal", ".local", ".localhost", ".lan", ".home.arpa")
"""RFC 6761, RFC 6762, RFC 8375, ICANN's `internal` (2024), and `lan` by wide use."""


def is_private(host: str) -> bool:
    """Whether a host is this machine or on a private network, as far as its name tells."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)
