from ringfence.cli.terminal.style import Style
from ringfence.cli.trace.sheet import Sheet


def sheet(width: int = 60, *, is_full: bool = False) -> Sheet:
    return Sheet(Style(), width, is_full=is_full)


def test_a_long_text_is_wrapped_beside_its_label() -> None:
    page = sheet(40)
    page.text("user", "one two three four five six seven eight")
    assert page.lines == [
        "user       one two three four five six",
        "           seven eight",
    ]


def test_indentation_stands_before_every_line_and_narrows_them() -> None:
    page = sheet(40)
    with page.indented("│ "):
        page.text("user", "one two three four five six seven eight")
        page.blank()
    assert all(line.startswith("│") and len(line) <= 40 for line in page.lines)


def test_a_very_long_text_is_shortened_unless_all_is_asked_for() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    short, full = sheet(), sheet(is_full=True)
    short.text("result", text)
    full.text("result", text)
    assert short.lines[-1].strip() == "… 88 more lines; --full shows them"
    assert len(full.lines) == 100


def test_blank_texts_are_left_out() -> None:
    page = sheet()
    page.text("user", " \n ")
    assert page.lines == []


def test_nothing_foreign_reaches_the_page_as_a_control_character() -> None:
    page = Sheet(Style(is_coloured=True), 60, is_full=False)
    page.text("user\x1b", "evil \x1b[2J", page.style.bad)
    page.line(("evil \x1b[2J", page.style.bad))
    for line in page.lines:
        assert "\x1b[2J" not in line
        assert "␛[2J" in line
