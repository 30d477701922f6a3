import json
from pathlib import Path

import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage
from ringfence.domain.verdict import Code, Reason
from ringfence.protocols.dialect import Codec
from ringfence.protocols.embeddings import FIELDS, EmbeddingsCodec
from ringfence.protocols.field import Meaning

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts/openai"
CODEC = EmbeddingsCodec()
REASON = Reason(code=Code.BUDGET_EXHAUSTED, message="No money is left.")


def _body(**fields: object) -> bytes:
    return json.dumps({"model": "e", "input": "hi", **fields}).encode()


def test_it_is_a_codec() -> None:
    codec: Codec = CODEC
    assert b"No money is left." in codec.error_body(402, REASON)
    assert b"No money is left." in codec.stream_stop(REASON)
    assert codec.stream_comment()


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("hi", (b'"hi"',)),
        (["a", "b"], (b'"a"', b'"b"')),
        ([1, 2], (b"[1, 2]",)),
        ([[1], [2]], (b"[[1], [2]]",)),
        ([], ()),
    ],
)
def test_texts_and_tokens_are_read(value: object, messages: tuple[bytes, ...]) -> None:
    request = CODEC.parse(_body(input=value))
    assert request.messages == messages
    assert (request.dialect, request.model) == (Dialect.EMBEDDINGS, "e")
    assert (request.output_limit, request.stream, request.outside_inputs) == (None, False, ())


def test_input_in_other_forms_is_outside_input() -> None:
    for body in (_body(input=[{"image": "https://x.example"}]), _body(messages=[{}])):
        assert CODEC.parse(body).outside_inputs


def test_governed_fields_are_noted() -> None:
    assert {row.name for row in FIELDS.rows if row.meaning is Meaning.PRICED} == {"service_tier"}
    assert CODEC.parse(_body(service_tier="flex")).priced_fields
    assert not CODEC.parse(_body(service_tier="default", dimensions=3)).priced_fields
    assert CODEC.parse(_body(user="u")).client_ids == (("user", "u"),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"model":"e"}', "`input` is missing"),
        (b'{"input":"x"}', "`model` is missing"),
        (_body(input=1), "`input` is not a string"),
        (_body(stream=True), "cannot be streamed"),
        (b'{"model":"e","input":"a","Model":"b"}', "`model` in another case"),
        (b'{"model":"e","input":"a","input":"b"}', "duplicate name `input`"),
    ],
)
def test_what_cannot_be_read_one_way_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(PeerError, match=message) as caught:
        CODEC.parse(body)
    assert caught.value.code == "request_malformed"


def test_only_the_model_is_rewritten() -> None:
    request = CODEC.parse(_body(input=[1, 2]))
    sent = CODEC.rewrite(request, model="up", output_limit=9, inject_usage=True)
    assert sent == _body(input=[1, 2]).replace(b'"e"', b'"up"')


def test_there_is_no_stream() -> None:
    with pytest.raises(PeerError):
        CODEC.stream(CODEC.parse(_body()))


def test_an_answer_is_read() -> None:
    answer = CODEC.read((TRANSCRIPTS / "embeddings_answer.json").read_bytes())
    assert answer.usage == Usage(input_tokens=8, output_tokens=0)
    assert answer.response_model == "text-embedding-3-small"
    assert CODEC.read(b'{"error":{"type":"x"}}').error == "x"
    assert CODEC.read(b'{"data":[]}').usage is None
    with pytest.raises(PeerError) as caught:
        CODEC.read(b"nope")
    assert caught.value.code == "provider_malformed"
