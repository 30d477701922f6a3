import asyncio
from base64 import b64encode
from collections.abc import Mapping

import msgspec
import pytest
from tests.gateways.model.failover import by_host, refusing, two_legs
from tests.gateways.world import (
    PROVIDER_KEY,
    Upstream,
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    chunk,
    code_of,
    organisation,
    whole,
)

from ringfence.domain.agent import Limits
from ringfence.domain.event import Status
from ringfence.domain.organisation import Organisation

FINE = always(lambda: whole(chat_answer()))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_ours_to_mend(status: int) -> None:
    async def story() -> None:
        world = World(two_legs())
        world.providers.answering = by_host(house=refusing(status), spare=FINE)
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
        if status < 400:
            assert "finding.secret_shown" in world.ledger.changes
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


def limited(**limits: int) -> Organisation:
    return organisation(agents={"triage": agent(limits=Limits(**limits))})


def test_a_stream_that_is_too_long_for_its_agent_is_cut_in_its_own_words() -> None:
    async def story() -> None:
        pieces = chat_stream(50)
        allowed = sum(map(len, pieces[:20]))
        world = World(limited(result_bytes=allowed))
        world.providers.answering = always(lambda: Upstream(200, pieces))
        response = await world.ask(body=chat(stream=True))
        error = response.body.split(b"data: ")[-2]
        assert msgspec.json.decode(error)["error"]["ringfence"]["limit"] == "result_bytes"
        assert len(response.body) <= allowed + len(error) + 100
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "limit_reached")
        # Clients that would repeat it without a stream are told that the run is over.
        assert (await world.ask(body=chat(stream=True))).status == 402
        world.check_books()

    asyncio.run(story())


def test_a_whole_answer_that_is_too_long_is_charged_and_refused() -> None:
    async def story() -> None:
        world = World(limited(result_bytes=500))
        answer = chat_answer(5, 40, padding="x" * 400)
        world.providers.answering = always(lambda: whole(answer))
        response = await world.ask()
        assert (response.status, code_of(response)) == (402, "limit_reached")
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.usage is not None) == (Status.CUT, True)
        assert outcome.cost_nano == str(5 * 1_000 + 40 * 10_000)
        world.check_books()

    asyncio.run(story())


def test_an_answer_of_exactly_the_allowed_size_passes() -> None:
    async def story() -> None:
        size = len(msgspec.json.encode(chat_answer()))
        world = World(limited(result_bytes=size))
        assert (await world.ask()).status == 200

    asyncio.run(story())


def test_a_credential_spelled_over_several_events_is_cut_before_it_is_told() -> None:
    async def story() -> None:
        world = World()
        pieces = [chunk(character) for character in PROVIDER_KEY]
        world.providers.answering = always(lambda: Upstream(pieces=[*pieces, *chat_stream(2)]))
        response = await world.ask(body=chat(stream=True))
        said = "".join(
            event["choices"][0]["delta"].get("content", "")
            for event in map(msgspec.json.decode, _data_of(response.body))
            if event.get("choices")
        )
        assert PROVIDER_KEY.startswith(said)
        assert len(said) < len(PROVIDER_KEY) // 2 + 1
        [outcome] = world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "provider_malformed")
        assert PROVIDER_KEY[: len(PROVIDER_KEY) // 2 + 1].encode() not in response.body

    asyncio.run(story())


def _data_of(stream: bytes) -> list[bytes]:
    found = [event.removeprefix(b"data: ") for event in stream.split(b"\n\n")]
    return [data for data in found if data.startswith(b"{")]
