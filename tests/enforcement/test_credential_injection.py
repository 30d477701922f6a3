import asyncio
import gzip
from base64 import b64encode
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.agent import Agent, Category
from ringfence.domain.destination import Destination
from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.organisation import Organisation
from ringfence.domain.secret import (
    AsBasic,
    FromStore,
    Grant,
    InHeader,
    InQuery,
    Minting,
    SecretBinding,
    SecretDefinition,
    SecretLocation,
    SecretValue,
)
from ringfence.enforcement.credential_injection import Injection, Injections
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.client import Pool
from ringfence.transport.http import Headers, ReadableResponse, Request, Response
from ringfence.transport.server import Server

SECRET = "sk-canary-4nT/Zq+8=w"
HOST = "api.example"
THERE = Destination(scheme="https", host=HOST, port=443)
BEARER = InHeader(prefix="Bearer ")
PIECE = st.sampled_from(
    ["&", ";", "=", "k", "e", "y", "%6b", "%4B", "+", ".", "[]", "a", "access_token"]
)
KEY_ALONE = b"/v1?key=sk-canary-4nT%2FZq%2B8%3Dw"
OWN: Headers = [
    (b"host", b"api.example"),
    (b"authorization", b"Bearer sk-of-the-attacker"),
    (b"x-api-key", b"sk-of-the-attacker"),
    (b"cookie", b"session=of-the-attacker"),
    (b"x_api_key", b"sk-of-the-attacker"),
    (b"private_token", b"sk-of-the-attacker"),
    (b"accept-encoding", b"gzip, br"),
    (b"range", b"bytes=0-3"),
    (b"x-http-method-override", b"DELETE"),
    (b"x-original-url", b"/admin"),
    (b"content-type", b"application/json"),
]


class Nobody:
    """Where nothing has to be got, nobody is asked."""

    async def request(self, *_: object, **__: object) -> ReadableResponse:
        pytest.fail("nobody was to be asked")


def secret(
    location: SecretLocation = BEARER, *, name: str = "crm", path: str = "/", **fields: object
) -> SecretDefinition:
    binding = SecretBinding(host=HOST, path=path, location=location)
    plain = SecretDefinition(name=name, origin=FromStore(), bindings=(binding,))
    return SecretDefinition(
        **{each: getattr(plain, each) for each in plain.__struct_fields__} | fields
    )


def world(*secrets: SecretDefinition, value: str = SECRET) -> tuple[AgentRuntime, Injections]:
    agent = Agent(
        name="triage",
        owner="a",
        team=None,
        category=Category.BOUNDED,
        purpose="x",
        secrets=frozenset(each.name for each in secrets),
    )
    organisation = Organisation(
        name="acme",
        agents={"triage": agent},
        secrets={each.name: each for each in (*secrets, secret(name="unused"))},
    )
    values = [SecretValue(organisation="acme", name=each.name, value=value) for each in secrets]
    injections = Injections(Nobody(), EnvironmentSecrets(frozenset(), {}, values))
    return AgentRuntime(organisation, agent), injections


def planned(
    runtime: AgentRuntime, injections: Injections, method: bytes = b"GET", path: bytes = b"/"
) -> Injection:
    found = injections.choose(runtime, THERE, method, path)
    assert found is not None
    return injections.plan(runtime, found)


def sent(
    location: SecretLocation, target: bytes = b"/v1?a=1", headers: Headers = OWN
) -> tuple[dict[bytes, bytes], bytes]:
    runtime, injections = world(secret(location))
    injection = planned(runtime, injections)
    rewritten = injections.prepare(injection, headers, target)
    assert injection.names == ("crm",)
    assert len(dict(rewritten.headers)) == len(rewritten.headers)
    return dict(rewritten.headers), rewritten.target


@pytest.mark.parametrize("headers", [OWN, OWN[:1]], ids=["own credentials", "nothing sent"])
def test_a_secret_is_added_whatever_the_agent_sent(headers: Headers) -> None:
    found, target = sent(BEARER, headers=headers)
    assert found[b"authorization"] == f"Bearer {SECRET}".encode()
    assert found[b"accept-encoding"] == b"identity"
    assert target == b"/v1?a=1"
    assert not {b"x-api-key", b"cookie", b"range", b"x-original-url"} & found.keys()
    assert b"x-http-method-override" not in found
    assert b"sk-of-the-attacker" not in b"".join(found.values())


