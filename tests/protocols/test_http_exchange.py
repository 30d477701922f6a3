"""Bodies of requests read as text where they are text."""

import gzip

from ringfence.protocols.http_exchange import HttpReader


def texts(request: bytes, response: bytes) -> list[tuple[str, str]]:
    answer = HttpReader().read_exchange(request, response, streamed=False).answer
    assert answer is not None
    return [(part.kind, part.text) for part in answer.parts]


def test_both_bodies_are_shown_and_what_there_is_not_is_left_out() -> None:
    assert texts(b'{"a":1}', b"ok") == [("sent", '{"a":1}'), ("received", "ok")]
    assert texts(b"", b"ok") == [("received", "ok")]


def test_what_is_no_text_is_told_by_its_size() -> None:
    packed = gzip.compress(b"hello" * 100)
    assert texts(packed, b"") == [("sent", f"({len(packed)} bytes that are no text)")]
    assert texts("grün".encode(), b"") == [("sent", "grün")]
