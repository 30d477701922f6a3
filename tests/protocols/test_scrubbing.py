import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.scrubbing import Scrub, Scrubber, Shown
from ringfence.protocols.secret_form import base64_cores

SECRET = b"sk-4nT/Zq+8=w 1"
STAND_IN = b"sk-XXXXXXXXXX 1"
OTHER = b"ghp_0123456789"
SCRUB = Scrub([Shown(name="crm", value=SECRET, stand_in=STAND_IN), Shown(name="git", value=OTHER)])
TEXT = SECRET.decode()


def by_number(prefix: str, suffix: str = "") -> str:
    return "".join(f"{prefix}{ord(each):02x}{suffix}" for each in TEXT)


ENCODED = [
    SECRET,
    b64encode(SECRET),
    b64encode(b"u:" + SECRET),
    b64encode(b"usr:" + SECRET),
    b64encode(b"user:" + SECRET).translate(bytes.maketrans(b"+/", b"-_")),
    SECRET.hex().encode(),
    SECRET.hex().upper().encode(),
    quote(TEXT, safe="").encode(),
    quote(TEXT).encode(),
    quote(TEXT, safe="").replace("%2F", "%2f").replace("%2B", "%2b").encode(),
    by_number("%").encode(),
    by_number("\\u00").encode(),
    by_number("\\x").upper().replace("\\X", "\\x").encode(),
    by_number("&#x", ";").encode(),
    "".join(f"&#{ord(each)};" for each in TEXT).encode(),
    json.dumps(TEXT).replace("/", "\\/").encode(),
    TEXT.encode("utf-16-le"),
    TEXT.encode("utf-16-be"),
    quote(b64encode(SECRET).decode(), safe="").encode(),
]


def shows(text: bytes) -> bool:
    plain = SCRUB.whole(text)[0]
    return plain != text


@pytest.mark.parametrize("encoded", ENCODED, ids=range(len(ENCODED)))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_every_form_is_taken_out_across_any_chunks(encoded: bytes, size: int) -> None:
    text = b'{"a": "%41%zz\\u00e4 ' + encoded + b' tail", "b": 1}'
    scrubber = Scrubber(SCRUB)
    out = b"".join(scrubber.feed(text[at : at + size]) for at in range(0, len(text), size))
    out += scrubber.finish()
    assert len(out) == len(text)
    assert scrubber.redactions == {"crm": 1}
    assert out.startswith(b'{"a": "%41%zz\\u00e4 ')
    assert out.endswith(b' tail", "b": 1}')
    assert not shows(out)


FRAGMENT = st.one_of(
    st.sampled_from(ENCODED),
    st.sampled_from([b"sk-", b"sk-4nT", b"%", b"%7", b"\\u00", b"&#x", b"\\", b"ghp_", OTHER]),
    st.sampled_from([each[:-1] for each in ENCODED]),
    st.sampled_from([each[1:] for each in ENCODED]),
    st.binary(max_size=6),
)


@given(st.lists(FRAGMENT, max_size=8).map(b"".join), st.data())
def test_how_it_is_split_changes_nothing(text: bytes, data: st.DataObject) -> None:
    whole, counted = SCRUB.whole(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    scrubber = Scrubber(SCRUB)
    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        out += scrubber.feed(text[start:end])
    out += scrubber.finish()
    assert (out, scrubber.redactions) == (whole, counted)
    assert len(out) == len(text)


@given(st.lists(FRAGMENT, max_size=8).map(b"".join))
def test_nothing_is_shown_after_it(text: bytes) -> None:
    out = SCRUB.whole(text)[0]
    for secret in (SECRET, OTHER):
        assert secret not in out
        assert secret.hex().encode() not in out.lower()
        assert base64_cores(secret)[0] not in out


def test_what_cannot_be_a_beginning_is_not_held_back() -> None:
    scrubber = Scrubber(SCRUB)
    assert scrubber.feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert scrubber.feed(b"data: sk-4nX\n\n") == b"data: sk-4nX\n\n"
    assert scrubber.feed(b"data: sk-4n") == b"data: "
    assert scrubber.feed(b"!") == b"sk-4n!"
    assert scrubber.finish() == b""


def test_what_was_held_back_comes_at_the_end() -> None:
    scrubber = Scrubber(SCRUB)
    assert scrubber.feed(b"x sk-4nT/Zq+8=w ") == b"x "
    assert scrubber.finish() == b"sk-4nT/Zq+8=w "
    assert scrubber.redactions == {}


def test_the_stand_in_takes_its_place_in_the_same_form() -> None:
    assert SCRUB.whole(b"a " + SECRET)[0] == b"a " + STAND_IN
    assert SCRUB.whole(SECRET.hex().encode())[0] == STAND_IN.hex().encode()
    assert SCRUB.whole(OTHER + b"!")[0] == b"*" * len(OTHER) + b"!"


def test_with_nothing_to_look_for_bytes_pass_as_they_are() -> None:
    scrubber = Scrubber(Scrub([]))
    chunk = b"sk-4nT"
    assert scrubber.feed(chunk) is chunk
    assert scrubber.finish() == b""


def test_a_secret_that_looks_escaped_is_found_as_it_stands() -> None:
    scrub = Scrub([Shown(name="odd", value=b"ab%41cd\\u0041ef%")])
    for shown in (b"ab%41cd\\u0041ef%", b"x ab%41cd\\u0041ef% y"):
        assert b"cd" not in scrub.whole(shown)[0]


def test_it_is_never_shown() -> None:
    shown = Shown(name="crm", value=SECRET, stand_in=STAND_IN)
    assert repr(shown) == "Shown(crm)"
    assert repr(SCRUB) == "Scrub(['crm', 'git'])"
    assert TEXT not in repr(Scrubber(SCRUB))


def test_a_long_secret_is_found_across_small_chunks() -> None:
    secret = bytes(range(33, 127)) * 20
    scrub = Scrub([Shown(name="pem", value=secret)])
    scrubber = Scrubber(scrub)
    text = b"x" * 50 + secret + b"y" * 50
    out = b"".join(scrubber.feed(text[at : at + 64]) for at in range(0, len(text), 64))
    assert out + scrubber.finish() == b"x" * 50 + b"*" * len(secret) + b"y" * 50