def test_of_subprotocols_that_are_all_taken_away_no_empty_list_is_left() -> None:
    name = b"sec-websocket-protocol"
    found, _ = sent(BEARER, headers=[(name, b"token, own-key"), (b"x-empty", b"")])
    assert name not in found
    assert found[b"x-empty"] == b""
    found, _ = sent(BEARER, headers=[(name, b"token, own-key, graphql-ws")])
    assert found[name] == b"graphql-ws"


def test_a_secret_stands_in_a_header_of_its_own() -> None:
    found, _ = sent(InHeader(name="x-crm-key", prefix="Token "))
    assert found[b"x-crm-key"] == f"Token {SECRET}".encode()
    assert b"authorization" not in found


def test_a_secret_is_the_password_of_a_user() -> None:
    found, _ = sent(AsBasic(user="git"))
    assert found[b"authorization"] == b"Basic " + b64encode(f"git:{SECRET}".encode())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/v1", b"/v1?key=sk-canary-4nT%2FZq%2B8%3Dw"),
        (b"/v1?a=1&key=mine&b=2", b"/v1?a=1&b=2&key=sk-canary-4nT%2FZq%2B8%3Dw"),
        (b"/v1?%6Bey=mine&KEY=x", b"/v1?key=sk-canary-4nT%2FZq%2B8%3Dw"),
        (b"/v1?access.token=mine&access+token[]=a&ACCESS-TOKEN[x]=b", KEY_ALONE),
        (b"/v1?access_token=mine;a=1", b"/v1?key=sk-canary-4nT%2FZq%2B8%3Dw"),
    ],
)
def test_a_secret_stands_in_the_query_alone(target: bytes, expected: bytes) -> None:
    found, rewritten = sent(InQuery(name="key"), target)
    assert rewritten == expected
    assert b"authorization" not in found


def test_where_no_path_is_bound_nothing_is_added_and_own_credentials_are_taken_away() -> None:
    runtime, injections = world(secret(path="/v1"))
    injection = planned(runtime, injections, path=b"/other")
    rewritten = injections.prepare(injection, OWN, b"/other?api_key=mine&page_token=2")
    assert injection.names == ()
    assert b"authorization" not in dict(rewritten.headers)
    assert rewritten.target == b"/other?page_token=2"
    # The host may still show what it was sent at another path.
    assert SECRET.encode() not in injections.answer(injection, []).text(SECRET.encode())


@pytest.mark.parametrize(
    "destination",
    [
        Destination(scheme="http", host=HOST, port=443),
        Destination(scheme="https", host=HOST, port=8443),
        Destination(scheme="https", host="evil.example", port=443),
        Destination(scheme="https", host="x.api.example", port=443),
    ],
)
def test_nothing_is_planned_for_another_place(destination: Destination) -> None:
    runtime, injections = world(secret())
    assert injections.choose(runtime, destination, b"GET", b"/") is None


def test_an_agent_without_the_secret_gets_nothing() -> None:
    runtime, injections = world(secret())
    runtime.agent = replace(runtime.agent, secrets=frozenset())
    assert injections.choose(runtime, THERE, b"GET", b"/") is None


def test_another_organisation_s_secret_of_the_same_name_is_not_reached() -> None:
    runtime, injections = world(secret())
    other = SecretValue(organisation="other", name="crm", value=SECRET)
    injections.replace_secrets(EnvironmentSecrets(frozenset({"crm"}), {"crm": SECRET}, [other]))
    with pytest.raises(UnavailableError) as caught:
        injections.prepare(planned(runtime, injections), OWN, b"/")
    assert caught.value.code == "secret_missing"


@pytest.mark.parametrize("value", ["short", "with\nline-ends", "with\x00zero-byte"])
def test_a_value_that_no_request_can_carry_is_said_and_not_shown(value: str) -> None:
    runtime, injections = world(secret(), value=value)
    with pytest.raises(UnavailableError) as caught:
        injections.prepare(planned(runtime, injections), OWN, b"/")
    assert caught.value.code == "secret_unusable"
    assert value not in f"{caught.value.message}{caught.value.help}"


