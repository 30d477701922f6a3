import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.masking import Found
from ringfence.protocols import masking
from ringfence.protocols.masking import mark, mask

SECRET = re.compile("jane@roe[.]example|4711471")


def find(text: str) -> list[Found]:
    return [Found(one.start(), one.end(), "who") for one in SECRET.finditer(text)]


def test_only_what_was_found_is_changed() -> None:
    whole = b'{ "model":"m",\n"messages":[{"content":"ask jane@roe.example \\u00fc\\n"}], "n":1.50}'
    masked = mask(whole, find)
    assert masked.whole == (
        b'{ "model":"m",\n"messages":[{"content":"ask [masked:who] \xc3\xbc\\n"}], "n":1.50}'
    )
    assert masked.counts == {"who": 1}
    assert mask(b'{"content":"nobody"}', find) == (b'{"content":"nobody"}', {})


@pytest.mark.parametrize(
    "body",
    [
        rb'{"x":"jane\u0040roe.example"}',
        rb'{"x":"\tjane@roe.example"}',
        rb'{"x":"{\"to\":\"jane@roe.example\"}"}',
        rb'{"jane@roe.example":1}',
        rb'{"x":[{"y":["jane@roe.example"]}]}',
        rb'{"x":4711471}',
        rb'{"x":"\ud800 jane@roe.example"}',
    ],
)
def test_it_is_found_however_json_writes_it_and_stays_json(body: bytes) -> None:
    masked = mask(body, find)
    assert masked.counts == {"who": 1}
    said = json.dumps(json.loads(masked.whole))
    assert SECRET.search(said) is None
    assert mark("who") in said


@pytest.mark.parametrize(
    "body",
    [
        b"jane@roe.example",
        b"<b>jane@roe.example</b>",
        b'{"x":"cut jane@roe.example',
        b"\xffjane@roe.example\xfe",
    ],
)
def test_what_is_no_json_is_masked_too(body: bytes) -> None:
    masked = mask(body, find)
    assert b"jane" not in masked.whole
    assert masked.counts == {"who": 1}


CHAT = 'data: {{"id":"c1","choices":[{{"index":{index},"delta":{{"content":{text}}}}}]}}\n\n'
MESSAGES = (
    "event: content_block_delta\n"
    'data: {{"type":"content_block_delta","index":{index},'
    '"delta":{{"type":"text_delta","text":{text}}}}}\n\n'
)
GEMINI = (
    'data: {{"candidates":[{{"index":{index},"content":{{"parts":[{{"text":{text}}}]}}}}]}}\r\n\r\n'
)
RESPONSES = (
    'data: {{"type":"response.output_text.delta","item_id":"i{index}","output_index":0,'
    '"delta":{text}}}\n\n'
)


@pytest.mark.parametrize("event", [CHAT, MESSAGES, GEMINI, RESPONSES])
def test_what_a_stream_has_split_is_found(event: str) -> None:
    text, other = "say jane@roe.example!", "1234567890"
    stream = "".join(
        event.format(index=0, text=json.dumps(one)) + event.format(index=1, text=json.dumps(two))
        for one, two in zip(text, other * 3, strict=False)
    )
    masked = mask(stream.encode() + b"data: [DONE]\n\n", find)
    assert masked.counts == {"who": 1}
    said = re.findall(r'"(?:content|text|delta)":("[^"]*")', masked.whole.decode())
    assert "".join(map(json.loads, said[::2])) == "say [masked:who]!"
    assert "".join(map(json.loads, said[1::2])) == (other * 3)[: len(text)]
    assert len(masked.whole.splitlines()) == len(stream.splitlines()) + 2


@given(st.binary(max_size=300))
def test_any_bytes_without_it_stay_as_they_are(data: bytes) -> None:
    assert mask(data, lambda _: []) == (data, {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.just("jane@roe.example"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_json_stays_the_same_but_for_the_marks(value: object) -> None:
    for is_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=is_ascii)
        masked = mask(text.encode("utf-8", "surrogatepass"), find)
        expected = json.dumps(value).replace("jane@roe.example", mark("who"))
        if masked.counts.keys() <= {"who"} and "4711471" not in text:
            assert json.dumps(json.loads(masked.whole)) == expected


_PIECES = st.text(alphabet='a@.é\\"{},: 7x', max_size=6)
_EVENTS = st.one_of(
    st.builds(
        lambda said, index, pad: {
            "id": "chatcmpl-1",
            "choices": [{"index": index, "delta": {"content": said}}],
            "obfuscation": pad,
        },
        _PIECES,
        st.integers(0, 1),
        _PIECES,
    ),
    st.builds(
        lambda said, number: {
            "type": "response.output_text.delta",
            "sequence_number": number,
            "item_id": "msg_1",
            "delta": said,
        },
        _PIECES,
        st.integers(0, 99_999),
    ),
    st.builds(lambda said: {"text": said, "note": said, "content": [said]}, _PIECES),
)


@given(st.lists(_EVENTS, max_size=12), st.booleans())
def test_lines_of_one_form_are_masked_as_if_each_was_read_alone(
    events: list[object],
    is_ascii: bool,  # noqa: FBT001 (a way to write JSON)
) -> None:
    said = [json.dumps(each, ensure_ascii=is_ascii) for each in events]
    whole = "".join(f"data: {each}\n\n" for each in said).encode()
    quick = mask(whole, find)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ringfence.protocols.masking._FORMS_MOST", 0)
        assert mask(whole, find) == quick


@given(st.lists(st.text(alphabet='a@.x"\\,: content', max_size=30), max_size=8))
def test_lines_that_are_no_json_are_masked_as_if_each_was_read_alone(lines: list[str]) -> None:
    whole = "".join(f"data: {each}\n" for each in lines).encode()
    quick = mask(whole, find)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ringfence.protocols.masking._FORMS_MOST", 0)
        assert mask(whole, find) == quick


def test_a_long_stream_reads_each_form_of_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    plain = masking._texts_of  # noqa: SLF001 (counts how often it is asked)

    def counted(*args: Any, **more: Any) -> Iterator[Any]:  # noqa: ANN401 (as it is)
        nonlocal read
        read += 1
        return plain(*args, **more)

    monkeypatch.setattr(masking, "_texts_of", counted)
    events = [
        {"id": "chatcmpl-1", "sequence_number": n, "choices": [{"delta": {"content": f"w{n} "}}]}
        for n in range(2000)
    ]
    whole = "".join(f"data: {json.dumps(each)}\n\n" for each in events).encode()
    assert mask(whole, find).whole == whole
    assert read <= 3
