"""Answers of hosts with secrets: however they come, none of these is in what passes."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.enforcement.clean_answer import CleanAnswer
from ringfence.protocols.scrubbing import Scrub, Shown

SECRET = b"sk-live-0123456789abcdef"
SCRUB = Scrub([Shown(name="crm", value=SECRET)])
BODY = b'{"before": 1, "token": "' + SECRET + b'", "again": "' + SECRET.hex().encode() + b'"}'
CODED = [(b"content-encoding", b"gzip"), (b"content-length", b"99"), (b"etag", b"1")]


def in_pieces(answer: CleanAnswer, body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join([*(answer.feed(piece) for piece in pieces), answer.finish()])


@settings(max_examples=50)
@given(st.integers(1, len(BODY)))
def test_a_body_at_once_is_what_its_pieces_are_together(size: int) -> None:
    whole, parted = CleanAnswer(SCRUB, []), CleanAnswer(SCRUB, [])
    assert whole.whole(BODY) == in_pieces(parted, BODY, size)
    assert whole.redactions == parted.redactions == {"crm": 2}
    assert SECRET not in CleanAnswer(SCRUB, []).whole(BODY)


SHOWN = (
    b"nothing",
    b"",
    SECRET,
    SECRET.hex().encode(),
    b"%73" + SECRET[1:],
    b"\\u0073" + SECRET[1:],
    SECRET[:9] + b"\n" + SECRET[9:],
    b"an end of line\nalone, and 100 %",
)


@given(st.sampled_from(SHOWN), st.sampled_from(SHOWN[:6]), st.sampled_from(SHOWN[:4]))
def test_head_and_body_at_once_are_what_each_is_by_itself(
    body: bytes, value: bytes, name: bytes
) -> None:
    head = [(b"x-before", b"1"), (name or b"x", value)]
    once, apart = CleanAnswer(SCRUB, head), CleanAnswer(SCRUB, head)
    assert once.at_once(body) == (apart.headers, apart.whole(body))
    assert once.redactions == apart.redactions
    assert SECRET not in b"".join([*once.at_once(body)[0][1], body.replace(SECRET, b"")])


def test_an_encoded_answer_at_once_is_decoded_and_searched() -> None:
    headers, plain = CleanAnswer(SCRUB, CODED).at_once(gzip.compress(BODY))
    assert headers == [(b"etag", b"1")]
    assert SECRET not in plain
    assert len(plain) == len(BODY)


def test_an_encoded_body_at_once_is_decoded_and_searched() -> None:
    answer = CleanAnswer(SCRUB, CODED)
    assert answer.is_decoded
    assert answer.headers == [(b"etag", b"1")]
    plain = answer.whole(gzip.compress(BODY))
    assert len(plain) == len(BODY)
    assert SECRET not in plain


def test_an_encoded_body_that_is_cut_short_is_refused() -> None:
    with pytest.raises(PeerError) as caught:
        CleanAnswer(SCRUB, CODED).whole(gzip.compress(BODY)[:-9])
    assert caught.value.code == "answer_encoded"


def test_what_an_answer_hands_out_for_later_is_taken_away() -> None:
    headers = [(b"set-cookie", b"session=1"), (b"x-kept", b"yes"), (b"x-auth-token", b"t")]
    assert CleanAnswer(SCRUB, headers).headers == [(b"x-kept", b"yes")]


def test_a_plain_coding_stays_as_it_was_said() -> None:
    headers = [(b"content-encoding", b"identity"), (b"set-cookie", b"a=b")]
    answer = CleanAnswer(SCRUB, headers)
    assert not answer.is_decoded
    assert answer.headers == [(b"content-encoding", b"identity")]


def test_without_secrets_a_coding_passes_as_it_is() -> None:
    answer = CleanAnswer(Scrub(()), CODED)
    assert not answer.is_decoded
    assert answer.headers == CODED
    assert answer.whole(b"\x1f\x8b...") == b"\x1f\x8b..."
