"""A refusal reaches each kind of client in a form that it shows and does not repeat."""

import json

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Ask, Code, Deny, Reason, Stop, Throttle
from ringfence.protocols.refusal import expected_requests, recognise, render
from ringfence.protocols.refusal_table import LONGEST_WAIT_S, ROWS, Client

MESSAGE = "The budget of agent triage is spent. Ask owner@acme.example."
BUDGET = Reason(
    code=Code.BUDGET_EXHAUSTED,
    message=MESSAGE,
    facts=(("left_usd", "0.00"), ("action", "act_1")),
)
UNKNOWN = Client.UNKNOWN
DIALECTS = [*Dialect, None]


def reason(code: Code) -> Reason:
    return Reason(code=code, message=MESSAGE)


def throttle(seconds: float) -> Throttle:
    return Throttle(reason=reason(Code.RATE_EXCEEDED), retry_after_s=seconds)


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_code_has_its_status_and_a_body_with_code_and_message(
    code: Code, dialect: Dialect | None
) -> None:
    rendered = render(reason(code), dialect, UNKNOWN)
    error = json.loads(rendered.body)["error"]
    assert rendered.status == ROWS[code].status
    assert error["message"] == MESSAGE
    assert error["ringfence"]["code"] == code
    assert (b"content-type", b"application/json") in rendered.headers


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("client", Client)
def test_a_refusal_either_forbids_a_retry_or_says_when(code: Code, client: Client) -> None:
    names = [name for name, _ in render(reason(code), Dialect.CHAT, client).headers]
    assert (b"x-should-retry" in names) != (b"retry-after" in names)


@pytest.mark.parametrize("verdict", [Deny(reason=BUDGET), Ask(reason=BUDGET), Stop(reason=BUDGET)])
def test_verdicts_are_put_like_their_reason(verdict: Deny | Ask | Stop) -> None:
    assert render(verdict, Dialect.CHAT, UNKNOWN) == render(BUDGET, Dialect.CHAT, UNKNOWN)


def test_the_openai_form() -> None:
    assert json.loads(render(BUDGET, Dialect.RESPONSES, UNKNOWN).body) == {
        "error": {
            "message": MESSAGE,
            "type": "billing_error",
            "param": None,
            "code": "budget_exhausted",
            "ringfence": {"code": "budget_exhausted", "left_usd": "0.00", "action": "act_1"},
        }
    }


def test_the_anthropic_form() -> None:
    assert json.loads(render(BUDGET, Dialect.COUNT_TOKENS, UNKNOWN).body) == {
        "type": "error",
        "error": {
            "type": "billing_error",
            "message": MESSAGE,
            "code": "budget_exhausted",
            "ringfence": {"code": "budget_exhausted", "left_usd": "0.00", "action": "act_1"},
        },
        "request_id": "act_1",
    }


def test_the_google_form() -> None:
    facts = {"code": "budget_exhausted", "left_usd": "0.00", "action": "act_1"}
    assert json.loads(render(BUDGET, Dialect.GEMINI, UNKNOWN).body) == {
        "error": {
            "code": 402,
            "message": MESSAGE,
            "status": "FAILED_PRECONDITION",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "BUDGET_EXHAUSTED",
                    "domain": "ringfence",
                    "metadata": facts,
                }
            ],
            "ringfence": facts,
        }
    }


def test_a_throttle_says_when_to_come_back() -> None:
    rendered = render(throttle(2.25), Dialect.CHAT, Client.OPENAI_SDK)
    assert rendered.status == 429
    assert (b"retry-after", b"3") in rendered.headers
    assert (b"retry-after-ms", b"2250") in rendered.headers


@pytest.mark.parametrize(
    ("client", "status"), [(Client.ANTHROPIC_SDK, 429), (Client.CODEX, 400), (Client.OPENCODE, 400)]
)
def test_nobody_is_asked_to_sleep_for_long(client: Client, status: int) -> None:
    rendered = render(throttle(LONGEST_WAIT_S + 1), Dialect.MESSAGES, client)
    assert rendered.status == status
    assert (b"x-should-retry", b"false") in rendered.headers


def test_a_call_that_may_have_been_charged_is_not_repeated() -> None:
    away = reason(Code.PROVIDER_UNAVAILABLE)
    before = render(away, Dialect.CHAT, Client.OPENAI_SDK)
    after = render(away, Dialect.CHAT, Client.OPENAI_SDK, is_charged=True)
    assert (before.status, after.status) == (503, 503)
    assert (b"retry-after", b"2") in before.headers
    assert (b"x-should-retry", b"false") in after.headers


