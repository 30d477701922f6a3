"""Where the calls of a model alias go: compiled once for each epoch of the configuration."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from ringfence.decisions.price import dearest
from ringfence.domain.model import Model, Provider, ProviderProtocol
from ringfence.domain.organisation import Organisation
from ringfence.domain.price import RateCard
from ringfence.transport.http import Origin

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One model at one provider."""

    model: Model
    provider: Provider
    origin: Origin
    base_path: str
    host: bytes
    """The Host header's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """All legs of an alias in the order they are tried, and the dearest price of them all.

    `card` is None if the price of any leg is unknown: such a call is refused (DESIGN §5).
    """

    model: Model
    protocol: ProviderProtocol
    legs: tuple[Leg, ...]
    card: RateCard | None


def compile_routes(organisation: Organisation) -> dict[str, Route]:
    """The route of every model alias of an organisation."""
    return {name: _route(organisation, model) for name, model in organisation.models.items()}


def _route(organisation: Organisation, model: Model) -> Route:
    models = [model, *(organisation.models[name] for name in model.fallback)]
    cards = [each.price or each.ceiling for each in models]
    known = [card for card in cards if card is not None]
    return Route(
        model=model,
        protocol=organisation.providers[model.provider].protocol,
        legs=tuple(_leg(organisation.providers[each.provider], each) for each in models),
        card=dearest(known) if len(known) == len(cards) else None,
    )


def _leg(provider: Provider, model: Model) -> Leg:
    parts = urlsplit(provider.base_url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return Leg(
        model=model,
        provider=provider,
        origin=Origin(scheme=parts.scheme, host=host, port=port),
        base_path=parts.path.rstrip("/"),
        host=parts.netloc.encode(),
    )
