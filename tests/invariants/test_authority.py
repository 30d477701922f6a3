"""I6, I8, admission: nothing a caller sends chooses upstream, identity or scope."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from tests.gateways.world import (
    PROVIDER_KEY,
    TOKEN,
    World,
    agent,
    always,
    chat,
    chat_answer,
    code_of,
    embedding_answer,
    error_of,
    gemini,
    gemini_answer,
    message,
    message_answer,
    organisation,
    respond,
    response_answer,
    whole,
)

from ringfence.domain.agent import AgentState, Scope
from ringfence.domain.credential import AgentCredential
from ringfence.enforcement.directory import digest_of
from ringfence.testing.http import MemoryResponse
from ringfence.transport.http import Headers

EMBED = {"model": "embed", "input": "hello"}
COUNT = {"model": "claude", "messages": [{"role": "user", "content": "hello"}]}
MODEL_CALLS = [
    ("/v1/chat/completions", chat()),
    ("/v1/responses", respond()),
    ("/v1/embeddings", EMBED),
    ("/v1/messages", message()),
    ("/v1/messages/count_tokens", COUNT),
    ("/v1beta/models/flash:generateContent", gemini()),
    ("/v1beta/models/flash:streamGenerateContent?alt=sse", gemini()),
    ("/v1/models/flash:generateContent", gemini()),
]
ROUTES = [
    *[("POST", target, body) for target, body in MODEL_CALLS],
    ("GET", "/v1/models", b""),
    ("GET", "/v1/models/small", b""),
    ("GET", "/v1beta/models", b""),
    ("GET", "/v1beta/models/flash", b""),
    ("POST", "/ringfence/v1/invocations", {}),
    ("POST", "/ringfence/v1/invocations/inv_1/finish", {}),
    ("GET", "/ringfence/v1/approvals/apr_1", b""),
    ("POST", "/ringfence/v1/actions", {"tool": "claude__Bash"}),
    ("POST", "/ringfence/v1/actions/act_1/outcome", {"status": "ok"}),
    ("GET", "/v1/chat/completions", b""),
    ("DELETE", "/v1/models", b""),
    ("PUT", "/ringfence/v1/invocations", b""),
    ("POST", "/v1/completions", chat()),
    ("POST", "/v1/files", b""),
    ("GET", "/", b""),
    ("GET", "/healthz/", b""),
    ("GET", "//healthz", b""),
    ("POST", "/v1beta/models/flash:countTokens", gemini()),
    ("OPTIONS", "*", b""),
]
"""Every route of the data plane, and some that are none."""
PREFIXED = [(method, f"/invocation/run-1{target}", body) for method, target, body in ROUTES]


def form_of(response: MemoryResponse, target: str) -> None:
    """The body has the form that a client of this path reads."""
    document = msgspec.json.decode(response.body)
    path = target.removeprefix("/invocation/run-1")
    if path.startswith("/v1/messages"):
        assert document["type"] == "error"
        assert isinstance(document["error"]["type"], str)
    elif path.startswith("/v1beta") or ":generateContent" in path:
        assert document["error"]["code"] == response.status
        assert isinstance(document["error"]["status"], str)
    else:
        assert isinstance(document["error"]["type"], str)
        assert isinstance(document["error"]["code"], str)


def without() -> dict[str, object]:
    return {"token": None}


def unknown() -> dict[str, object]:
    return {"token": "rf_agt_nobody"}


def basic() -> dict[str, object]:
    return {"token": None, "headers": {"authorization": "Basic dHJpYWdlOng="}}


def ambiguous() -> dict[str, object]:
    return {"headers": {"x-api-key": "rf_agt_other"}}


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        (without, 401, "credential_missing"),
        (unknown, 401, "credential_unknown"),
        (basic, 401, "credential_unknown"),
        (ambiguous, 400, "credential_ambiguous"),
    ],
)
def test_no_route_is_open_to_somebody_unknown(who: object, status: int, code: str) -> None:
    async def story() -> None:
        world = World()
        for method, target, body in [*ROUTES, *PREFIXED]:
            assert callable(who)
            response = await world.ask(target, body, method=method, **who())
            assert (response.status, code_of(response)) == (status, code), target
            form_of(response, target)
        assert world.providers.sent == []
        assert world.ledger.events == []

    asyncio.run(story())


@pytest.mark.parametrize("state", [AgentState.SUSPENDED, AgentState.RETIRED])
def test_no_route_is_open_to_an_agent_that_is_not_active(state: AgentState) -> None:
    async def story() -> None:
        world = World()
        await world.suspend(state=state)
        for method, target, body in [*ROUTES, *PREFIXED]:
            response = await world.ask(target, body, method=method)
            assert (response.status, code_of(response)) == (403, f"agent_{state.value}"), target
            form_of(response, target)
        assert world.providers.sent == []
        assert {each.agent for each in world.ledger.refusals} == {"agt_triage"}

    asyncio.run(story())


def test_no_route_is_open_to_a_revoked_credential() -> None:
    async def story() -> None:
        world = World()
        known = world.credentials["triage"]
        gone = replace(known, revoked_us=world.clock.now_us())
        await world.worker.credentials_changed([gone])
        for method, target, body in [*ROUTES, *PREFIXED]:
            response = await world.ask(target, body, method=method)
            assert (response.status, code_of(response)) == (401, "credential_revoked"), target
        assert world.providers.sent == []
        assert {each.decision.code for each in world.ledger.refusals} == {"credential_revoked"}

    asyncio.run(story())


def test_a_rotated_credential_is_good_until_its_grace_is_over() -> None:
    async def story() -> None:
        world = World()
        known = world.credentials["triage"]
        await world.worker.credentials_changed(
            [replace(known, revoked_us=world.clock.now_us() + 60_000_000)]
        )
        assert (await world.ask()).status == 200
        world.clock.advance(60_000_000)
        assert (await world.ask()).status == 401

    asyncio.run(story())


def test_only_health_is_open() -> None:
    async def story() -> None:
        world = World()
        for target in ("/healthz", "/readyz"):
            response = await world.ask(target, b"", method="GET", token=None)
            assert (response.status, response.body) == (200, b"ok\n")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PUT", "/v1/messages", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/ringfence/v1/invocations", 405, "method_not_allowed"),
        ("POST", "/v1/completions", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("POST", "//v1/chat/completions", 404, "not_found"),
        ("POST", "/v1/../v1/chat/completions", 404, "not_found"),
        ("POST", "/v1/chat%2Fcompletions", 404, "not_found"),
        ("POST", "/V1/chat/completions", 404, "not_found"),
        ("POST", "/invocation/a/invocation/b/v1/chat/completions", 404, "not_found"),
        ("POST", "/v1beta/models/flash:generateContent:generateContent", 403, "out_of_scope"),
        ("POST", "/v1beta/models/../flash:generateContent", 403, "out_of_scope"),
        ("POST", "/v1beta/models/a/../../flash:generateContent", 403, "out_of_scope"),
        ("POST", "/v1beta/models/%66lash:generateContent", 404, "not_found"),
        ("POST", "/v1beta/models/flash%3AgenerateContent", 404, "not_found"),
        ("POST", "/v1beta/models/flash:generateContent%3Fkey=x", 404, "not_found"),
        ("GET", "/v1/models/other", 403, "out_of_scope"),
        ("GET", "/v1/models/nothing", 403, "out_of_scope"),
        ("POST", "/invocation//v1/chat/completions", 400, "request_malformed"),
        ("POST", "/invocation/run-1", 400, "request_malformed"),
    ],
)
def test_what_is_not_served_is_refused_on_the_record(
    method: str, target: str, status: int, code: str
) -> None:
    async def story() -> None:
        world = World()
        body = gemini() if target.startswith("/v1beta") else chat()
        response = await world.ask(target, body, method=method)
        assert (response.status, code_of(response)) == (status, code)
        assert [each.decision.code for each in world.ledger.refusals] == [code]
        assert world.ledger.refusals[0].agent == "agt_triage"
        assert world.providers.sent == []
        if status == 405:
            assert response.headers[b"allow"] in {b"GET", b"POST"}

    asyncio.run(story())


def test_what_does_not_exist_and_what_is_not_mine_look_the_same() -> None:
    async def story() -> None:
        world = World()
        answers = []
        for name in ("other", "wrong"):  # the first exists, but is not in scope
            response = await world.ask(body=chat(model=name))
            answers.append(response.body.replace(name.encode(), b"NAME"))
            assert response.status == 403
        assert answers[0] == answers[1]

    asyncio.run(story())


HOSTILE: list[Mapping[str, str]] = [
    {"x-forwarded-host": "evil.example", "x-forwarded-for": "10.0.0.1"},
    {"host": "evil.example", "forwarded": "host=evil.example"},
    {"x-original-url": "/v1/files", "x-rewrite-url": "/v1/files"},
    {"openai-organization": "org-evil", "openai-project": "proj-evil"},
    {"x-goog-user-project": "evil", "anthropic-beta": "computer-use", "openai-beta": "x"},
    {"api-key": "", "cookie": "session=evil", "proxy-authorization": "Basic eDp5"},
    {"ringfence-agent": "other", "x-agent": "other", "x-user": "admin"},
    {"baggage": "user=admin", "tracestate": "a=b", "idempotency-key": "k"},
    {"connection": "authorization", "te": "trailers", "accept-encoding": "br"},
]


@pytest.mark.parametrize("headers", HOSTILE)
def test_headers_choose_nothing(headers: Mapping[str, str]) -> None:
    async def story() -> None:
        world = World()
        plain = await world.ask(headers={})
        hostile = await world.ask(headers=headers)
        assert (plain.status, hostile.status) == (200, 200)
        first, second = world.providers.sent
        assert first == second
        assert second.origin.host == "house.example"
        assert second.headers == {
            b"host": b"house.example:9001",
            b"content-type": b"application/json",
            b"authorization": b"Bearer " + PROVIDER_KEY.encode(),
        }
        assert {intent.agent for intent in world.ledger.intents} == {"agt_triage"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        ("/v1/chat/completions?api-version=evil&fields=id", chat(), "/v1/chat/completions"),
        (
            "/v1beta/models/flash:generateContent?fields=candidates&alt=json&%24alt=proto",
            gemini(),
            "/v1beta/models/flash-upstream:generateContent?alt=json",
        ),
        ("/v1/messages?beta=true&x=1", message(), "/v1/messages?beta=true"),
        ("/v1/messages#/v1/files", message(), ""),
    ],
)
def test_the_query_chooses_nothing(target: str, body: object, expected: str) -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(lambda: whole(message_answer()))
        await world.ask(target, body)
        assert [sent.target for sent in world.providers.sent] == ([expected] if expected else [])

    asyncio.run(story())


@pytest.mark.parametrize("name", ["key", "access_token", "api_key"])
def test_a_credential_in_the_url_is_refused(name: str) -> None:
    async def story() -> None:
        world = World()
        target = f"/v1beta/models/flash:generateContent?{name}={TOKEN}"
        response = await world.ask(target, gemini())
        assert response.status == 400
        assert world.providers.sent == []

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model":"small","messages":[]}x',
        b'{"model":"small","model":"other","messages":[]}',
        b'{"model":"small","mod\\u0065l":"other","messages":[]}',
        b'{"model":"small","messages":[],"max_tokens":1,"max_tokens":100000}',
        b'{"model":"small","messages":[{"content":"x","content":[{"type":"image_url"}]}]}',
        b'{"model":"small","messages":[],"metadata":{"a":{"b":1,"b":2}}}',
        b'{"model":"small","messages":[],"n":1,"n":9}',
        b'{"model":"small","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"small","messages":[{"role":"user","content":"\xff"}]}',
        b'\xef\xbb\xbf{"model":"small","messages":[]}',
        b'{"model":"small","temperature":NaN,"messages":[]}',
        b'{"model":"small","temperature":Infinity,"messages":[]}',
        b'{"model":"small","messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"model":5,"messages":[]}',
        b'{"messages":[]}',
        b'{"model":"small","messages":[],"max_tokens":-1}',
        b'{"model":"small","messages":[],"max_tokens":"50"}',
        b'{"model":"small","messages":[],"stream":"yes"}',
    ],
)
def test_what_two_readers_could_read_differently_is_refused(body: bytes) -> None:
    async def story() -> None:
        world = World()
        response = await world.ask(body=body)
        assert (response.status, code_of(response)) == (400, "request_malformed")
        assert world.providers.sent == []
        assert [each.decision.code for each in world.ledger.refusals] == ["request_malformed"]

    asyncio.run(story())


@pytest.mark.parametrize(
    "headers",
    [
        [("content-encoding", "gzip")],
        [("traceparent", "a"), ("traceparent", "b")],
        [("ringfence-invocation", "a"), ("ringfence-invocation", "b")],
        [("content-type", "application/json"), ("content-type", "text/plain")],
        [("anthropic-version", "2023-06-01"), ("anthropic-version", "2023-01-01")],
        [("ringfence-invocation", "\x7f")],
    ],
)
def test_ambiguous_headers_are_refused_on_the_record(headers: Headers) -> None:
    async def story() -> None:
        world = World()
        response = await world.ask(headers=headers)
        assert (response.status, code_of(response)) == (400, "request_malformed")
        assert [each.decision.code for each in world.ledger.refusals] == ["request_malformed"]

    asyncio.run(story())


def test_path_and_header_must_name_the_same_invocation() -> None:
    async def story() -> None:
        world = World()
        target = "/invocation/run-1/v1/chat/completions"
        same = await world.ask(target, headers={"ringfence-invocation": "run-1"})
        other = await world.ask(target, headers={"ringfence-invocation": "run-2"})
        assert (same.status, other.status) == (200, 400)

    asyncio.run(story())


def test_a_body_over_the_limit_is_refused_and_the_connection_closed() -> None:
    async def story() -> None:
        world = World()
        response = await world.ask(body=b" " * (32 * 1024 * 1024 + 1))
        assert (response.status, code_of(response)) == (413, "request_too_large")
        assert response.headers[b"connection"] == b"close"
        assert len(world.ledger.refusals) == 1

    asyncio.run(story())


def test_every_dialect_is_answered_under_its_own_path() -> None:
    served = [
        ("/v1/chat/completions", chat(), chat_answer(), "house", "/v1/chat/completions"),
        ("/v1/responses", respond(), response_answer(), "house", "/v1/responses"),
        ("/v1/embeddings", EMBED, embedding_answer(), "house", "/v1/embeddings"),
        ("/v1/messages", message(), message_answer(), "anthropic", "/v1/messages"),
        (
            "/v1/messages/count_tokens",
            COUNT,
            {"input_tokens": 5},
            "anthropic",
            "/v1/messages/count_tokens",
        ),
        (
            "/v1beta/models/flash:generateContent",
            gemini(),
            gemini_answer(),
            "google",
            "/v1beta/models/flash-upstream:generateContent",
        ),
        (
            "/v1/models/flash:generateContent",
            gemini(),
            gemini_answer(),
            "google",
            "/v1/models/flash-upstream:generateContent",
        ),
    ]

    async def story() -> None:
        world = World()
        for target, body, answer, host, path in served:
            world.providers.answering = always(partial(whole, answer))
            response = await world.ask(target, body)
            assert response.status == 200, target
            assert msgspec.json.decode(response.body) == answer
            assert response.headers[b"ringfence-invocation"].startswith(b"inv_")
            assert response.headers[b"ringfence-action"].startswith(b"act_")
            sent = world.providers.sent[-1]
            assert (sent.origin.host, sent.target) == (f"{host}.example", path)
        world.check_books()

    asyncio.run(story())


def test_a_model_is_not_served_on_the_path_of_another_protocol() -> None:
    async def story() -> None:
        world = World()
        response = await world.ask("/v1/messages", message(model="small"))
        assert (response.status, code_of(response)) == (403, "out_of_scope")
        assert world.providers.sent == []

    asyncio.run(story())


def test_a_credential_of_one_agent_is_not_another_agent() -> None:
    async def story() -> None:
        both = organisation(agents={"triage": agent(), "narrow": agent("narrow", scope=Scope())})
        world = World(both)
        assert (await world.ask(token="rf_agt_narrow")).status == 403
        assert (await world.ask()).status == 200
        assert [each.agent for each in world.ledger.refusals] == ["agt_narrow"]

    asyncio.run(story())


def test_identical_refusals_leave_two_events_for_each_cause() -> None:
    async def story() -> None:
        world = World()
        headers = {"ringfence-invocation": "run-1"}
        refuse = [await world.ask(body=chat(model="other"), headers=headers) for _ in range(100)]
        actions = {each.headers[b"ringfence-action"].decode() for each in refuse}
        for _ in range(3):
            await world.ask(body=b"{", headers=headers)
        world.worker.refusals.flush(everything=True)
        counted = [(x.decision.code, x.repeats) for x in world.ledger.refusals]
        assert counted == [
            ("out_of_scope", 0),
            ("request_malformed", 0),
            ("out_of_scope", 99),
            ("request_malformed", 2),
        ]
        # Whatever number a client reports, it is found.
        assert actions == {world.ledger.refusals[0].action}
        assert world.ledger.refusals[2].first_action in actions
        assert error_of(refuse[-1])["ringfence"]["model"] == "other"

    asyncio.run(story())


def test_a_credential_of_an_agent_that_comes_back_comes_back_too() -> None:
    async def story() -> None:
        world = World()
        full = world.config
        await world.reload(replace(full, agents={"other": agent("other")}))
        assert code_of(await world.ask()) == "agent_retired"
        late = AgentCredential(
            id="crd_late",
            organisation="org_acme",
            agent="agt_new",
            digest=digest_of(b"rf_agt_late"),
            created_us=0,
        )
        await world.worker.credentials_changed([late])
        assert (await world.ask(token="rf_agt_late")).status == 401
        await world.reload(replace(full, agents={**full.agents, "new": agent("new")}))
        assert (await world.ask()).status == 200
        assert (await world.ask(token="rf_agt_late")).status == 200

    asyncio.run(story())
