import json

import msgspec
import pytest

from ringfence.cli.terminal.listing import say_items, say_table


class Thing(msgspec.Struct):
    name: str
    created_us: str


ITEMS = [msgspec.Raw(b'{"name": "a\\u001b[31m", "created_us": "0", "more": 1}')]


def told(items: list[msgspec.Raw], *, is_json: bool) -> None:
    say_items(
        items,
        Thing,
        lambda each: (each.name, each.created_us),
        ("NAME", "CREATED"),
        is_json=is_json,
        nothing="no things yet",
    )


def test_items_are_rows_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    told(ITEMS, is_json=False)
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "CREATED"]
    assert row.endswith("0")
    assert "\x1b" not in row


def test_items_are_whole_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    told(ITEMS, is_json=True)
    (item,) = json.loads(capsys.readouterr().out)
    assert (item["more"], item["created_at"]) == (1, "1970-01-01T00:00:00.000000Z")
    told([], is_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_nothing_is_said_beside_what_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    told([], is_json=False)
    assert capsys.readouterr() == ("", "no things yet\n")


def test_rows_stand_under_their_headings(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("A", "B"), [("long one", "x")])
    first, second = capsys.readouterr().out.splitlines()
    assert first.index("B") == second.index("x")
