import base64
import html
import json
import textwrap
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.scrubbing import MessageScrubber, Scrub, Scrubber, Shown
from ringfence.protocols.secret_form import base64_cores

SECRET = b"sk-4nT/Zq+8=w 1"
STAND_IN = b"sk-XXXXXXXXXX 1"
OTHER = b"ghp_0123456789"
SCRUB = Scrub([Shown(name="crm", value=SECRET, stand_in=STAND_IN), Shown(name="git", value=OTHER)])
TEXT = SECRET.decode()
KEY = b"sk-live-0123456789-abcdefghijklmnopqrstu"
KEYED = Scrub([Shown(name="crm", value=KEY)])
ALIKE = b"sk-test-9876543210-zyxwvutsrqponmlkjihgf"
"""Another of the same shape."""
ALIKE_BY_NUMBER = b"".join(b"\\u00%02x" % each for each in KEY)


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
    # Twice and three times.
    quote(quote(TEXT, safe=""), safe="").encode(),
    quote(by_number("%"), safe="").encode(),
    quote(quote(by_number("%"), safe=""), safe="").encode(),
    quote(by_number("%"), safe="").replace("%25", "%2525").encode(),
    json.dumps(json.dumps(TEXT))[3:-3].encode(),
    json.dumps(by_number("\\u00"))[1:-1].encode(),
    json.dumps(json.dumps(by_number("\\u00"))[1:-1])[1:-1].encode(),
    quote(by_number("\\u00"), safe="").encode(),
    html.escape(by_number("&#x", ";")).encode(),
    html.escape(html.escape(by_number("&#x", ";"))).encode(),
    "".join(f"\\u0025{ord(each):02X}" for each in TEXT).encode(),
    # Without padding, and in PowerShell's way.
    b64encode(SECRET).rstrip(b"="),
    b64encode(TEXT.encode("utf-16-le")),
]

LONG = b"pk-live-" + bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))
WRAPS = [
    base64.encodebytes(LONG * 2),
    base64.encodebytes(b"user:" + LONG * 2).replace(b"\n", b"\r\n"),
    textwrap.fill(b64encode(b"ab" + LONG * 2).decode(), 64).encode(),
    json.dumps(base64.encodebytes(LONG * 2).decode()).encode(),
    json.dumps(json.dumps(base64.encodebytes(LONG * 2).decode())).encode(),
    json.dumps(textwrap.fill(LONG.hex(), 60).replace("\n", "\r\n")).encode(),
    quote(base64.encodebytes(LONG * 2)).encode(),
    base64.urlsafe_b64encode(LONG * 2)[:64] + b"\n" + base64.urlsafe_b64encode(LONG * 2)[64:],
]
WRAPPED = Scrub([Shown(name="pem", value=LONG)])


@pytest.mark.parametrize("wrapped", WRAPS, ids=range(len(WRAPS)))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 65, 1000])
def test_ends_of_line_within_base64_hide_nothing(wrapped: bytes, size: int) -> None:
    text = b"begin\n" + wrapped + b"\nend of it"
    scrubber = Scrubber(WRAPPED)
    out = b"".join(scrubber.feed(text[at : at + size]) for at in range(0, len(text), size))
    out += scrubber.finish()
    assert (out, scrubber.redactions) == WRAPPED.whole(text)
    assert scrubber.redactions["pem"] >= 1
    assert len(out) == len(text)
    assert out.count(b"\n") == text.count(b"\n")
    core = base64_cores(LONG)[0]
    assert not any(core[at : at + 16] in out for at in range(0, len(core) - 16, 4))


