import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.masking import Found
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