def test_a_missing_credential_names_the_scheme() -> None:
    headers = dict(render(reason(Code.CREDENTIAL_MISSING), None, UNKNOWN).headers)
    assert headers[b"www-authenticate"].startswith(b"Bearer")


def test_a_wrong_method_names_the_right_ones() -> None:
    wrong = Reason(code=Code.METHOD_NOT_ALLOWED, message=MESSAGE, facts=(("allow", "GET, HEAD"),))
    assert dict(render(wrong, None, UNKNOWN).headers)[b"allow"] == b"GET, HEAD"


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.RATE_EXCEEDED])
def test_codex_gets_400_for_everything_that_is_not_a_throttle(code: Code) -> None:
    assert render(reason(code), Dialect.RESPONSES, Client.CODEX).status == 400
    assert expected_requests(code, Client.CODEX) == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.CREDENTIAL_UNKNOWN, 403),
        (Code.OUT_OF_SCOPE, 402),
        (Code.REQUEST_MALFORMED, 402),
        (Code.BUDGET_EXHAUSTED, 402),
        (Code.STORE_UNAVAILABLE, 503),
    ],
)
@pytest.mark.parametrize("client", [Client.CLAUDE_CODE, Client.CLAUDE_AGENT_SDK])
def test_claude_code_gets_statuses_that_it_shows_once(
    client: Client, code: Code, status: int
) -> None:
    rendered = render(reason(code), Dialect.MESSAGES, client)
    assert rendered.status == status
    assert (b"x-should-retry", b"false") in rendered.headers
    assert expected_requests(code, client) == 1


def test_copilot_gets_no_status_that_hides_the_message() -> None:
    statuses = {render(reason(code), Dialect.CHAT, Client.COPILOT_CLI).status for code in Code}
    assert not statuses & {401, 403}


@pytest.mark.parametrize("client", [Client.OPENCODE, Client.GEMINI_CLI])
def test_clients_that_ignore_the_header_get_no_final_5xx(client: Client) -> None:
    codes = [code for code in Code if code is not Code.RATE_EXCEEDED]
    assert all(render(reason(code), Dialect.CHAT, client).status < 429 for code in codes)


@pytest.mark.parametrize("client", [Client.OPENAI_SDK, Client.ANTHROPIC_SDK])
def test_sdks_repeat_only_what_may_pass_later(client: Client) -> None:
    for code in Code:
        repeats = ROWS[code].retry_after_s is not None
        assert expected_requests(code, client) == (3 if repeats else 1)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([(b"user-agent", b"OpenAI/Python 3.52.0")], Client.OPENAI_SDK),
        ([(b"user-agent", b"AsyncOpenAI/Python 3.52.0")], Client.OPENAI_SDK),
        ([(b"user-agent", b"AsyncAnthropic/Python 2.11.0")], Client.ANTHROPIC_SDK),
        ([(b"user-agent", b"claude-cli/2.1.329 (external, sdk-cli)")], Client.CLAUDE_CODE),
        (
            [(b"user-agent", b"claude-cli/2.1.329 (external, sdk-py, agent-sdk/0.2.186)")],
            Client.CLAUDE_AGENT_SDK,
        ),
        ([(b"user-agent", b"codex_exec/0.169.0 (Linux)")], Client.CODEX),
        ([(b"x-codex-turn-metadata", b"{}"), (b"user-agent", b"x")], Client.CODEX),
        (
            [(b"user-agent", b"OpenAI/JS 6.1.0"), (b"x-interaction-type", b"conversation-agent")],
            Client.COPILOT_CLI,
        ),
        ([(b"user-agent", b"opencode/1.18.33 ai-sdk")], Client.OPENCODE),
        ([(b"x-session-affinity", b"ses_1"), (b"user-agent", b"ai-sdk/6")], Client.OPENCODE),
        ([(b"user-agent", b"GeminiCLI/0.61.0/gemini-3 google-genai-sdk/1")], Client.GEMINI_CLI),
        ([(b"user-agent", b"google-genai-sdk/3.4.0 gl-python/3.11")], Client.GOOGLE_GENAI),
        ([(b"user-agent", b"Agents/Python"), (b"x-stainless-lang", b"python")], Client.OPENAI_SDK),
        (
            [(b"x-stainless-lang", b"python"), (b"anthropic-version", b"2026-10-21")],
            Client.ANTHROPIC_SDK,
        ),
        ([(b"user-agent", b"curl/8")], Client.UNKNOWN),
        ([], Client.UNKNOWN),
    ],
)
def test_clients_are_recognised(headers: list[tuple[bytes, bytes]], client: Client) -> None:
    assert recognise(headers) is client
