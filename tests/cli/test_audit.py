import json

import pytest
from tests.cli.installation import SECRET, Installation


def test_events_are_found_newest_first(plane: Installation) -> None:
    events = plane.call("audit", "query", "--json").json()
    times = [int(event["time_us"]) for event in events]
    assert times == sorted(times, reverse=True)
    assert {"intent", "outcome", "refusal", "change"} <= {event["kind"] for event in events}


def test_filters_reach_the_record(plane: Installation) -> None:
    (refusal, *_) = plane.call(
        "audit", "query", "--agent", "poor", "--kind", "refusal", "--since", "1h", "--json"
    ).json()
    assert refusal["decision"]["code"] == "budget_exhausted"
    invocation = refusal["invocation"]
    found = plane.call("audit", "query", "--invocation", invocation, "--json").json()
    assert {event["invocation"] for event in found} == {invocation}
    assert plane.call("audit", "query", "--verdict", "allow", "--json").json()
    assert len(plane.call("audit", "query", "--limit", "2", "--json").json()) == 2
    nothing = plane.call("audit", "query", "--until", "2026-01-01", "--json")
    assert nothing.json() == []


def test_a_text_in_a_message_is_found(plane: Installation) -> None:
    (event, *_) = plane.call("audit", "query", "--text", "too dear", "--json").json()
    assert event["agent_name"] == "poor"


def test_a_table_for_people_cannot_move_the_terminal(plane: Installation) -> None:
    result = plane.call("audit", "query")
    assert result.out.splitlines()[0].split() == ["TIME", "KIND", "WHO", "INVOCATION", "WHAT"]
    assert "budget_exhausted" in result.out
    assert "\x1b" not in result.out


def test_a_wrong_time_is_wrong_use(plane: Installation) -> None:
    assert plane.call("audit", "query", "--since", "lately").code == 2


@pytest.mark.parametrize("option", ["--kind", "--limit"])
def test_a_wrong_filter_is_wrong_use(plane: Installation, option: str) -> None:
    assert plane.call("audit", "query", option, "x").code == 2


def test_the_export_is_one_event_a_line_oldest_first(plane: Installation) -> None:
    lines = plane.call("audit", "export", "--events-only").out.splitlines()
    times = [int(json.loads(line)["time_us"]) for line in lines]
    assert times == sorted(times)
    assert len(lines) >= 6
    assert SECRET not in "".join(lines)


def test_an_export_to_a_file_is_private_whole_and_overwrites_nothing(plane: Installation) -> None:
    path = plane.folder / "export.jsonl"
    assert plane.call("audit", "export", "-o", str(path)).code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    written = path.read_bytes()
    assert json.loads(written.splitlines()[0])["format"] == 1
    again = plane.call("audit", "export", "-o", str(path))
    assert again.code == 2
    assert path.read_bytes() == written


def test_an_export_that_fails_leaves_no_file(plane: Installation) -> None:
    path = plane.folder / "failed.jsonl"
    result = plane.call("audit", "export", "-o", str(path), "--organisation", "elsewhere")
    assert result.code == 2
    assert not [each for each in plane.folder.iterdir() if "failed" in each.name]


def test_a_folder_that_is_not_there_is_wrong_use(plane: Installation) -> None:
    result = plane.call("audit", "export", "-o", str(plane.folder / "no" / "x.jsonl"))
    assert result.code == 2
    assert "no such file or directory" in result.err
