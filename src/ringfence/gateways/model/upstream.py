"""What a provider is sent: target and headers, from the configuration and the allow-lists only."""

from functools import lru_cache
from urllib.parse import quote

from ringfence.domain.model import Provider
from ringfence.gateways.model.endpoint import Endpoint


def target(
    base_path: str, endpoint: Endpoint, provider: Provider, model: str, query: bytes
) -> bytes:
    """The request target: the provider's path, its fixed query and what passed the allow-list.

    INVARIANT (I6): host and base path come from the configuration alone.
    """
    return _target(base_path, endpoint.upstream_path, provider.query, model, query)


@lru_cache(maxsize=1024)
def _target(
    base_path: str,
    upstream_path: str,
    provider_query: tuple[tuple[str, str], ...],
    model: str,
    query: bytes,
) -> bytes:
    """Few are ever asked for: what agents may add to a query is from a short list."""
    path = base_path + upstream_path.replace("{model}", quote(model, safe=""))
    fixed = "&".join(f"{quote(name)}={quote(value)}" for name, value in provider_query)
    joined = "&".join(part for part in (fixed, query.decode()) if part)
    return f"{path}?{joined}".encode() if joined else path.encode()
