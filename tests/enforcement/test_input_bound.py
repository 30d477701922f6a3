import asyncio

import msgspec
from tests.gateways.world import World, always, chat, chat_answer, model, organisation, whole

from ringfence.decisions.input_bound import FRAMING_TOKENS, Evidence
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.route import Route, compile_routes

BODY = b"x" * 4_096


def route_of(*names: str) -> Route:
    first, *others = names
    models = {name: model(name) for name in others}
    models[first] = model(first, fallback=tuple(others), image_tokens=100)
    models |= {name: model(name, image_tokens=1_000) for name in others}
    return compile_routes(organisation(models=models))[first]


def request(**more: int) -> ModelRequest:
    return msgspec.structs.replace(ModelRequest(dialect=Dialect.CHAT, body=BODY, model="a"), **more)


def test_the_leg_that_may_count_the_most_decides() -> None:
    bounds = InputBounds()
    route = route_of("a", "b")
    assert bounds.tokens("org", route, request()) == len(BODY) + FRAMING_TOKENS
    assert bounds.tokens("org", route, request(images=1)) == len(BODY) + FRAMING_TOKENS + 1_000


def test_evidence_belongs_to_one_organisation_and_one_model() -> None:
    bounds = InputBounds({("org", "a"): Evidence(highest_ppm=2_000_000)})
    route = route_of("a")
    assert bounds.tokens("org", route, request()) == 2 * len(BODY) + FRAMING_TOKENS
    assert bounds.tokens("other", route, request()) == len(BODY) + FRAMING_TOKENS


def test_only_counts_of_plain_text_are_evidence() -> None:
    bounds, route = InputBounds(), route_of("a")
    dense = Usage(input_tokens=2 * len(BODY), output_tokens=1)
    leg = route.legs[0]
    bounds.learn("org", leg, request(images=1), dense)
    bounds.learn("org", leg, request(), msgspec.structs.replace(dense, estimated=True))
    assert bounds.tokens("org", route, request()) == len(BODY) + FRAMING_TOKENS
    bounds.learn("org", leg, request(), dense)
    assert bounds.tokens("org", route, request()) == 2 * len(BODY) + FRAMING_TOKENS


def test_a_call_is_bound_by_what_the_one_before_has_shown() -> None:
    async def story() -> None:
        world = World()
        text = "hello " * 1_000
        world.providers.answering = always(lambda: whole(chat_answer(12_000, 1)))
        await world.ask(body=chat(text))
        await world.ask(body=chat(text))
        first, second = [each.input_bound for each in world.ledger.intents]
        assert first < 12_000 <= second

    asyncio.run(story())


def test_what_another_worker_saw_raises_a_bound_and_never_lowers_it() -> None:
    bounds = InputBounds({("org_1", "small"): Evidence(calls=9, highest_ppm=100)})
    bounds.hear("org_1", "small", Evidence(highest_ppm=50, framing_tokens=0))
    assert list(bounds.known()) == [("org_1", "small", Evidence(calls=9, highest_ppm=100))]
    bounds.hear("org_1", "small", Evidence(highest_ppm=300, framing_tokens=0))
    bounds.hear("org_1", "new", Evidence(highest_ppm=7))
    assert [(model, seen.calls, seen.highest_ppm) for _, model, seen in bounds.known()] == [
        ("small", 9, 300),
        ("new", 0, 7),
    ]
