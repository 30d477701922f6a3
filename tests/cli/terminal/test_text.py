import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ringfence.cli.terminal.text import counted, cut, harmless, harmless_lines, pad, width, wrap


def test_plain_text_stays_as_it_is() -> None:
    assert harmless("Grüße, 世界, 👩‍🚒!") == "Grüße, 世界, 👩‍🚒!"


def test_an_escape_sequence_becomes_a_picture() -> None:
    assert harmless("\x1b[2J\x07\x7f\n") == "␛[2J␇␡␊"


def test_what_is_invisible_or_turns_writing_around_is_spelt_out() -> None:
    assert harmless("\x9b31m\u202e\u2028\ud800") == "\\u{9b}31m\\u{202e}\\u{2028}\\u{d800}"


@given(st.text())
def test_no_text_at_all_reaches_the_terminal_with_a_control_character(text: str) -> None:
    for line in harmless_lines(text):
        assert all(unicodedata.category(each) not in {"Cc", "Cs", "Zl", "Zp"} for each in line)
        assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
        line.encode()


def test_lines_are_kept_apart_and_tabs_become_spaces() -> None:
    assert harmless_lines("a\r\n\tb\rc") == ["a", "    b␍c"]


def test_wide_characters_take_two_cells_and_marks_none() -> None:
    assert width("世界") == 4
    assert width("e\u0301") == 1
    assert pad("世", 4) == "世  "


def test_a_cut_text_says_so_and_fits() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 4) == "abc…"
    assert cut("世界世界", 4) == "世…"
    assert cut("abc", 0) == ""


def test_lines_break_at_spaces() -> None:
    assert list(wrap("one two three", 8)) == ["one two", "three"]


def test_what_has_no_space_is_broken_anyway() -> None:
    assert list(wrap("abcdefgh", 3)) == ["abc", "def", "gh"]


def test_the_beginning_of_a_line_keeps_its_spaces() -> None:
    assert next(wrap("    indented text here", 14)) == "    indented"


@given(st.text(alphabet=st.characters(exclude_categories=["C"]), max_size=60), st.integers(2, 20))
def test_wrapped_pieces_fit_and_lose_nothing_but_spaces(text: str, cells: int) -> None:
    line = harmless(text)
    pieces = list(wrap(line, cells))
    assert all(width(piece) <= cells for piece in pieces)
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")


def test_one_thing_is_not_many() -> None:
    assert [counted(each, "log") for each in (0, 1, 12345)] == ["0 logs", "1 log", "12,345 logs"]
