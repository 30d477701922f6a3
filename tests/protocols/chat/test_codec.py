import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols import sse
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.dialect import AnswerStream, Codec

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts/openai"
CODEC = ChatCodec()
MESSAGES = [{"role": "user", "content": "hi"}]
REASON = Reason(code=Code.BUDGET_EXHAUSTED, message="No money is left.", facts=(("ask", "ann"),))


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": MESSAGES, **fields}).encode()


def _parse(**fields: object) -> ModelRequest:
    return CODEC.parse(_body(**fields))


def _rewritten(body: bytes, **how: Any) -> Any:  # noqa: ANN401 (any JSON)
    settings = {"model": "m", "output_limit": None, "inject_usage": False, **how}
    return json.loads(CODEC.rewrite(CODEC.parse(body), **settings))


def _refusal(body: bytes) -> str:
    with pytest.raises(PeerError) as caught:
        CODEC.parse(body)
    assert caught.value.code == "request_malformed"
    return caught.value.message


def test_it_is_a_codec() -> None:
    codec: Codec = CODEC
    stream: AnswerStream = codec.stream(_parse())
    assert not stream.is_complete


def test_a_request_is_read() -> None:
    body = (TRANSCRIPTS / "chat_request.json").read_bytes()
    request = CODEC.parse(body)
    assert request.dialect is Dialect.CHAT
    assert (request.model, request.stream, request.output_limit) == ("gpt-5-mini", True, 500)
    assert [json.loads(raw) for raw in request.messages] == json.loads(body)["messages"]
    assert [body[a:b] for a, b in request.message_spans] == list(request.messages)
    assert request.tools == ("look", "run_sql")
    assert (request.images, request.media, request.answers) == (1, 0, 1)
    assert request.client_ids == (
        ("user", "u-7"),
        ("metadata.run", "r-1"),
        ("prompt_cache_key", "k-1"),
    )
    assert not request.wants_usage


def test_the_newer_and_the_older_limit_are_read() -> None:
    assert _parse(max_completion_tokens=5).output_limit == 5
    assert _parse(max_tokens=6).output_limit == 6
    assert _parse(max_tokens=7, max_completion_tokens=7).output_limit == 7
    assert _parse(max_tokens=None, max_completion_tokens=8).output_limit == 8
    assert _parse().output_limit is None


def test_two_limits_that_differ_are_refused() -> None:
    assert "differ" in _refusal(_body(max_tokens=1, max_completion_tokens=2))


@pytest.mark.parametrize(
    ("fields", "answers"),
    [({}, 1), ({"n": 3}, 3), ({"n": None}, 1), ({"best_of": 4}, 4), ({"n": 2, "best_of": 5}, 5)],
)
def test_every_answer_asked_for_counts(fields: dict[str, object], answers: int) -> None:
    assert _parse(**fields).answers == answers


def test_older_functions_are_tools_too() -> None:
    request = _parse(functions=[{"name": "f"}], tools=None)
    assert request.tools == ("f",)


