"""How much a peer may ask of the HTTP engine: sizes, counts and times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a client may ask of the server. Bodies are limited by whoever reads them.

    `discard_bytes` is how much of a body nobody wants is read to save the connection; `linger_s`
    is how long a refused client may go on sending, so that it reads the refusal and not a reset.
    """

    target_bytes: int = 8 * 1024  # RFC 9112 section 3 asks for at least 8,000
    header_bytes: int = 32 * 1024  # nginx: 4 buffers of 8 KiB
    header_count: int = 100  # Apache: LimitRequestFields 100
    headers_s: float = 20.0  # Apache: RequestReadTimeout header=20
    body_idle_s: float = 30.0
    send_idle_s: float = 120.0
    keep_alive_s: float = 75.0  # nginx: keepalive_timeout 75s
    linger_s: float = 10.0
    discard_bytes: int = 256 * 1024
    connections: int = 10_000
    backlog: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What the client asks of upstreams and takes from them.

    An idle connection is given up before common servers do: uvicorn and Node close after 5 s, which
    is what stands behind plain HTTP; load balancers in front of TLS after 60 s or more.
    """

    header_bytes: int = 64 * 1024
    header_count: int = 200
    idle_plain_s: float = 4.0
    idle_tls_s: float = 45.0
    connections_per_origin: int = 512
    connections: int = 4096
    """To all origins; where there are more, those that rest are closed, the longest first."""
    addresses_s: float = 30.0
