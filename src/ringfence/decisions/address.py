"""Which addresses may be dialled for a request of a sandbox: the internet, and what is listed."""

import ipaddress
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER: Final = (
    (ipaddress.ip_network("169.254.169.254/32"), "is a cloud's metadata service"),
    (ipaddress.ip_network("169.254.170.0/24"), "is a cloud's credential service"),
    (ipaddress.ip_network("100.100.100.200/32"), "is a cloud's metadata service"),
    (ipaddress.ip_network("168.63.129.16/32"), "is a cloud's metadata service"),
    (ipaddress.ip_network("192.0.0.192/32"), "is a cloud's metadata service"),
    (ipaddress.ip_network("fd00:ec2::/32"), "is a cloud's metadata service"),
    (ipaddress.ip_network("fd20:ce::/32"), "is a cloud's metadata service"),
)
"""Amazon, Alibaba, Azure, Oracle and Google: not reached even inside of a network that is listed,
unless the network that is listed is no larger than the one here."""

_CARRIERS: Final = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),
)
"""IPv6 networks whose addresses hold an IPv4 address that they lead to, and by how many bits it is
shifted: RFC 6052, RFC 8215, RFC 3056, RFC 4291 section 2.5.5.1, RFC 2765."""
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")


def address_fault(address: str, networks: Sequence[Network]) -> str:
    """Where an address lies that may not be dialled, as a clause; empty if it may be.

    `networks` are those inside which agents may go besides the internet.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
        return "is bound to an interface"
    for each in _carried(parsed):
        fault = _fault(each, networks)
        if fault:
            return fault
    return ""


def _fault(address: Address, networks: Sequence[Network]) -> str:
    if address.is_multicast or address.is_unspecified:
        return "is not that of one machine"
    listed = [each for each in networks if address.version == each.version and address in each]
    for network, fault in _NEVER:
        if address.version == network.version and address in network:
            exact = any(each.prefixlen >= network.prefixlen for each in listed)
            return "" if exact else fault
    if listed:
        return ""
    if address.is_loopback:
        return "is this machine itself"
    if address.is_link_local:
        return "is on the link itself"
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return "is on a private network" if is_site_local or not address.is_global else ""


def _carried(address: Address) -> list[Address]:
    """The address, or the IPv4 addresses that it stands for; then the outer one is only a shell."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _TEREDO and address.teredo is not None:
        return [address, *address.teredo]
    if address.is_loopback or address.is_unspecified:
        return [address]
    for network, shift in _CARRIERS:
        if address in network:
            return [ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)]
    return [address]
