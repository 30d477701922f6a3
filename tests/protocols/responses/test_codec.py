import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols import sse
from ringfence.protocols.dialect import AnswerStream, Codec
from ringfence.protocols.responses import ResponsesCodec

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
CODEC = ResponsesCodec()
REASON = Reason(code=Code.BUDGET_EXHAUSTED, message="No money is left.")


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def _refusal(body: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        CODEC.parse(body)
    assert caught.value.code == "request_malformed"
    return caught.value.message


def test_it_is_a_codec() -> None:
    codec: Codec = CODEC
    stream: AnswerStream = codec.stream(CODEC.parse(_body()))
    assert not stream.is_complete


def test_the_request_of_codex_is_read() -> None:
    body = (TRANSCRIPTS / "codex_request.json").read_bytes()
    request = CODEC.parse(body)
    assert request.dialect is Dialect.RESPONSES
    assert (request.model, request.stream, request.output_limit) == ("gpt-5-codex", True, None)
    assert [json.loads(raw) for raw in request.messages] == json.loads(body)["input"]
    assert [body[a:b] for a, b in request.message_spans] == list(request.messages)
    assert request.tools == ("shell", "apply_patch")
    assert request.hosted_tools == (Feature("web_search"),)
    assert (request.priced_fields, request.outside_inputs, request.images) == ((), (), 0)
    assert request.client_ids == (
        ("prompt_cache_key", "0199-thread"),
        ("client_metadata.x-codex-installation-id", "inst-1"),
    )


def test_a_plain_text_is_one_item() -> None:
    request = CODEC.parse(_body())
    assert request.messages == (b'"hi"',)


def test_instructions_may_be_items_too() -> None:
    image = {"type": "input_image", "image_url": "data:"}
    request = CODEC.parse(_body(instructions=[{"role": "developer", "content": [image]}]))
    assert request.images == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"input":"x"}', "`model` is missing"),
        (b'{"model":"m","input":{}}', "`input` is not a string"),
        (b'{"model":"m","input":[1]}', "not an object"),
        (b'{"model":"m","input":[{"role":"user","content":[1]}]}', "not an object"),
        (b'{"model":"m","input":"x","stream":"yes"}', "`stream` is not"),
        (b'{"model":"m","input":"x","max_output_tokens":1.0}', "`max_output_tokens` is not"),
        (b'{"model":"m","input":"x","Model":"y"}', "`model` in another case"),
        (b'{"model":"m","input":[{"Type":"item_reference"}]}', "`type` in another case"),
        (b'{"model":"m","input":[{"content":[{"TYPE":"x"}]}]}', "`type` in another case"),
        (b'{"model":"m","tools":[{"type":"shell","Type":"x"}]}', "`type` in another case"),
        (b'{"model":"m","input":"x","input":"y"}', "duplicate name `input`"),
        (b'{"model":"m","input":[{"type":"item_reference","type":"message"}]}', "`type`"),
        (b'{"model":"m","tools":[{"type":"mcp","type":"function"}]}', "duplicate name `type`"),
        (b'{"model":"m","tools":[{"name":"x"}]}', "no `type`"),
        (b'{"model":"m","reasoning":{"mode":"pro","mode":"standard"}}', "duplicate name `mode`"),
    ],
)
def test_what_cannot_be_read_one_way_is_refused(body: bytes, message: str) -> None:
    assert message in _refusal(body)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["message", "mcp", "reasoning"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "content", "output", "tools", "name", "id", "environment", "container"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.binary(max_size=60)
    | st.tuples(st.sampled_from(["input", "tools", "instructions", "prompt"]), _VALUES).map(
        lambda pair: json.dumps({"model": "m", pair[0]: pair[1]}).encode()
    )
)
def test_nothing_but_a_refusal_ever_comes_of_a_bad_body(body: bytes) -> None:
    try:
        CODEC.parse(body)
    except PeerError as error:
        assert error.code == "request_malformed"  # noqa: PT017 (either outcome is right)


def _rewritten(body: bytes, **how: Any) -> Any:  # noqa: ANN401 (any JSON)
    settings = {"model": "m", "output_limit": None, "inject_usage": True, **how}
    return json.loads(CODEC.rewrite(CODEC.parse(body), **settings))


def test_model_and_limit_are_written_and_nothing_else() -> None:
    assert _rewritten(_body(stream=True)) == json.loads(_body(stream=True))
    sent = _rewritten(_body(), model="up", output_limit=5)
    assert sent == {"model": "up", "input": "hi", "max_output_tokens": 5}
    assert _rewritten(_body(max_output_tokens=None), output_limit=5)["max_output_tokens"] == 5
    assert _rewritten(_body(max_output_tokens=9), output_limit=5)["max_output_tokens"] == 5


