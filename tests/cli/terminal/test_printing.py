import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.cli.terminal.printing import (
    harmless_json,
    hint,
    progress,
    say,
    say_json,
    say_listing,
    with_moments,
)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_harmless_json_says_the_same(text: str) -> None:
    written = msgspec.json.encode({"text": text}).decode()
    shown = harmless_json(written)
    assert json.loads(shown) == {"text": text}
    assert not set(shown) & set("\x7f\x85\x9b\u202e\u2066\u2028")


def test_what_lies_beyond_the_basic_plane_is_escaped_as_a_pair() -> None:
    assert harmless_json('"\U000e0001"') == '"\\udb40\\udc01"'


def test_a_listing_is_one_array_with_readable_times(capsys: pytest.CaptureFixture[str]) -> None:
    say_listing([msgspec.Raw(b'{"id":"a","created_us":"1000000","revoked_us":null}')])
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "a",
            "created_us": "1000000",
            "created_at": "1970-01-01T00:00:01.000000Z",
            "revoked_us": None,
            "revoked_at": None,
        }
    ]


def test_times_are_found_at_every_depth_and_durations_left_alone() -> None:
    found = with_moments({"inner": [{"opened_us": "0"}], "duration_us": 5})
    assert found == {
        "inner": [{"opened_us": "0", "opened_at": "1970-01-01T00:00:00.000000Z"}],
        "duration_us": 5,
    }


def test_hints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    hint("a \x1b hint")
    say(["a line"])
    say_json([1])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("a line\n[\n  1\n]\n", "a ␛ hint\n")


def test_progress_is_silent_where_nobody_looks_on(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working") as done:
        done()
    assert capsys.readouterr().err == ""
