import asyncio
import json
from typing import Any

import pytest

from ringfence.testing.clock import ManualClock
from ringfence.testing.http import MemoryRequest, MemoryResponse
from ringfence.testing.model import script
from ringfence.testing.model.server import ScriptedModel

VERSION = (b"anthropic-version", b"2026-10-21")
SAID = {"messages": [{"role": "user", "content": "hello"}]}


def model(rules: str = "[{answer: {text: hi there}}]") -> ScriptedModel:
    return ScriptedModel(script.parse(f"{{format: 1, rules: {rules}}}"), ManualClock(now_us=5))


def send(
    served: ScriptedModel,
    method: str,
    target: str,
    body: bytes = b"",
    *headers: tuple[bytes, bytes],
) -> MemoryResponse:
    response = MemoryResponse()
    request = MemoryRequest(method, target, headers=headers, body=body)
    asyncio.run(served.handle(request, response))
    return response


def post(
    served: ScriptedModel, path: str, *headers: tuple[bytes, bytes], **fields: object
) -> MemoryResponse:
    return send(served, "POST", path, json.dumps({"model": "m", **fields}).encode(), *headers)


def get(served: ScriptedModel, path: str, *headers: tuple[bytes, bytes]) -> Any:  # noqa: ANN401 (any JSON value)
    return json.loads(send(served, "GET", path, b"", *headers).body)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", SAID),
        ("/v1/responses", {"input": "hello"}),
        ("/v1/messages?beta=true", {"max_tokens": 9, **SAID}),
        ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "hello"}]}]}),
    ],
)
def test_every_dialect_is_answered_and_noted(path: str, fields: dict[str, object]) -> None:
    served = model()
    response = post(served, path, VERSION, **fields)
    assert (response.status, b"hi there" in response.body) == (200, True)
    (entry,) = served.journal.entries
    assert (entry.model, entry.user, entry.time_us) == ("m", "hello", 5)
    assert (entry.rule, entry.ending) == ("1", "whole")
    assert entry.usage is not None
    assert entry.usage.output_tokens == 2


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"stream": True, **SAID}),
        ("/v1/responses", {"stream": True, "input": "hello"}),
        ("/v1/messages", {"stream": True, "max_tokens": 9, **SAID}),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            {"contents": [{"parts": [{"text": "hello"}]}]},
        ),
    ],
)
def test_every_dialect_is_streamed(path: str, fields: dict[str, object]) -> None:
    served = model()
    response = post(served, path, VERSION, **fields)
    assert response.headers[b"content-type"].startswith(b"text/event-stream")
    (entry,) = served.journal.entries
    assert (entry.stream, entry.chunks) == (True, len(response.writes))


def test_gemini_streams_an_array_unless_asked_for_events() -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    response = post(model(), path, contents=[{"parts": [{"text": "hello"}]}])
    assert isinstance(json.loads(response.body), list)


def test_embeddings_are_answered_without_a_rule() -> None:
    served = model()
    document = json.loads(post(served, "/v1/embeddings", input=["a", "b"]).body)
    assert len(document["data"]) == 2
    assert document["usage"]["prompt_tokens"] == 9


def test_tokens_are_counted_without_a_rule() -> None:
    response = post(model(), "/v1/messages/count_tokens", VERSION, **SAID)
    assert json.loads(response.body) == {"input_tokens": 17}


def test_tokens_are_counted_as_scripted() -> None:
    served = model("[{when: {dialect: count_tokens}, answer: {usage: {input_tokens: 7}}}]")
    response = post(served, "/v1/messages/count_tokens", VERSION, **SAID)
    assert json.loads(response.body) == {"input_tokens": 7}
    silent = model("[{when: {dialect: count_tokens}, answer: {usage: none}}]")
    response = post(silent, "/v1/messages/count_tokens", VERSION, **SAID)
    assert json.loads(response.body) == {"input_tokens": 0}


