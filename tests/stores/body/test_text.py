import pytest

from ringfence.stores.body.text import text_of


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        (b'{"role":"user","content":"hello\\nworld"}', "user\nhello\nworld"),
        (b' ,{"content":[{"text":"caf\\u00e9"}]}', "café"),
        (b'{"a":1,"b":null,"c":[true,"x"]}', "x"),
        (b"plain words", "plain words"),
        (b"\xff\xfe", "��"),
        (b"", ""),
    ],
)
def test_the_texts_of_a_piece_are_found(piece: bytes, text: str) -> None:
    assert text_of(piece) == text


def test_a_word_split_over_a_stream_is_whole_again() -> None:
    stream = (
        b': keep alive\n\ndata: {"choices":[{"delta":{"content":"ref"}}]}\r\n\r\n'
        b'data: {"choices":[{"delta":{"content":"und now"}}]}\n\n'
        b"event: ping\ndata: not json\n\ndata: [DONE]\n\n"
    )
    assert "refund now" in text_of(stream)


def test_texts_of_different_fields_do_not_run_together() -> None:
    stream = b'data: {"text":"one","id":"a"}\n\ndata: {"text":" two","id":"b"}\n\n'
    assert sorted(text_of(stream).split("\n")) == ["ab", "one two"]
