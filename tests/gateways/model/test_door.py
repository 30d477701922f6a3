import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from tests.gateways.world import (
    NANO,
    PROVIDER_KEY,
    Answering,
    Sent,
    Upstream,
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    chunk,
    code_of,
    message,
    message_answer,
    model,
    organisation,
    provider,
    respond,
    response_answer,
    turns,
    usd,
    whole,
)

from ringfence.domain.agent import Limits, Scope
from ringfence.domain.budget import Per
from ringfence.domain.error import PeerError, UnavailableError, UnsentError
from ringfence.domain.event import Status
from ringfence.domain.model import InputBound, ProviderProtocol
from ringfence.domain.organisation import Organisation
from ringfence.domain.price import RateCard, Rates
from ringfence.enforcement.allowance import AllowanceLimits

CALLS_MAX = AllowanceLimits().calls_per_credential
UNSENT = UnsentError("provider_unavailable", "no route")
BROKEN = UnavailableError("provider_unavailable", "closed without an answer")
LATE = UnavailableError("provider_timeout", "too late")
BUSY = {"error": {"message": "overloaded", "type": "server_error"}}


def two_legs(**more: object) -> Organisation:
    """`small` at `house`, then `other` at `spare`, which costs three times as much."""
    dear = RateCard(rates=Rates(input=3 * NANO, output=30 * NANO))
    plain = organisation()
    scope = Scope(models=frozenset({"small", "other"}))
    return replace(
        plain,
        models={
            **plain.models,
            "small": model("small", fallback=("other",)),
            "other": model("other", "spare", price=dear),
        },
        agents={"triage": agent(**{"scope": scope} | more)},
    )


def by_host(**answers: Answering) -> Answering:
    async def answer(sent: Sent) -> Upstream:
        return await answers[sent.origin.host.partition(".")[0]](sent)

    return answer


async def _unsent(_sent: Sent) -> Upstream:
    raise UNSENT


async def _broken(_sent: Sent) -> Upstream:
    raise BROKEN


async def _late(_sent: Sent) -> Upstream:
    raise LATE


async def _malformed(_sent: Sent) -> Upstream:
    raise PeerError("provider_malformed", "not HTTP")


async def _busy(_sent: Sent) -> Upstream:
    return whole(BUSY, 503)


def _refusing(status: int) -> Answering:
    return always(lambda: whole(BUSY, status))


FINE = always(lambda: whole(chat_answer()))


@pytest.mark.parametrize("first", [_unsent, _busy, *map(_refusing, (500, 502, 503, 529))], ids=str)
@pytest.mark.parametrize("stream", [True, False])
def test_a_provider_that_failed_gives_way_to_the_next(
    first: Answering,
    stream: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    async def story() -> None:
        world = World(two_legs())
        second = always(lambda: Upstream(pieces=chat_stream(7))) if stream else FINE
        world.providers.answering = by_host(house=first, spare=second)
        response = await world.ask(body=chat(stream=stream))
        assert response.status == 200
        assert [sent.json["model"] for sent in world.providers.sent] == [
            "small-upstream",
            "other-upstream",
        ]
        [intent], [outcome] = world.ledger.intents, world.ledger.outcomes
        assert [each.provider for each in outcome.attempts] == ["house", "spare"]
        # One reservation, at the dearest price; charged at the price of the one that answered.
        dear = 30_000 * 50 + 3_000 * intent.input_bound
        assert intent.reserved_nano == str(dear)
        assert outcome.cost_nano == str(5 * 3_000 + 7 * 30_000)
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("first", [_broken, _late, _malformed], ids=str)
def test_what_may_have_been_done_is_not_done_twice(first: Answering) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=first, spare=FINE)
        response = await world.ask()
        assert response.status in {502, 503, 504}
        assert response.headers[b"x-should-retry"] == b"false"
        assert len(world.providers.sent) == 1
        [outcome] = world.ledger.outcomes
        assert outcome.cost_nano == outcome.reserved_nano
        assert outcome.status is Status.FAILED
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("status", [504, 524])
def test_a_provider_that_timed_out_may_charge_and_is_not_asked_elsewhere(status: int) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=_refusing(status), spare=FINE)
        assert (await world.ask()).status == status
        assert len(world.providers.sent) == 1
        [outcome] = world.ledger.outcomes
        assert outcome.error == f"http_{status}"
        assert outcome.cost_nano == outcome.reserved_nano
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("status", [400, 404, 422, 429])
def test_a_request_that_the_provider_refused_is_not_tried_elsewhere(status: int) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=_refusing(status), spare=FINE)
        assert (await world.ask()).status == status
        assert len(world.providers.sent) == 1
        assert world.ledger.outcomes[0].error == f"http_{status}"

    asyncio.run(story())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_ours_to_mend(status: int) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=_refusing(status), spare=FINE)
        response = await world.ask()
        assert response.status == 502
        assert b"overloaded" not in response.body
        assert len(world.providers.sent) == 1

    asyncio.run(story())