def test_a_header_can_choose_a_rule() -> None:
    served = model("[{when: {headers: {X-Case: b*}}, answer: {text: chosen}}, {answer: {}}]")
    response = post(served, "/v1/chat/completions", (b"x-case", b"blue"), **SAID)
    assert b"chosen" in response.body


def test_models_are_listed_in_the_form_of_who_asks() -> None:
    served = model()
    assert get(served, "/v1/models")["object"] == "list"
    assert get(served, "/v1/models", VERSION)["has_more"] is False
    assert get(served, "/v1beta/models")["models"][0]["name"] == "models/scripted-model"
    assert "models" in get(served, "/v1/models", (b"x-goog-api-key", b"k"))


def test_a_malformed_request_is_refused_in_its_dialect() -> None:
    served = model()
    response = send(served, "POST", "/v1/messages", b"{", VERSION)
    assert response.status == 400
    assert json.loads(response.body)["error"]["type"] == "invalid_request_error"
    assert served.journal.entries[0].status == 400


def test_a_version_is_required_of_messages_alone() -> None:
    assert post(model(), "/v1/messages", **SAID).status == 400
    assert post(model(), "/v1/chat/completions", **SAID).status == 200


def test_a_request_that_no_rule_answers_is_refused() -> None:
    response = post(model("[]"), "/v1/chat/completions", **SAID)
    assert response.status == 400
    assert b"no rule of the script" in response.body


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v1/chat/completions"), ("POST", "/x"), ("GET", "/_scripted/x")],
)
def test_other_paths_are_not_found(method: str, path: str) -> None:
    assert send(model(), method, path).status == 404


def test_a_server_that_listens_is_healthy() -> None:
    assert get(model(), "/healthz") == {"status": "ok"}


def test_what_came_in_can_be_listed_read_and_forgotten() -> None:
    served = model()
    post(served, "/v1/chat/completions", (b"authorization", b"Bearer sk-secret"), **SAID)
    listed = send(served, "GET", "/_scripted/requests").body
    document = json.loads(listed)
    assert (document["total"], document["requests"][0]["model"]) == (1, "m")
    assert b"sk-secret" not in listed
    body = send(served, "GET", "/_scripted/requests/1/body").body
    assert json.loads(body) == {"model": "m", **SAID}
    assert send(served, "GET", "/_scripted/requests/2/body").status == 404
    send(served, "DELETE", "/_scripted/requests")
    assert get(served, "/_scripted/requests") == {"total": 0, "requests": []}


def test_forgetting_starts_the_script_again() -> None:
    served = model("[{answers: [{text: first}, {text: second}]}]")
    said = []
    for forget in (False, True, False):
        said.append(b"first" in post(served, "/v1/chat/completions", **SAID).body)
        if forget:
            send(served, "DELETE", "/_scripted/requests")
    assert said == [True, False, True]


def test_another_script_can_be_loaded() -> None:
    served = model()
    text = b"{format: 1, rules: [{answer: {text: other}}]}"
    assert send(served, "PUT", "/_scripted/script", text).status == 200
    assert b"other" in post(served, "/v1/chat/completions", **SAID).body


@pytest.mark.parametrize("text", [b"{format: 1, rules: [{}]}", b"\xff"])
def test_a_wrong_script_is_refused_and_the_old_one_stays(text: bytes) -> None:
    served = model()
    assert send(served, "PUT", "/_scripted/script", text).status == 400
    assert b"hi there" in post(served, "/v1/chat/completions", **SAID).body


def test_the_same_requests_get_the_same_bytes() -> None:
    def played() -> list[bytes]:
        served = ScriptedModel(script.default(), ManualClock())
        calls: list[dict[str, Any]] = [{"stream": True, **SAID}, SAID, {"n": 2, **SAID}]
        return [post(served, "/v1/chat/completions", **call).body for call in calls]

    assert played() == played()