def test_a_client_may_ask_for_usage_itself() -> None:
    assert _parse(stream=True, stream_options={"include_usage": True}).wants_usage
    assert not _parse(stream=True, stream_options={"include_usage": False}).wants_usage
    assert not _parse(stream=True, stream_options=None).wants_usage


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "`messages` is missing"),
        (b'{"messages":[]}', "`model` is missing"),
        (b'{"model":1,"messages":[]}', "`model` is not a string"),
        (b'{"model":"m","messages":{}}', "not an array"),
        (b'{"model":"m","messages":[1]}', "not an object"),
        (b'{"model":"m","messages":[{"content":1}]}', "`content`"),
        (b'{"model":"m","messages":[{"content":[1]}]}', "not an object"),
        (b'{"model":"m","messages":[],"stream":1}', "`stream` is not"),
        (b'{"model":"m","messages":[],"n":1.5}', "`n` is not"),
        (b'{"model":"m","messages":[],"max_tokens":"9"}', "`max_tokens` is not"),
        (b'{"model":"m","messages":[],"stream_options":[]}', "not an object"),
        (b'{"model":"m","messages":[],"tools":{}}', "not an array"),
        (b'{"model":"m","Model":"n","messages":[]}', "`Model` is `model` in another case"),
        (b'{"model":"m","messages":[],"MAX_TOKENS":9}', "`max_tokens` in another case"),
        (b'{"model":"m","messages":[{"Content":[]}]}', "`content` in another case"),
        (b'{"model":"m","messages":[{"content":[{"Type":"x"}]}]}', "`type` in another case"),
        (b'{"model":"m","messages":[],"tools":[{"Type":"x"}]}', "`type` in another case"),
        (b'{"model":"m","model":"n","messages":[]}', "duplicate name `model`"),
        (b'{"model":"m","messages":[],"stream_options":{"a":1,"a":1}}', "duplicate name `a`"),
        (b'{"model":"m","messages":[],"metadata":{"a":"1","a":"2"}}', "duplicate name `a`"),
        (
            b'{"model":"m","messages":[{"content":[{"type":"image_url","type":"text"}]}]}',
            "duplicate name `type`",
        ),
        (
            b'{"model":"m","messages":[{"content":"","content":[{"type":"file"}]}]}',
            "duplicate name `content`",
        ),
        (b'{"model":"m","messages":[],"tools":[{"type":"mcp","type":"function"}]}', "`type`"),
        (
            b'{"model":"m","messages":[],"tools":[{"function":{"name":"a","name":"b"}}]}',
            "duplicate name `name`",
        ),
    ],
)
def test_what_cannot_be_read_one_way_is_refused(body: bytes, message: str) -> None:
    assert message in _refusal(body)


@given(
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["text", "image_url", "file"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "content", "file", "function", "name", "audio", "url"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ).flatmap(
        lambda value: st.sampled_from(
            ["messages", "tools", "functions", "stream_options", "prompt_cache_options", "n"]
        ).map(lambda name: json.dumps({"model": "m", "messages": [], name: value}).encode())
    )
)
def test_nothing_but_a_refusal_ever_comes_of_a_bad_body(body: bytes) -> None:
    try:
        CODEC.parse(body)
    except PeerError as error:
        assert error.code == "request_malformed"  # noqa: PT017 (either outcome is right)


def test_nothing_to_change_gives_the_same_bytes() -> None:
    body = _body(max_tokens=5, stream=True, stream_options={"include_usage": True})
    request = CODEC.parse(body)
    assert CODEC.rewrite(request, model="m", output_limit=5, inject_usage=True) is body


def test_an_escaped_model_of_the_same_name_is_left() -> None:
    body = b'{"model":"\\u006d","messages":[]}'
    request = CODEC.parse(body)
    assert request.model == "m"
    assert CODEC.rewrite(request, model="m", output_limit=None, inject_usage=False) is body


def test_the_model_is_renamed() -> None:
    assert _rewritten(_body(), model='up"stream')["model"] == 'up"stream'


def test_a_limit_keeps_the_name_that_the_client_used() -> None:
    assert _rewritten(_body(max_tokens=9), output_limit=4) == json.loads(_body(max_tokens=4))
    both = _rewritten(_body(max_tokens=9, max_completion_tokens=9), output_limit=4)
    assert (both["max_tokens"], both["max_completion_tokens"]) == (4, 4)


def test_a_missing_limit_is_written_under_the_name_that_the_server_knows() -> None:
    assert _rewritten(_body(), output_limit=4)["max_completion_tokens"] == 4
    assert _rewritten(_body(max_completion_tokens=None), output_limit=4) == json.loads(
        _body(max_completion_tokens=4)
    )
    older = ChatCodec(limit_field="max_tokens")
    sent = older.rewrite(older.parse(_body()), model="m", output_limit=4, inject_usage=False)
    assert json.loads(sent) == {**json.loads(_body()), "max_tokens": 4}


@pytest.mark.parametrize(
    "options",
    [None, {}, {"include_usage": False}, {"include_usage": None}, {"include_obfuscation": False}],
)
def test_usage_is_asked_for_beside_other_options(options: dict[str, object] | None) -> None:
    sent = _rewritten(_body(stream=True, stream_options=options), inject_usage=True)
    assert sent["stream_options"] == {**(options or {}), "include_usage": True}
    assert _rewritten(_body(stream=True), inject_usage=True)["stream_options"] == {
        "include_usage": True
    }


def test_usage_is_not_asked_for_without_a_stream() -> None:
    assert _rewritten(_body(), inject_usage=True) == json.loads(_body())


