import asyncio
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from tests.gateways.world import (
    Upstream,
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    code_of,
    message,
    message_answer,
    model,
    organisation,
    provider,
    respond,
    response_answer,
    turns,
    whole,
)

from ringfence.domain.event import Status
from ringfence.domain.model import InputBound, ProviderProtocol
from ringfence.domain.verdict import Throttle
from ringfence.enforcement.allowance import Allowance, AllowanceLimits, Portion
from ringfence.enforcement.directory import Caller

CALLS_MAX = AllowanceLimits().calls_per_credential


FINE = always(lambda: whole(chat_answer()))


def test_calls_that_are_too_many_at_once_are_turned_away_and_recorded() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(
            lambda: Upstream(ending="hang", kind=b"application/json")
        )
        running = [asyncio.create_task(world.ask()) for _ in range(CALLS_MAX)]
        await turns()
        one_more = await world.ask()
        assert (one_more.status, code_of(one_more)) == (429, "rate_exceeded")
        assert b"retry-after" in one_more.headers
        assert [each.decision.code for each in world.ledger.refusals] == ["rate_exceeded"]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        world.providers.answering = FINE
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_the_record_of_a_call_is_whole() -> None:
    async def story() -> None:
        world = World()
        body = msgspec.json.encode(chat("a question"))
        response = await world.ask(
            body=body, headers={"user-agent": "x" * 500, "ringfence-invocation": "run-1"}
        )
        [intent], [outcome] = world.ledger.intents, world.ledger.outcomes
        assert world.ledger.bodies[f"Intent {intent.action}"] == body
        assert world.ledger.bodies[f"Outcome {intent.action}"] == response.body
        assert (intent.resource, intent.operation, intent.upstream) == (
            "small",
            "chat",
            "small-upstream",
        )
        assert intent.external_id == "run-1"
        assert intent.client == "x" * 120
        assert [line.scope for line in intent.accounts] == ["agent", "organisation"]
        assert (outcome.status, outcome.finish, outcome.http_status) == (Status.OK, "stop", 200)
        assert response.headers[b"ringfence-action"].decode() == intent.action
        assert response.headers[b"ringfence-invocation"].decode() == intent.invocation
        left = int(intent.accounts[0].left_nano) + int(intent.reserved_nano)
        assert int(outcome.accounts[0].left_nano) == left - int(outcome.cost_nano)

    asyncio.run(story())


def test_an_azure_provider_gets_its_query_and_its_own_credential_header() -> None:
    async def story() -> None:
        azure = provider(
            "house",
            ProviderProtocol.OPENAI,
            base_url="http://house.example/openai/deployments/d",
            query=(("api-version", "2024-10-21"),),
            credential_header="api-key",
        )
        plain = organisation()
        world = World(replace(plain, providers={**plain.providers, "house": azure}))
        await world.ask("/v1/chat/completions?api-version=evil")
        [sent] = world.providers.sent
        expected = "/openai/deployments/d/chat/completions?api-version=2024-10-21"
        assert sent.target == expected
        assert sent.origin.port == 80
        assert set(sent.headers) == {b"host", b"api-key", b"content-type"}

    asyncio.run(story())


def test_both_anthropic_credentials_and_versions_pass_the_door() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(partial(whole, message_answer()))
        ways = [
            {"x-api-key": "rf_agt_triage", "anthropic-version": "2023-06-01"},
            {"authorization": "Bearer rf_agt_triage", "anthropic-version": "2023-01-01"},
            {"authorization": "bearer rf_agt_triage", "x-api-key": "rf_agt_triage"},
        ]
        for headers in ways:
            response = await world.ask("/v1/messages", message(), token=None, headers=headers)
            assert response.status == 200
        versions = [sent.headers.get(b"anthropic-version") for sent in world.providers.sent]
        assert versions == [b"2023-06-01", b"2023-01-01", None]
        assert all(b"rf_agt" not in repr(sent.headers).encode() for sent in world.providers.sent)

    asyncio.run(story())


