import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.policy.text import Piece, cut, line_of

_FILE = """\
// Money; "quoted" (odd
@id("a;b") // one
permit (principal, action, resource)
when { context.x == "};" && { y: 1 }.y == 1 };

forbid (principal, action, resource); permit (principal, action, resource);
// the end
"""


def test_a_file_is_cut_where_its_policies_end() -> None:
    pieces = cut(_FILE)
    assert [piece.line for piece in pieces] == [2, 6, 6]
    assert pieces[0].text.startswith('@id("a;b")')
    assert pieces[0].text.endswith("== 1 };")
    assert [piece.text.split()[0] for piece in pieces[1:]] == ["forbid", "permit"]


@pytest.mark.parametrize("text", ["", "\n // nothing \n", "  "])
def test_a_file_that_says_nothing_holds_nothing(text: str) -> None:
    assert cut(text) == ()


@pytest.mark.parametrize("text", ["permit (", 'forbid "', "a ) ; b"])
def test_what_is_no_policy_is_still_a_piece(text: str) -> None:
    assert cut(text)


@given(st.text(alphabet='ab;"\\(){}[] \n/'))
def test_every_character_that_says_something_is_in_a_piece(text: str) -> None:
    pieces = cut(text)
    assert "".join(piece.text for piece in pieces) in text or len(pieces) > 1
    for piece in pieces:
        at = text.index(piece.text)
        assert piece.text in text[at:]
        assert 1 <= piece.line <= text.count("\n") + 1


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("attribute `arguments.amnt` in context not found", 12),
        ('unrecognized action `Action::"tool.cal"`', 11),
        ("unexpected end of input", 10),
        ("no such `thing`", 10),
    ],
)
def test_a_message_leads_to_the_line_of_what_it_quotes(message: str, line: int) -> None:
    text = 'forbid (principal,\naction == Action::"tool.cal", resource)\nwhen { x.amnt };'
    assert line_of(Piece(text, 10), message) == line
