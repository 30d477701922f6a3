import asyncio
from typing import Any

import msgspec
from tests.gateways.world import NANO, RATES, World, code_of, model, organisation, respond

from ringfence.decisions.input_bound import FRAMING_TOKENS
from ringfence.domain.price import RateCard, Rates


def test_an_unknown_price_is_never_zero() -> None:
    async def story() -> None:
        world = World(organisation(models={"small": model("small", price=None)}))
        response = await world.ask()
        assert (response.status, code_of(response)) == (403, "price_unknown")
        assert world.providers.sent == []

    asyncio.run(story())


def test_a_hosted_tool_is_reserved_with_its_fees_and_what_it_brings() -> None:
    card = RateCard(rates=RATES, hosted=(("web_search", 50_000_000),))
    searching: dict[str, Any] = {
        "price": card,
        "hosted_tools": frozenset({"web_search"}),
        "hosted_uses": 10,
        "hosted_tokens": 40_000,
    }

    async def story() -> None:
        world = World(organisation(models={"small": model("small", **searching)}))
        tools = [{"type": "web_search"}]
        assert (await world.ask("/v1/responses", respond(tools=tools))).status == 200
        [intent] = world.ledger.intents
        own = intent.body_bytes + FRAMING_TOKENS
        assert intent.input_bound == 11 * own + 400_000
        tokens = intent.input_bound * 1_000 + 50 * 10_000
        assert int(intent.reserved_nano) == tokens + 10 * 50_000_000

    asyncio.run(story())


def test_a_hosted_tool_that_one_leg_has_no_fee_for_is_refused() -> None:
    allowed: dict[str, Any] = {
        "hosted_tools": frozenset({"web_search"}),
        "hosted_uses": 1,
        "hosted_tokens": 0,
    }
    priced = RateCard(rates=RATES, hosted=(("web_search", 1),))
    small = model("small", fallback=("embed",), price=priced, **allowed)

    async def story() -> None:
        world = World(organisation(models={"small": small, "embed": model("embed", **allowed)}))
        refused = await world.ask("/v1/responses", respond(tools=[{"type": "web_search"}]))
        assert (refused.status, code_of(refused)) == (403, "price_unknown")

    asyncio.run(story())


def test_an_invocation_without_a_fallback_in_its_scope_is_quoted_without_it() -> None:
    dear = RateCard(rates=Rates(input=3 * NANO, output=30 * NANO))

    async def story() -> None:
        world = World(
            organisation(
                models={
                    "small": model("small", fallback=("embed",)),
                    "embed": model("embed", price=dear),
                }
            )
        )
        path = "/ringfence/v1/invocations"
        narrowed = msgspec.json.decode((await world.ask(path, {"models": ["small"]})).body)
        await world.ask()
        await world.ask(token=narrowed["token"])
        wide, narrow = [int(each.reserved_nano) for each in world.ledger.intents]
        assert wide == 3 * narrow

    asyncio.run(story())


def test_fewer_uses_of_hosted_tools_are_reserved_and_more_are_refused() -> None:
    card = RateCard(rates=RATES, hosted=(("web_search", 50_000_000),))
    searching: dict[str, Any] = {
        "price": card,
        "hosted_tools": frozenset({"web_search"}),
        "hosted_uses": 10,
        "hosted_tokens": 40_000,
    }

    async def story() -> None:
        world = World(organisation(models={"small": model("small", **searching)}))
        tools = [{"type": "web_search"}]
        await world.ask("/v1/responses", respond(tools=tools, max_tool_calls=2))
        [intent] = world.ledger.intents
        own = intent.body_bytes + FRAMING_TOKENS
        assert intent.input_bound == 3 * own + 2 * 40_000
        tokens = intent.input_bound * 1_000 + 50 * 10_000
        assert int(intent.reserved_nano) == tokens + 2 * 50_000_000
        refused = await world.ask("/v1/responses", respond(tools=tools, max_tool_calls=11))
        assert (refused.status, code_of(refused)) == (403, "field_refused")
        assert len(world.providers.sent) == 1

    asyncio.run(story())
