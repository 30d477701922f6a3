"""The words of egress: what an organisation says of the requests that leave its sandboxes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """What holds for every sandbox of an organisation.

    `networks` are private ranges (CIDR) in which hosts may lie. `addresses` gives hosts the address
    to dial, in place of the resolver. `authority` is a PEM file of authorities that upstreams are
    trusted by besides the machine's. `uninspected` are patterns as in `hosts`, whose TLS is passed
    through as it is. `kept_bytes` of each body go on the record. `approval_s` is how long a request
    waits for a person before its client is told to ask again.
    """

    networks: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    authority: str = ""
    uninspected: tuple[str, ...] = ()
    kept_bytes: int = 64 * 1024
    approval_s: int = 60
    connect_timeout_s: float = 10.0
    idle_timeout_s: float = 120.0
    total_timeout_s: float = 3600.0