def test_nothing_to_change_gives_the_same_bytes() -> None:
    body = (TRANSCRIPTS / "codex_request.json").read_bytes()
    request = CODEC.parse(body)
    assert CODEC.rewrite(request, model="gpt-5-codex", output_limit=None, inject_usage=True) is body


def test_all_other_bytes_stay_as_they_came() -> None:
    body = b'{ "x":[1, 2 ],\n"model" : "m" , "input": "\\u00e9" ,"max_output_tokens":9}'
    sent = CODEC.rewrite(CODEC.parse(body), model="up", output_limit=5, inject_usage=True)
    assert sent == b'{ "x":[1, 2 ],\n"model" : "up" , "input": "\\u00e9" ,"max_output_tokens":5}'


def test_an_answer_is_known_to_be_kept_unless_the_request_says_otherwise() -> None:
    whole = (TRANSCRIPTS / "responses_text.sse").read_bytes()
    for fields, kept in (({}, "resp_0a1"), ({"store": True}, "resp_0a1"), ({"store": False}, "")):
        stream = CODEC.stream(CODEC.parse(json.dumps({"model": "m", **fields}).encode()))
        stream.feed(whole)
        assert stream.answer().provider_object == kept


def test_a_stop_is_one_event_that_codex_and_the_sdk_both_read() -> None:
    event = sse.read(CODEC.stream_stop(REASON))
    assert event.name == b"response.failed"
    assert event.data is not None
    data = json.loads(event.data)
    assert data["type"] == "response.failed"
    assert data["response"]["error"] == {"code": "invalid_prompt", "message": "No money is left."}
    assert data["error"]["message"] == "No money is left."


def test_an_error_has_the_form_that_sdks_read() -> None:
    assert json.loads(CODEC.error_body(402, REASON))["error"]["message"] == "No money is left."


def test_a_keep_alive_is_no_event() -> None:
    assert sse.read(CODEC.stream_comment()).data is None


def test_a_request_without_known_places_is_rewritten_too() -> None:
    request = ModelRequest(dialect=Dialect.RESPONSES, body=_body(), model="m")
    sent = CODEC.rewrite(request, model="up", output_limit=None, inject_usage=False)
    assert json.loads(sent) == {"model": "up", "input": "hi"}


@pytest.mark.parametrize("depth", [200, 330, 450, 480, 490, 495, 900, 960, 980, 990, 5000])
@pytest.mark.parametrize(
    "place",
    [
        '{"model":"m","input":VALUE}',
        '{"model":"m","input":[{"type":"additional_tools","tools":[VALUE]}]}',
        '{"model":"m","tools":[{"type":"file_search","x":VALUE}]}',
        '{"model":"m","conversation":VALUE}',
        '{"model":"m","tools":[{"type":"namespace","name":"n","tools":[VALUE]}]}',
    ],
)
def test_deep_nesting_is_read_or_refused(place: str, depth: int) -> None:
    for opening, core, closing in (("[", "", "]"), ('{"tools":[', "", "]}"), ('{"id":', "1", "}")):
        value = opening * depth + core + closing * depth
        try:
            CODEC.parse(place.replace("VALUE", value).encode())
        except PeerError as error:
            assert error.code == "request_malformed"  # noqa: PT017 (either outcome is right)


def test_an_output_limit_of_zero_is_refused_since_servers_may_ignore_it() -> None:
    assert "at least 1" in _refusal(_body(max_output_tokens=0))


@pytest.mark.parametrize("name", ["n", "best_of", "speed", "files", "extra_body"])
def test_a_field_that_no_reference_names_may_change_the_price(name: str) -> None:
    assert [found.name for found in CODEC.parse(_body(**{name: {}})).priced_fields] == [name]


@pytest.mark.parametrize("name", ["top_k", "seed", "client_metadata", "verbosity", "include"])
def test_known_fields_of_compatible_servers_pass(name: str) -> None:
    assert CODEC.parse(_body(**{name: "x"})).priced_fields == ()


@pytest.mark.parametrize(("uses", "read"), [(2, 2), (0, 0), (None, None)])
def test_the_calls_of_hosted_tools_are_bounded_by_one_figure(
    uses: int | None, read: int | None
) -> None:
    asked = CODEC.parse(_body(tools=[{"type": "web_search"}], max_tool_calls=uses))
    assert asked.hosted_uses == read
    assert CODEC.parse(_body(tools=[{"type": "web_search"}])).hosted_uses is None