SHOWN_KEYS = (
    PROVIDER_KEY,
    PROVIDER_KEY.replace("-", "\\u002d"),
    PROVIDER_KEY.replace("-", "%2D"),
    b64encode(f"Bearer {PROVIDER_KEY}".encode()).decode(),
)


@pytest.mark.parametrize("shown", SHOWN_KEYS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 400])
def test_what_shows_our_credential_reaches_neither_agent_nor_record(
    shown: str,
    stream: bool,  # noqa: FBT001 (a case of the table)
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = [chunk("your "), chunk("KEY"), *chat_stream(5)]
    body = b"".join(events) if stream else msgspec.json.encode(chat_answer() | {"id": "KEY"})
    body = body.replace(b"KEY", shown.encode())
    kind = b"text/event-stream" if stream else b"application/json"
    pieces = [body[:99], body[99:]]

    async def story() -> None:
        world = World()
        world.providers.answering = always(
            lambda: Upstream(
                status,
                pieces,
                kind=kind,
                headers=[(b"x-request-id", shown.encode()), (b"request-id", b"req_1")],
            )
        )
        response = await world.ask(body=chat(stream=stream))
        told = response.body + repr(response.headers).encode()
        kept = b"".join(world.ledger.bodies.values()) + msgspec.json.encode(world.ledger.events)
        for form in (shown.encode(), PROVIDER_KEY.encode()):
            assert form not in told
            assert form not in kept
        assert b"Ringfence" in response.body
        assert "credential" in caplog.text
        world.check_books()

    asyncio.run(story())


def test_an_error_that_cannot_be_read_is_told_in_our_words() -> None:
    async def story() -> None:
        world = World()
        long = [b"x" * 1024 * 1024, b"x"]
        world.providers.answering = always(lambda: Upstream(400, long, kind=b"application/json"))
        response = await world.ask()
        assert (response.status, code_of(response)) == (502, "provider_malformed")
        assert b"status 400" in response.body
        assert world.ledger.outcomes[0].error == "http_400"
        world.check_books()

    asyncio.run(story())


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


def test_a_header_that_shows_our_credential_is_left_out() -> None:
    async def story() -> None:
        world = World()
        shown = [(b"x-request-id", PROVIDER_KEY.encode()), (b"request-id", b"req_1")]
        world.providers.answering = always(
            lambda: Upstream(
                200,
                [msgspec.json.encode(chat_answer())],
                kind=b"application/json",
                headers=shown,
            )
        )
        response = await world.ask()
        assert response.status == 200
        assert response.headers[b"request-id"] == b"req_1"
        assert b"x-request-id" not in response.headers

    asyncio.run(story())


def test_when_all_fail_the_last_says_why_and_nothing_is_charged() -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = _unsent
        response = await world.ask()
        assert (response.status, code_of(response)) == (503, "provider_unavailable")
        [outcome] = world.ledger.outcomes
        assert [each.error for each in outcome.attempts] == ["provider_unavailable"] * 2
        assert outcome.cost_nano == "0"
        world.providers.answering = _busy
        assert (await world.ask()).status == 503

    asyncio.run(story())


@pytest.mark.parametrize("status", [300, 302, 304, 399])
@pytest.mark.parametrize("stream", [False, True])
def test_a_redirect_is_no_answer_and_leads_no_agent_elsewhere(status: int, *, stream: bool) -> None:
    async def story() -> None:
        world = World()
        headers = [(b"location", b"http://elsewhere.example/")]
        world.providers.answering = always(lambda: whole(chat_answer(), status, headers))
        response = await world.ask(body=chat(stream=stream))
        assert (response.status, code_of(response)) == (502, "provider_malformed")
        assert b"elsewhere" not in response.body + repr(response.headers).encode()
        [outcome] = world.ledger.outcomes
        assert outcome.cost_nano == outcome.reserved_nano
        world.check_books()

    asyncio.run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_an_encoded_answer_is_refused_since_it_cannot_be_read(*, stream: bool) -> None:
    async def story(encoding: bytes) -> int:
        world = World()
        headers = [(b"content-encoding", encoding)]
        world.providers.answering = always(
            lambda: (
                Upstream(200, chat_stream(), headers=headers)
                if stream
                else whole(chat_answer(), headers=headers)
            )
        )
        status = (await world.ask(body=chat(stream=stream))).status
        world.check_books()
        return status

    assert asyncio.run(story(b"gzip")) == 502
    assert asyncio.run(story(b"Identity")) == 200


def test_a_fallback_out_of_scope_is_not_tried() -> None:
    async def story() -> None:
        world = World(two_legs(scope=Scope(models=frozenset({"small"}))))
        world.providers.answering = by_host(house=_busy, spare=FINE)
        assert (await world.ask()).status == 503
        assert [sent.origin.host for sent in world.providers.sent] == ["house.example"]
        assert world.ledger.intents[0].reserved_nano == str(
            10_000 * 50 + 1_000 * world.ledger.intents[0].input_bound
        )

    asyncio.run(story())


def test_a_fallback_that_the_invocation_may_not_use_is_not_tried() -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=_busy, spare=FINE)
        opened = await world.ask("/ringfence/v1/invocations", {"models": ["small"]})
        token = msgspec.json.decode(opened.body)["token"]
        assert (await world.ask(token=token)).status == 503
        assert len(world.providers.sent) == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("asked", "limits", "sent", "header"),
    [
        (50, Limits(), 50, None),
        (50, Limits(output_tokens=4000), 50, None),
        (5000, Limits(output_tokens=4000), 4000, "4000; cap"),
        (None, Limits(default_output_tokens=70), 70, "70; default"),
        (None, Limits(output_tokens=60, default_output_tokens=60), 60, "60; default"),
    ],
)
def test_the_output_limit_that_holds_is_the_one_that_is_sent(
    asked: int | None, limits: Limits, sent: int, header: str | None
) -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(limits=limits)}))
        body = msgspec.json.encode(
            {k: v for k, v in chat(max_tokens=asked).items() if v is not None}
        )
        response = await world.ask(body=body)
        [request] = world.providers.sent
        given = {k: v for k, v in request.json.items() if k.startswith("max_")}
        assert set(given.values()) == {sent}
        assert response.headers.get(b"ringfence-output-limit", b"").decode() == (header or "")
        if header is None:
            # The client's own bytes, but for the model's name.
            assert request.body == body.replace(b'"small"', b'"small-upstream"')
        assert world.ledger.intents[0].output_limit == sent

    asyncio.run(story())


