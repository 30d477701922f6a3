import pytest

from ringfence.analysis.tool_text import hidden, skeleton, visible


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("send\u200b_mail", "U+200B ZERO WIDTH SPACE"),
        ("a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("x\U000e0041", "U+E0041 TAG LATIN CAPITAL LETTER A"),
        ("x\u3164", "U+3164 HANGUL FILLER"),
        ("x\x1b[8m", "U+001B unnamed"),
        ("x\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
        ("x\U000e0101", "U+E0101 VARIATION SELECTOR-18"),
        ("x\ue000", "U+E000 unnamed"),
    ],
)
def test_what_people_do_not_see_is_named(text: str, sign: str) -> None:
    assert hidden(text) == (sign,)


@pytest.mark.parametrize(
    "text",
    ["Send mail.\n\tNow.", "Größe in €", "発送する", "👩‍🚀 ok ☎️", "co\u00adoperate", "1️⃣ first"],
)
def test_what_people_write_hides_nothing(text: str) -> None:
    assert hidden(text) == ()


def test_hidden_characters_are_written_out_for_people() -> None:
    assert visible("a\u200bb") == "a<U+200B>b"
    assert visible("plain é") == "plain é"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("send_email", "sеnd_email"),
        ("refund", "Refund"),
        ("read-file", "read_file"),
        ("list", "1ist"),
        ("pay", "p\u200bay"),
        ("pay", "ｐａｙ"),
        ("send", "sénd"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_names_that_do_not_look_alike_have_two() -> None:
    assert skeleton("read_file") != skeleton("write_file")
