"""What a provider is sent: target and headers, from the configuration and the allow-lists only."""

from urllib.parse import quote

from ringfence.domain.model import Provider
from ringfence.gateways.model.endpoint import Endpoint


def target(base_path: str, endpoint: Endpoint, provider: Provider, model: str, query: str) -> bytes:
    """The request target: the provider's path, its fixed query and what passed the allow-list.

    INVARIANT (I6): host and base path come from the configuration alone.
    """
    path = base_path + endpoint.upstream_path.replace("{model}", quote(model, safe=""))
    fixed = "&".join(f"{quote(name)}={quote(value)}" for name, value in provider.query)
    joined = "&".join(part for part in (fixed, query) if part)
    return f"{path}?{joined}".encode() if joined else path.encode()
