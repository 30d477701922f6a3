"""Where the calls of a model alias go: compiled once for each epoch of the configuration."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ringfence.decisions.price import dearest
from ringfence.domain.model import (
    Model,
    Provider,
    ProviderProtocol,
    UpstreamKey,
    UpstreamKind,
)
from ringfence.domain.organisation import Organisation
from ringfence.domain.price import RateCard
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.transport.http import Origin

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leg:
    """One model at one provider. Equal to itself only, and so cheap to look things up by.

    The keys are what is watched and paced of them.
    """

    model_key: UpstreamKey
    provider_key: UpstreamKey
    credential_key: UpstreamKey
    model: Model
    provider: Provider
    origin: Origin
    base_path: str
    host: bytes
    """The Host header's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """All legs of an alias in the order they are tried, and the dearest price of them all.

    `card` is None if the price of any leg is unknown: such a call is refused.
    """

    model: Model
    protocol: ProviderProtocol
    legs: tuple[Leg, ...]
    card: RateCard | None
    tool_dialects: tuple[ToolDialect, ...] = ()
    """What the providers of all legs refuse in tools: what is sent must suit each of them."""


def compile_routes(organisation: Organisation) -> dict[str, Route]:
    """The route of every model alias of an organisation."""
    return {name: _route(organisation, model) for name, model in organisation.models.items()}


def within(route: Route, names: AbstractSet[str]) -> Route:
    """The same route without the fallbacks that are not among these models."""
    first, *others = route.legs
    kept = [leg for leg in others if leg.model.name in names]
    if len(kept) == len(others):
        return route
    return replace(route, legs=(first, *kept), card=_card([first, *kept]))


def _route(organisation: Organisation, model: Model) -> Route:
    models = [model, *(organisation.models[name] for name in model.fallback)]
    legs = tuple(_leg(organisation, each) for each in models)
    protocol = organisation.providers[model.provider].protocol
    known = [leg.provider.tool_dialect for leg in legs]
    dialects = tuple(dict.fromkeys(each for each in known if each is not None))
    return Route(
        model=model, protocol=protocol, legs=legs, card=_card(legs), tool_dialects=dialects
    )


def _card(legs: Sequence[Leg]) -> RateCard | None:
    cards = [leg.model.price or leg.model.ceiling for leg in legs]
    known = [card for card in cards if card is not None]
    return dearest(known) if len(known) == len(cards) else None


def origin_of(url: str) -> Origin:
    """Where to connect for a URL of the configuration."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return Origin(scheme=parts.scheme, host=parts.hostname or "", port=port)


def _leg(organisation: Organisation, model: Model) -> Leg:
    provider = organisation.providers[model.provider]
    parts = urlsplit(provider.base_url)
    return Leg(
        model_key=UpstreamKey(organisation.id, UpstreamKind.MODEL, model.name),
        provider_key=UpstreamKey(organisation.id, UpstreamKind.PROVIDER, provider.name),
        credential_key=UpstreamKey(organisation.id, UpstreamKind.CREDENTIAL, provider.name),
        model=model,
        provider=provider,
        origin=origin_of(provider.base_url),
        base_path=parts.path.rstrip("/"),
        host=parts.netloc.encode(),
    )
