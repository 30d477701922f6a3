from ringfence.cli.terminal.style import Style
from ringfence.cli.terminal.table import Column, table

PLAIN = Style()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    columns = [Column("NAME"), Column("COST", is_right=True), Column("TASK")]
    assert table(columns, [("triage", "$1.00", "a"), ("x", "$12.50", "")], PLAIN) == [
        "NAME      COST  TASK",
        "triage   $1.00  a",
        "x       $12.50",
    ]


def test_a_table_without_rows_has_its_heading() -> None:
    assert table([Column("A"), Column("B")], [], PLAIN) == ["A  B"]


def test_the_last_column_is_cut_where_a_line_would_be_too_long() -> None:
    lines = table([Column("A"), Column("B")], [("x", "word " * 30)], PLAIN, fits=60)
    assert len(lines[1]) == 60
    assert lines[1].endswith("…")


def test_cells_are_harmless_and_wide_characters_are_counted() -> None:
    lines = table([Column("A"), Column("B")], [("世", "\x1b[1m"), ("ab", "c")], PLAIN)
    assert lines[1:] == ["世  ␛[1m", "ab  c"]


def test_paint_stands_around_the_words_alone() -> None:
    style = Style(is_coloured=True)
    lines = table([Column("A", paint=style.name), Column("B")], [("x", "y")], style)
    assert lines[1] == "\x1b[36mx\x1b[0m  y"
