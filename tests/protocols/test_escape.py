from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.escape import Escapes, context_of, cut_of

ESCAPES = Escapes.of(frozenset(b"ABC"))
LINE = b"abcdefghij0123456789"


def read(text: bytes) -> list[bytes]:
    return [view.text for view in ESCAPES.views(text, is_last=True)]


def test_a_text_without_escapes_is_not_read_again() -> None:
    for text in (b"", b"plain", b"100 % of\nit \\ & more", b'%44 \\u0044 &#68; \\n \\"'):
        assert read(text) == []


def test_each_layer_is_undone_by_itself() -> None:
    assert read(b"x%41y") == [b"xAy"]
    assert read(b"%2541 &#66;") == [b"%41 B", b"A B"]
    assert read(b"\\\\u0041\\x42") == [b"\\u0041B", b"AB"]
    assert read(b"&amp;amp;#65;") == [b"&amp;#65;", b"&#65;", b"A"]
    assert read(b"%25252541") == [b"%252541", b"%2541", b"%41"]  # and no further


def test_what_escapes_nothing_stays() -> None:
    assert read(b"\\\\. &amp; &amp;b %4") == []
    assert read(b"%41 \\\\. &amp; b") == [b"A \\\\. &amp; b"]


def test_ends_of_line_within_long_lines_are_left_out() -> None:
    assert read(LINE + b"\nA") == [LINE + b"A"]
    assert read(LINE + b"\r\nA") == [LINE + b"A"]
    assert read(LINE + b"\\nA" + LINE + b"\\r\\nB") == [LINE + b"A" + LINE + b"B"]
    assert read(b"a short line\nA\n\nB") == []


def test_what_the_end_cuts_short_is_left_open() -> None:
    for text in (b"%", b"%4", b"\\", b"\\u00", b"\\x4", b"&#6", b"&am", b"&amp;", b"\\\\", b"\r"):
        assert cut_of(b"text" + text) == 4
        (view,) = ESCAPES.views(b"text" + text, is_last=False)
        assert (view.text, view.cut) == (b"text", 4)
    assert cut_of(b"text %41") == 8


def test_what_says_how_the_next_is_read_is_no_escape() -> None:
    assert context_of(b"some text " + LINE) == LINE
    assert context_of(b"long " + LINE * 2) == LINE
    assert context_of(b"%41 ") == b""


@given(
    st.lists(st.sampled_from([b"A", b"%41", b"%2541", b"\\\\", b"u0041", b"&#65;", b"\n", LINE]))
)
def test_every_byte_of_a_view_has_its_place_in_the_text(parts: list[bytes]) -> None:
    text = b"".join(parts)
    for view in ESCAPES.views(text, is_last=False):
        places = [view.place(index) for index in range(len(view.text))]
        assert places == sorted(set(places))
        assert all(view.index(place) == index for index, place in enumerate(places))
        for index, place in enumerate(places):
            if text[place] not in b"%\\&":
                assert view.text[index] == text[place]