def test_a_rotated_secret_is_used_at_once_and_what_is_under_way_stays_scrubbed() -> None:
    runtime, injections = world(secret())
    before = planned(runtime, injections)
    injections.prepare(before, OWN, b"/")
    new = SecretValue(organisation="acme", name="crm", value="another-value-123")
    injections.replace_secrets(EnvironmentSecrets(frozenset(), {}, [new]))
    after = planned(runtime, injections)
    found = injections.prepare(after, OWN, b"/")
    assert dict(found.headers)[b"authorization"] == b"Bearer another-value-123"
    # Its host may still show the one before, which may still be good.
    assert SECRET.encode() not in injections.answer(after, []).text(SECRET.encode())
    assert SECRET.encode() not in injections.answer(before, []).text(SECRET.encode())


def test_answers_show_the_placeholder_in_the_place_of_the_secret() -> None:
    runtime, injections = world(secret(placeholder="CRM_KEY"))
    placeholders = injections.placeholders(runtime)
    stand_in = placeholders.variables["CRM_KEY"]
    assert SECRET not in stand_in
    injection = planned(runtime, injections)
    injections.prepare(injection, OWN, b"/", placeholders)
    headers = [(b"x-echo", f"Bearer {SECRET}".encode()), (b"content-length", b"20")]
    answer = injections.answer(injection, headers)
    shown = stand_in if len(stand_in) == len(SECRET) else "*" * len(SECRET)
    assert answer.headers == [(b"x-echo", f"Bearer {shown}".encode()), (b"content-length", b"20")]
    body = b"".join(answer.feed(bytes((each,))) for each in SECRET.encode()) + answer.finish()
    assert body == shown.encode()
    assert answer.text(b64encode(SECRET.encode())) != b64encode(SECRET.encode())
    assert answer.redactions == {"crm": 3}
    assert not answer.is_decoded


def test_the_rendered_pair_of_basic_is_taken_out_too() -> None:
    runtime, injections = world(secret(AsBasic(user="git")))
    injection = planned(runtime, injections)
    injections.prepare(injection, [], b"/")
    pair = b64encode(f"git:{SECRET}".encode())
    answer = injections.answer(injection, [])
    for shown in (pair, pair.hex().encode(), b64encode(b"Authorization: Basic " + pair)):
        plain = answer.text(b"x" + shown + b"y")
        assert shown[8:-8] not in plain
        assert len(plain) == len(shown) + 2


def test_an_encoded_answer_is_decoded_and_an_unknown_coding_refused() -> None:
    runtime, injections = world(secret())
    injection = planned(runtime, injections)
    injections.prepare(injection, [], b"/")
    body = gzip.compress(b'{"token": "%s"}' % SECRET.encode())
    headers = [(b"content-encoding", b"gzip"), (b"content-length", b"99"), (b"etag", b"1")]
    answer = injections.answer(injection, headers)
    assert (answer.is_decoded, answer.headers) == (True, [(b"etag", b"1")])
    plain = b"".join(answer.feed(body[at : at + 3]) for at in range(0, len(body), 3))
    assert plain + answer.finish() == b'{"token": "%s"}' % (b"*" * len(SECRET))
    with pytest.raises(PeerError) as caught:
        injections.answer(injection, [(b"content-encoding", b"br")])
    assert caught.value.code == "answer_encoded"


def test_messages_in_frames_are_counted_together() -> None:
    runtime, injections = world(secret())
    injection = planned(runtime, injections)
    injections.prepare(injection, [], b"/")
    answer = injections.answer(injection, [])
    messages = answer.messages()
    text = messages.feed(SECRET[:7].encode(), is_last=False)
    text += messages.feed(SECRET[7:].encode(), is_last=True)
    assert text == b"*" * len(SECRET)
    assert answer.redactions == {"crm": 1}


def test_nothing_of_it_is_shown() -> None:
    runtime, injections = world(secret(AsBasic(user="git"), placeholder="CRM_KEY"))
    placeholders = injections.placeholders(runtime)
    injection = planned(runtime, injections)
    rewritten = injections.prepare(injection, OWN, b"/", placeholders)
    answer = injections.answer(injection, [])
    for each in (injections, placeholders, injection, rewritten, answer, injection.filling):
        assert SECRET not in repr(each)
        assert b64encode(f"git:{SECRET}".encode()).decode() not in repr(each)
    assert repr(injection) == "Injection(['crm'])"