@given(
    st.dictionaries(
        st.sampled_from(["temperature", "x", "metadata2", "ünknown", "stop", "seed"]),
        st.none() | st.integers() | st.text('a\u00e9\\"{},:\n', max_size=8) | st.just({"a": [1]}),
    ),
    st.sampled_from([None, 3, 50]),
    st.sampled_from([None, (",", ":"), (" , ", " : ")]),
    st.integers(0, 3),
)
def test_all_other_bytes_stay_as_they_came(
    extra: dict[str, object],
    limit: int | None,
    separators: tuple[str, str] | None,
    place: int,
) -> None:
    known: list[tuple[str, object]] = [("messages", MESSAGES), ("stream", True), ("max_tokens", 9)]
    pairs = [*extra.items(), *known]
    pairs.insert(place, ("model", "m"))
    body = json.dumps(dict(pairs), ensure_ascii=False, separators=separators).encode()
    sent = CODEC.rewrite(CODEC.parse(body), model="up", output_limit=limit, inject_usage=True)
    colon = (separators or (", ", ": "))[1].encode()
    undone = sent.replace(b'"stream_options":{"include_usage":true},', b"", 1)
    undone = undone.replace(b'"model"' + colon + b'"up"', b'"model"' + colon + b'"m"', 1)
    if limit is not None:
        written = b'"max_tokens"' + colon + str(limit).encode()
        undone = undone.replace(written, b'"max_tokens"' + colon + b"9", 1)
    assert undone == body


def test_a_request_without_known_places_is_rewritten_too() -> None:
    request = ModelRequest(dialect=Dialect.CHAT, body=_body(max_tokens=9), model="m")
    sent = CODEC.rewrite(request, model="up", output_limit=3, inject_usage=False)
    assert json.loads(sent) == {"model": "up", "messages": MESSAGES, "max_tokens": 3}


def test_an_error_has_the_form_that_sdks_read() -> None:
    error = json.loads(CODEC.error_body(402, REASON))["error"]
    assert error["message"] == "No money is left."
    assert {"type", "param", "code"} <= error.keys()


def test_a_stop_is_an_error_event_and_the_end() -> None:
    splitter = sse.Splitter()
    stop, end = splitter.feed(CODEC.stream_stop(REASON))
    data = sse.read(stop).data
    assert data is not None
    assert json.loads(data)["error"]["message"] == "No money is left."
    assert sse.read(end).data == b"[DONE]"


def test_a_keep_alive_is_no_event() -> None:
    assert sse.read(CODEC.stream_comment()).data is None


@pytest.mark.parametrize("depth", [200, 330, 450, 480, 490, 495, 900, 960, 980, 990, 5000])
@pytest.mark.parametrize(
    "place",
    [
        '{"model":"m","messages":VALUE}',
        '{"model":"m","messages":[{"x":VALUE}]}',
        '{"model":"m","messages":[],"tools":[{"type":"mcp","x":VALUE}]}',
        '{"model":"m","messages":[],"prompt_cache_options":VALUE}',
        '{"model":"m","messages":[],"stream_options":VALUE}',
    ],
)
def test_deep_nesting_is_read_or_refused(place: str, depth: int) -> None:
    for opening, core, closing in (("[", "", "]"), ('{"tools":[', "", "]}"), ('{"id":', "1", "}")):
        value = opening * depth + core + closing * depth
        try:
            CODEC.parse(place.replace("VALUE", value).encode())
        except PeerError as error:
            assert error.code == "request_malformed"  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("zero", ["0", "-0"])
def test_an_output_limit_of_zero_is_refused_since_servers_may_ignore_it(
    name: str, zero: str
) -> None:
    body = _body(limit=1).replace(b'"limit": 1', f'"{name}": {zero}'.encode())
    assert "at least 1" in _refusal(body)


@pytest.mark.parametrize(
    "name", ["dataSources", "chat_template", "extra_body", "api_base", "max_price"]
)
def test_a_field_that_no_reference_names_may_change_the_price(name: str) -> None:
    assert [found.name for found in CODEC.parse(_body(**{name: {}})).priced_fields] == [name]


@pytest.mark.parametrize(
    "name", ["top_k", "min_p", "guided_json", "chat_template_kwargs", "reasoning", "usage"]
)
def test_known_fields_of_compatible_servers_pass(name: str) -> None:
    assert CODEC.parse(_body(**{name: "x"})).priced_fields == ()