@given(
    st.lists(
        st.one_of(
            st.sampled_from(WRAPS),
            st.sampled_from([b"\n", b"\r\n", b"\\n", b"\\", b"%25", b"pk-live", b"&amp;"]),
            st.binary(max_size=6),
        ),
        max_size=6,
    ).map(b"".join),
    st.data(),
)
def test_how_wrapped_text_is_split_changes_nothing(text: bytes, data: st.DataObject) -> None:
    whole, counted = WRAPPED.whole(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    scrubber = Scrubber(WRAPPED)
    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        out += scrubber.feed(text[start:end])
    assert (out + scrubber.finish(), scrubber.redactions) == (whole, counted)


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
    st.sampled_from([b"%25", b"%2525", b"\\\\", b"&amp;", b"%5C", b"\n", b"\r", b"\\n", b"&#38;"]),
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


def test_what_no_secret_goes_on_after_is_not_held_back() -> None:
    scrubber = Scrubber(KEYED)
    assert scrubber.feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert scrubber.feed(b"data: sk-live-1\n\n") == b"data: sk-live-1\n\n"
    assert scrubber.feed(b'{"a": "sk-live"}') == b'{"a": "sk-live"}'
    assert scrubber.feed(b"data: sk-li") == b"data: "
    assert scrubber.feed(b" and words") == b"sk-li and "
    assert scrubber.finish() == b"words"


def test_what_was_held_back_comes_at_the_end() -> None:
    scrubber = Scrubber(KEYED)
    assert scrubber.feed(b"x " + KEY[:-1]) == b"x "
    assert scrubber.finish() == KEY[:-1]
    assert scrubber.redactions == {}


def test_where_a_secret_holds_spaces_all_but_ends_of_line_may_belong_to_it() -> None:
    scrubber = Scrubber(SCRUB)
    assert scrubber.feed(b"x\n{y} sk-4nT/Zq+8=w ") == b"x\n"
    assert scrubber.finish() == b"{y} sk-4nT/Zq+8=w "


@given(
    st.lists(
        st.one_of(
            st.integers(1, 39).map(lambda size: KEY[:size]),
            st.integers(1, 39).map(lambda size: b64encode(KEY)[:size]),
            st.integers(1, 39).map(lambda size: KEY.hex().encode()[:size]),
            st.integers(1, 39).map(lambda size: quote(quote(KEY.hex())).encode()[:size]),
            st.integers(1, 60).map(lambda size: ALIKE_BY_NUMBER[:size]),
            st.sampled_from([b" ", b"\n", b"A" * 24 + b"\n", b"%", b"\\u00", b"&#x4", b"!"]),
            st.binary(max_size=4),
        ),
        max_size=12,
    )
)
def test_how_much_is_held_back_tells_nothing_of_the_secret(pieces: list[bytes]) -> None:
    """Else who has its own words sent would see whether they begin it, and guess on from there."""
    scrubbers = [Scrubber(Scrub([Shown(name="crm", value=key)])) for key in (KEY, ALIKE)]
    messages = [MessageScrubber(Scrub([Shown(name="crm", value=key)])) for key in (KEY, ALIKE)]
    for piece in pieces:
        sizes = {len(each.feed(piece)) for each in scrubbers}
        if any(each.redactions for each in scrubbers):
            break  # it was all there
        assert len(sizes) == 1
        assert len({len(each.feed(piece, is_last=False)) for each in messages}) == 1


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


def said(*messages: bytes, scrub: Scrub = KEYED) -> tuple[list[bytes], dict[str, int]]:
    scrubber = MessageScrubber(scrub)
    return [scrubber.feed(each, is_last=True) for each in messages], scrubber.redactions


def test_the_rest_of_what_a_message_began_is_taken_out_of_the_next() -> None:
    assert said(b"a sk-live-0", KEY[9:] + b" b") == (
        [b"a sk-live-0", b"*" * len(KEY[9:]) + b" b"],
        {"crm": 1},
    )
    assert said(b"a sk-live-0", b"and more", KEY[9:]) == (
        [b"a sk-live-0", b"and more", KEY[9:]],
        {},
    )


def test_half_of_it_is_taken_out_at_once_and_so_is_the_rest() -> None:
    assert said(b"a " + KEY[:20], KEY[20:] + b" b") == (
        [b"a " + b"*" * 20, b"*" * 20 + b" b"],
        {"crm": 2},
    )
    assert said(b"a " + KEY[:19], b"nothing") == ([b"a " + KEY[:19], b"nothing"], {})


@pytest.mark.parametrize("size", [1, 2, 5, 13])
def test_of_many_small_messages_less_than_half_is_shown(size: int) -> None:
    messages = [KEY[at : at + size] for at in range(0, len(KEY), size)]
    passed, found = said(b"x", *messages, b"y")
    shown = b"".join(passed).replace(b"*", b"")
    assert len(shown) < 2 + len(KEY) // 2 + size
    assert (passed[0], passed[-1]) == (b"x", b"y")
    assert found["crm"] >= 1
    assert list(map(len, passed)) == [1, *map(len, messages), 1]


@pytest.mark.parametrize("encoded", ENCODED, ids=range(len(ENCODED)))
def test_a_form_of_any_kind_is_not_told_in_two_messages(encoded: bytes) -> None:
    for cut in range(1, len(encoded), max(1, len(encoded) // 16)):
        passed, found = said(b'{"a": "' + encoded[:cut], encoded[cut:] + b'"}', scrub=SCRUB)
        assert found.get("crm"), cut
        assert not SCRUB.finds(b"".join(passed)[7:-2]), cut
        assert passed[1].endswith(b'"}')


@given(
    st.lists(st.one_of(FRAGMENT, st.sampled_from([KEY[:9], KEY[9:]])), max_size=6),
    st.data(),
)
def test_how_messages_come_in_frames_changes_nothing(
    messages: list[bytes], data: st.DataObject
) -> None:
    whole = said(*messages, scrub=SCRUB)
    scrubber = MessageScrubber(SCRUB)
    passed: list[bytes] = []
    for message in messages:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=3)))
        parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
        out = [scrubber.feed(part, is_last=False) for part in parts]
        passed.append(b"".join(out) + scrubber.feed(b"", is_last=True))
    assert (passed, scrubber.redactions) == whole
    assert list(map(len, passed)) == list(map(len, messages))


def test_messages_pass_as_they_are_where_there_is_nothing_to_look_for() -> None:
    assert said(b"sk-4nT", b"/Zq", scrub=Scrub([])) == ([b"sk-4nT", b"/Zq"], {})
