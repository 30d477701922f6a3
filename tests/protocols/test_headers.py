"""What passes the gateway in headers and query, whose credential it is, and which run it names."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.invocation import Grouping
from ringfence.domain.model import Dialect, ProviderProtocol
from ringfence.protocols import headers

Pairs = list[tuple[bytes, bytes]]

OURS = b"rf_agt_made-up"
CLAUDE_CODE: Pairs = [
    (b"host", b"127.0.0.1:8484"),
    (b"user-agent", b"claude-cli/2.1.329 (external, sdk-cli)"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"content-length", b"2"),
    (b"x-api-key", OURS),
    (b"anthropic-version", b"2026-10-21"),
    (b"anthropic-beta", b"claude-code-20250219, context-1m-2025-08-07"),
    (b"x-app", b"cli"),
    (b"x-stainless-retry-count", b"0"),
    (b"x-claude-code-session-id", b"5f0c"),
    (b"x-claude-code-prompt-id", b"p-1"),
    (b"x-claude-code-agent-id", b"sub-7"),
    (b"accept-encoding", b"gzip, br"),
    (b"connection", b"keep-alive"),
]
CODEX_TURN = (
    b'{"session_id":"s","thread_id":"t","turn_id":"u","root_turn_id":"r","agent_name":"%s"}'
)


def refusal_code(call: object, *arguments: object) -> str:
    with pytest.raises(PeerError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert OURS.decode() not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    "carried",
    [
        [(b"authorization", b"Bearer " + OURS)],
        [(b"authorization", b"bearer  " + OURS)],
        [(b"x-api-key", OURS)],
        [(b"x-goog-api-key", OURS)],
        [(b"authorization", b"Bearer " + OURS), (b"x-api-key", OURS)],
        [(b"authorization", b"Bearer "), (b"x-api-key", OURS)],
        [(b"authorization", b""), (b"x-goog-api-key", OURS)],
    ],
)
def test_a_credential_is_found_wherever_a_client_puts_it(carried: Pairs) -> None:
    assert headers.credential(carried) == OURS.decode()


@pytest.mark.parametrize("carried", [[], [(b"authorization", b"Bearer")], [(b"x-api-key", b"")]])
def test_an_empty_credential_is_none(carried: Pairs) -> None:
    assert headers.credential(carried) is None


def test_two_different_credentials_are_refused() -> None:
    two = [(b"authorization", b"Bearer " + OURS), (b"x-api-key", b"other")]
    assert refusal_code(headers.credential, two) == "credential_ambiguous"


@pytest.mark.parametrize("value", [b"Basic " + OURS, OURS, b"Bearer" + OURS])
def test_another_scheme_than_bearer_is_refused(value: bytes) -> None:
    assert refusal_code(headers.credential, [(b"authorization", value)]) == "credential_unknown"


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"content-type",
        b"content-encoding",
        b"ringfence-invocation",
        b"traceparent",
        b"anthropic-version",
        b"x-codex-turn-metadata",
    ],
)
def test_a_header_that_governance_reads_may_occur_once(name: bytes) -> None:
    headers.check([(name, b"identity"), (b"accept", b"a"), (b"accept", b"b")])
    twice = [(name, b"identity"), (name, b"identity")]
    assert refusal_code(headers.check, twice) == "request_malformed"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip", b""])
def test_an_encoded_body_is_refused(encoding: bytes) -> None:
    assert refusal_code(headers.check, [(b"content-encoding", encoding)]) == "request_malformed"


JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-7", b"text/plain"])
def test_the_provider_is_told_that_the_body_is_json_whatever_the_agent_said(kind: bytes) -> None:
    sent = [(b"content-type", kind)]
    assert headers.to_provider(sent, ProviderProtocol.OPENAI, ()) == [JSON]


def test_only_listed_headers_pass_to_the_provider() -> None:
    assert headers.to_provider(CLAUDE_CODE, ProviderProtocol.ANTHROPIC, frozenset()) == [
        JSON,
        (b"user-agent", b"claude-cli/2.1.329 (external, sdk-cli)"),
        (b"accept", b"application/json"),
        (b"anthropic-version", b"2026-10-21"),
    ]


def test_only_configured_betas_pass() -> None:
    passed = headers.to_provider(
        CLAUDE_CODE, ProviderProtocol.ANTHROPIC, frozenset({"context-1m-2025-08-07", "other"})
    )
    assert (b"anthropic-beta", b"context-1m-2025-08-07") in passed


@pytest.mark.parametrize("version", [b"2023-06-01", b"2026-10-21"])
def test_both_versions_of_anthropic_pass_through(version: bytes) -> None:
    sent = [(b"anthropic-version", version)]
    assert headers.to_provider(sent, ProviderProtocol.ANTHROPIC, ()) == [JSON, *sent]
    assert headers.to_provider(sent, ProviderProtocol.OPENAI, ()) == [JSON]


@pytest.mark.parametrize("protocol", ProviderProtocol)
@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"cookie",
        b"openai-organization",
        b"openai-project",
        b"x-goog-user-project",
        b"anthropic-user-profile-id",
        b"idempotency-key",
        b"x-stainless-os",
        b"traceparent",
        b"accept-encoding",
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"x-forwarded-for",
        b"anthropic-beta",
        b"openai-beta",
    ],
)
def test_what_could_choose_a_payer_or_tell_a_secret_is_dropped(
    protocol: ProviderProtocol, name: bytes
) -> None:
    assert headers.to_provider([(name, b"x")], protocol, frozenset()) == [JSON]


def test_only_listed_headers_pass_to_the_client() -> None:
    passed = [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"req_1"),
        (b"anthropic-ratelimit-requests-remaining", b"9"),
        (b"x-ratelimit-limit-tokens", b"9"),
        (b"retry-after", b"3"),
    ]
    dropped = [
        (b"set-cookie", b"a=b"),
        (b"server", b"x"),
        (b"content-length", b"2"),
        (b"content-encoding", b"gzip"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
        (b"anthropic-organization-id", b"org"),
        (b"openai-organization", b"org"),
        (b"ringfence-action", b"forged"),
    ]
    assert headers.to_client([*passed, *dropped]) == passed


@pytest.mark.parametrize(
    ("query", "dialect", "passed"),
    [
        (b"", Dialect.CHAT, b""),
        (b"beta=true", Dialect.MESSAGES, b"beta=true"),
        (b"beta=true", Dialect.CHAT, b""),
        (b"alt=sse", Dialect.GEMINI, b"alt=sse"),
        (b"%61lt=sse&fields=candidates", Dialect.GEMINI, b"alt=sse"),
        (b"api-version=2024-10-21", Dialect.CHAT, b""),
    ],
)
def test_only_listed_parameters_pass(query: bytes, dialect: Dialect, passed: bytes) -> None:
    assert headers.query_to_provider(query, dialect) == passed


@pytest.mark.parametrize(
    "query",
    [
        b"key=" + OURS,
        b"KEY=" + OURS,
        b"%6bey=" + OURS,
        b"alt=sse&access_token=" + OURS,
        b"alt=sse&alt=json",
        b"alt=media",
    ],
)
def test_secrets_and_doubtful_parameters_are_refused(query: bytes) -> None:
    assert refusal_code(headers.query_to_provider, query, Dialect.GEMINI) == "request_malformed"


@pytest.mark.parametrize("query", [b"", b"alt=json", b"other=1"])
def test_a_gemini_stream_must_be_asked_for_as_events(query: bytes) -> None:
    with pytest.raises(PeerError, match="alt=sse"):
        headers.query_to_provider(query, Dialect.GEMINI, is_stream=True)
    assert headers.query_to_provider(b"alt=sse", Dialect.GEMINI, is_stream=True) == b"alt=sse"


def test_ids_of_a_run_come_in_the_order_of_their_strength() -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    carried = [
        *CLAUDE_CODE,
        (b"traceparent", trace),
        (b"ringfence-invocation", b"inv-77"),
        (b"x-codex-turn-metadata", CODEX_TURN % b"/root"),
        (b"session-id", b"s"),
        (b"thread-id", b"t"),
        (b"x-session-id", b"o"),
    ]
    assert headers.client_ids(carried) == (
        ("ringfence-invocation", "inv-77"),
        ("traceparent", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("codex-turn", "r"),
        ("x-claude-code-prompt-id", "p-1"),
        ("x-claude-code-session-id", "5f0c"),
        ("session-id", "s"),
        ("thread-id", "t"),
        ("x-session-id", "o"),
    )


def test_sources_say_what_they_group_by() -> None:
    sources = ["ringfence-invocation", "traceparent", "codex-turn", "x-session-id"]
    assert [headers.grouping(source) for source in sources] == [
        Grouping.HEADER,
        Grouping.TRACEPARENT,
        Grouping.CLIENT,
        Grouping.CLIENT,
    ]


@pytest.mark.parametrize(
    "header",
    [
        (b"traceparent", b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        (b"traceparent", b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        (b"traceparent", b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        (b"traceparent", b"x"),
        (b"x-codex-turn-metadata", b"{"),
        (b"x-codex-turn-metadata", b'{"root_turn_id":"a\\nb"}'),
        (b"session-id", b""),
        (b"session-id", b"x" * (headers.MAX_ID_CHARACTERS + 1)),
        (b"thread-id", b"\xff"),
    ],
)
def test_odd_ids_of_other_clients_are_passed_over(header: tuple[bytes, bytes]) -> None:
    assert headers.client_ids([header]) == ()


@pytest.mark.parametrize("value", [b"", b"a\tb", b"\xe9", b"x" * 201])
def test_an_odd_id_in_our_own_header_is_refused(value: bytes) -> None:
    carried = [(b"ringfence-invocation", value)]
    assert refusal_code(headers.client_ids, carried) == "request_malformed"


NAMES = [
    b"authorization",
    b"x-api-key",
    b"traceparent",
    b"anthropic-beta",
    b"session-id",
    b"x-codex-turn-metadata",
    b"ringfence-invocation",
    b"x-claude-code-agent-id",
]
CODES = {None, "request_malformed", "credential_ambiguous", "credential_unknown"}


def outcome(call: Callable[[], object]) -> str | None:
    try:
        call()
    except PeerError as error:
        return error.code
    return None


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=6),
    st.binary(max_size=40),
)
def test_nothing_that_a_client_sends_raises_another_error(carried: Pairs, query: bytes) -> None:
    betas = frozenset({"a"})
    assert outcome(lambda: headers.check(carried)) in CODES
    assert outcome(lambda: headers.credential(carried)) in CODES
    assert outcome(lambda: headers.client_ids(carried)) in CODES
    assert outcome(lambda: headers.query_to_provider(query, Dialect.GEMINI)) in CODES
    assert isinstance(headers.to_provider(carried, ProviderProtocol.ANTHROPIC, betas), list)
