from dataclasses import replace

import pytest
from tests.gateways.world import NANO, RATES, model, organisation, provider

from ringfence.domain.model import ProviderProtocol
from ringfence.domain.price import RateCard, Rates
from ringfence.enforcement.route import compile_routes, within

DEAR = RateCard(rates=Rates(input=3 * NANO, output=2 * NANO))


def test_a_route_has_the_legs_of_its_fallbacks_and_the_dearest_price_of_each_kind() -> None:
    plain = organisation()
    models = {**plain.models, "small": model("small", fallback=("other",))}
    models["other"] = model("other", "spare", price=DEAR)
    route = compile_routes(replace(plain, models=models))["small"]
    assert [leg.provider.name for leg in route.legs] == ["house", "spare"]
    assert route.card is not None
    assert (route.card.rates.input, route.card.rates.output) == (3 * NANO, RATES.output)
    alone = within(route, frozenset({"small"}))
    assert [leg.provider.name for leg in alone.legs] == ["house"]
    assert alone.card == RateCard(rates=RATES)
    assert within(route, frozenset({"small", "other"})) is route


def test_one_unknown_price_makes_the_route_unpriced() -> None:
    plain = organisation()
    models = {**plain.models, "small": model("small", fallback=("other",))}
    models["other"] = model("other", "spare", price=None)
    routes = compile_routes(replace(plain, models=models))
    assert routes["small"].card is None
    assert within(routes["small"], frozenset({"small"})).card is not None
    models["other"] = model("other", "spare", price=None, ceiling=DEAR)
    assert compile_routes(replace(plain, models=models))["small"].card is not None


@pytest.mark.parametrize(
    ("url", "host", "port", "base", "header"),
    [
        ("https://api.example/v1", "api.example", 443, "/v1", b"api.example"),
        ("http://api.example:8080/", "api.example", 8080, "", b"api.example:8080"),
        ("http://[::1]:11434/v1/", "::1", 11434, "/v1", b"[::1]:11434"),
    ],
)
def test_where_a_leg_leads(url: str, host: str, port: int, base: str, header: bytes) -> None:
    house = provider("house", ProviderProtocol.OPENAI, base_url=url)
    plain = organisation()
    config = replace(plain, providers={**plain.providers, "house": house})
    leg = compile_routes(config)["small"].legs[0]
    assert (leg.origin.host, leg.origin.port, leg.base_path, leg.host) == (host, port, base, header)