def test_a_minted_token_is_sent_and_scrubbed_in_the_place_of_the_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle(request: Request, response: Response) -> None:
        await request.read(10_000)
        body = b'{"access_token":"%b","expires_in":3600}' % issued[-1]
        response.send(200, (), body)

    issued = [b"minted-token-0123456789"]

    async def run() -> None:
        server, pool = Server(handle), Pool()
        port = await server.listen("127.0.0.1", 0)
        minting = Minting(
            grant=Grant.CLIENT_CREDENTIALS, token_url=f"http://127.0.0.1:{port}/t", client="us"
        )
        runtime, injections = world(secret(minting=minting))
        injections = Injections(pool, injections._secrets)  # noqa: SLF001 (the same values)
        injection = planned(runtime, injections)
        assert not injections.is_ready(injection)
        with pytest.raises(UnavailableError):
            injections.prepare(injection, OWN, b"/")
        await injections.fresh(injection)
        assert injections.is_ready(injection)
        found = dict(injections.prepare(injection, OWN, b"/").headers)
        assert found[b"authorization"] == b"Bearer minted-token-0123456789"
        monkeypatch.setattr("ringfence.enforcement.minting._FRESH_S", 0.0)
        assert injections.is_ready(injection)
        assert injections.refused(injection) == ["crm"]
        assert not injections.is_ready(injection)
        assert injections.refused(injection) == []  # one that was under way meanwhile
        plain = injections.answer(injection, []).text(f"minted-token-0123456789 {SECRET}".encode())
        assert b"minted" not in plain
        assert SECRET.encode() not in plain
        issued.append(b"second-token-0123456789")
        again = planned(runtime, injections)
        await injections.fresh(again)
        found = dict(injections.prepare(again, OWN, b"/").headers)
        assert found[b"authorization"] == b"Bearer second-token-0123456789"
        plain = injections.answer(again, []).text(b"second-token-0123456789 " + issued[0])
        assert b"token" not in plain
        await pool.close()
        await server.close()

    asyncio.run(run())


def test_an_answer_hands_out_nothing_that_proves_somebody_for_longer() -> None:
    runtime, injections = world(secret())
    injection = planned(runtime, injections)
    injections.prepare(injection, OWN, b"/")
    headers = [(b"set-cookie", b"session=ours"), (b"x-subject-token", b"t"), (b"etag", b"1")]
    assert injections.answer(injection, headers).headers == [(b"etag", b"1")]


def test_trailers_are_searched_too() -> None:
    runtime, injections = world(secret())
    injection = planned(runtime, injections)
    injections.prepare(injection, OWN, b"/")
    answer = injections.answer(injection, [])
    fields = [(b"x-plain", b"1"), (b"x-echo", SECRET.encode())]
    assert answer.fields(fields) == [(b"x-plain", b"1"), (b"x-echo", b"*" * len(SECRET))]
    assert answer.redactions == {"crm": 1}


def test_a_reload_changes_what_is_added() -> None:
    runtime, injections = world(secret())
    assert planned(runtime, injections).names == ("crm",)
    other = secret(path="/v1")
    runtime.organisation = replace(runtime.organisation, secrets={"crm": other})
    assert planned(runtime, injections).names == ()
    runtime.organisation = replace(runtime.organisation, secrets={})
    assert injections.choose(runtime, THERE, b"GET", b"/") is None


@given(st.lists(PIECE, max_size=14).map("".join))
def test_no_reader_of_a_query_finds_another_value_of_the_parameter(query: str) -> None:
    runtime, injections = world(secret(InQuery(name="key")))
    injection = planned(runtime, injections)
    target = injections.prepare(injection, [], f"/?{query}".encode()).target.decode()
    for separator in "&;":
        pairs = parse_qsl(urlsplit(target).query, keep_blank_values=True, separator=separator)
        found = {value for name, value in pairs if name.strip().lower() == "key"}
        assert all(value.partition(";")[0].startswith(SECRET[:5]) for value in found)
        assert not [name for name, _ in pairs if name.strip().lower() == "access_token"]