def test_a_budget_that_affords_less_lowers_the_output_limit_and_says_so() -> None:
    async def story() -> None:
        exact = InputBound(initial_tokens_per_byte=1.0)
        cheap = model("small", price=RateCard(rates=Rates(input=0, output=10 * NANO)))
        plain = organisation(agents={"triage": agent(budgets=(usd(0.0005, Per.DAY),))})
        world = World(replace(plain, models={"small": replace(cheap, input_bound=exact)}))
        response = await world.ask(body=chat(max_tokens=1000))
        assert response.status == 200
        assert response.headers[b"ringfence-output-limit"] == b"50; budget"
        assert world.providers.sent[0].json["max_tokens"] == 50
        [intent] = world.ledger.intents
        assert intent.decision.obligations == ["output_limit=50 (budget)"]

    asyncio.run(story())


@pytest.mark.parametrize("wanted", [True, False])
def test_a_stream_is_asked_for_its_usage_and_the_client_sees_what_it_asked_for(
    wanted: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: Upstream(pieces=chat_stream(3)))
        options: Mapping[str, object] = {"stream_options": {"include_usage": True}}
        response = await world.ask(body=chat(stream=True, **(options if wanted else {})))
        assert world.providers.sent[0].json["stream_options"]["include_usage"] is True
        assert (b'"usage"' in response.body) is wanted
        assert response.body.endswith(b"data: [DONE]\n\n")
        [outcome] = world.ledger.outcomes
        assert outcome.cost_nano == str(5 * 1_000 + 3 * 10_000)
        assert world.ledger.bodies[f"Outcome {outcome.action}"] == response.body

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