def test_a_response_that_this_agent_made_may_be_continued_and_is_paid_for() -> None:
    async def story() -> None:
        both = organisation(agents={"triage": agent(), "spy": agent("spy")})
        world = World(both)
        answer = response_answer("resp_mine", 400, 600)
        world.providers.answering = always(partial(whole, answer))
        follow = respond(previous_response_id="resp_mine")
        assert code_of(await world.ask("/v1/responses", follow)) == "provider_object"
        assert (await world.ask("/v1/responses", respond())).status == 200
        assert (await world.ask("/v1/responses", follow)).status == 200
        first, second = world.ledger.intents
        extra = second.input_bound - first.input_bound
        assert extra >= 400 + 600
        assert (first.beyond_text, second.beyond_text) == (False, True)
        # Nobody else may, and nobody learns that it exists.
        stolen = await world.ask("/v1/responses", follow, token="rf_agt_spy")
        never = respond(previous_response_id="resp_none")
        unknown = await world.ask("/v1/responses", never, token="rf_agt_spy")
        assert (stolen.status, code_of(stolen)) == (403, "provider_object")
        assert stolen.body == unknown.body.replace(b"resp_none", b"resp_mine")
        world.check_books()

    asyncio.run(story())


def test_what_calls_show_of_their_input_bounds_the_next() -> None:
    async def story() -> None:
        learned = InputBound(initial_tokens_per_byte=0.1, margin_ratio=0.0)
        plain = organisation()
        world = World(
            replace(plain, models={**plain.models, "small": model("small", input_bound=learned)})
        )
        text = chat("x" * 10_000)
        world.providers.answering = always(partial(whole, chat_answer(5_000, 1)))
        await world.ask(body=text)
        await world.ask(body=text)
        first, second = world.ledger.intents
        assert first.input_bound < 5_000 <= second.input_bound
        assert int(world.ledger.outcomes[0].overrun_nano) >= 0
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("stream", [True, False])
def test_a_body_that_arrives_late_is_answered_alike(*, stream: bool) -> None:
    async def story() -> None:
        world = World()
        world.is_late = True
        pieces = always(lambda: Upstream(pieces=chat_stream(3)))
        world.providers.answering = pieces if stream else FINE
        response = await world.ask(body=chat(stream=stream))
        assert (response.status, response.is_ended) == (200, True)
        assert code_of(await world.ask(body=b"{")) == "request_malformed"
        assert len(world.ledger.outcomes) == len(world.ledger.refusals) == 1
        world.check_books()

    asyncio.run(story())


def test_what_a_call_held_is_given_back_once_however_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered: list[Portion] = []
    left: list[Portion] = []
    enter, leave = Allowance.enter, Portion.leave

    def count_in(allowance: Allowance, caller: Caller) -> Portion | Throttle:
        portion = enter(allowance, caller)
        assert isinstance(portion, Portion)
        entered.append(portion)
        return portion

    def count_out(portion: Portion) -> None:
        left.append(portion)
        leave(portion)

    async def story() -> None:
        world = World()
        for world.is_late in (True, False):
            for body in (None, b"{", chat(model="unknown"), chat(stream=True)):
                await world.ask(body=body)
            world.ledger.is_failing = True
            await world.ask()
            world.ledger.is_failing = False
        assert len(left) == len(entered) == 10
        assert {id(portion) for portion in left} == {id(portion) for portion in entered}

    monkeypatch.setattr(Allowance, "enter", count_in)
    monkeypatch.setattr(Portion, "leave", count_out)
    asyncio.run(story())


def test_a_field_of_a_server_of_ones_own_passes_where_it_is_allowed() -> None:
    async def story() -> None:
        options = {"num_ctx": 8192, "temperature": 0}
        refused = await World().ask(body=chat(options=options))
        assert (refused.status, code_of(refused)) == (403, "field_refused")
        own = model("small", allow_priced_fields=frozenset({"options"}))
        world = World(organisation(models={"small": own}))
        assert (await world.ask(body=chat(options=options))).status == 200
        assert world.providers.sent[0].json["options"] == options

    asyncio.run(story())
