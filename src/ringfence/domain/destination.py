"""The words of destinations: where a request of a sandbox goes, and how it came to us."""

from enum import StrEnum

import msgspec

DEFAULT_PORTS = {"http": 80, "https": 443}


class Way(StrEnum):
    """How a request or a connection reached the egress gateway."""

    CONNECT = "connect"
    """Through a tunnel that the client asked a proxy for."""
    ABSOLUTE = "absolute"
    """In the absolute form that clients send to proxies."""
    PLAIN = "plain"
    """Caught on port 80 of any address."""
    TLS = "tls"
    """Caught on port 443 of any address."""
    DNS = "dns"
    """A question for the address of a name."""


class Authority(msgspec.Struct, frozen=True):
    """A host in its one canonical form, and the port if one was stated.

    `host` is a name in lower case, or an address without brackets as `ipaddress` writes it.
    """

    host: str
    port: int | None = None
    is_address: bool = False


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided: who is dialled, under which name, and what the upstream is told as Host."""

    scheme: str
    """`http` or `https`."""
    host: str
    """As in `Authority`."""
    port: int
    is_address: bool = False

    @property
    def resource(self) -> str:
        """`host:port` as the record and `hosts:` spell it, IPv6 in brackets."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def origin(self) -> str:
        """`scheme://host`, with the port where it is not the usual one."""
        usual = DEFAULT_PORTS.get(self.scheme) == self.port
        host = bracketed(self.host)
        return f"{self.scheme}://{host}" if usual else f"{self.scheme}://{host}:{self.port}"


def bracketed(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host
