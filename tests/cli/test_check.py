from pathlib import Path

import pytest
from tests.cli.installation import SECRET, SECRET_NAME, Installation


def test_a_good_configuration_says_what_was_found(stopped: Installation) -> None:
    result = stopped.call("check")
    assert result.code == 0
    assert "acme  2 agents, 1 model, 1 provider, 2 users" in result.out
    assert "house/small" in result.out
    assert "configuration" in result.out


def test_what_is_worth_a_second_look_is_noted_with_its_place(stopped: Installation) -> None:
    _give_more_than_the_team_has(stopped)
    result = stopped.call("check")
    assert result.code == 0
    assert "the budget per day of agent `triage` can never be used up" in result.out
    assert ":19:" in result.out


def test_checking_leaves_nothing_behind(stopped: Installation) -> None:
    stopped.call("check")
    assert [path.name for path in stopped.folder.iterdir()] == ["ringfence.yaml"]


def test_every_problem_is_told_with_its_place_and_what_would_be_right(
    stopped: Installation,
) -> None:
    path = stopped.folder / "ringfence.yaml"
    text = path.read_text().replace("purpose:", "purpos:").replace("[git]", "git")
    path.write_text(text)
    result = stopped.call("check")
    assert (result.code, result.out) == (2, "")
    assert f"{path}:16:5: unknown key `purpos`" in result.err
    assert "did you mean `purpose`?" in result.err
    assert f"{path}:18:" in result.err


def test_a_missing_variable_is_a_problem(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_NAME)
    assert stopped.call("check").code == 2


def test_a_model_without_a_price_is_said_to_be_refused(stopped: Installation) -> None:
    path = stopped.folder / "ringfence.yaml"
    path.write_text(path.read_text().replace(", price: {input: 1, output: 4}", ""))
    result = stopped.call("check")
    assert result.code == 0
    assert "unknown: calls are refused" in result.out


def test_json_says_the_same_for_programs(stopped: Installation) -> None:
    _give_more_than_the_team_has(stopped)
    document = stopped.call("check", "--json").json()
    (organisation,) = document["organisations"]
    assert organisation["agents"] == ["poor", "triage"]
    assert organisation["models"][0]["price_source"] == "configuration"
    assert document["notes"][0]["line"] == 19


def test_no_secret_is_shown(stopped: Installation) -> None:
    for option in ([], ["--json"]):
        assert SECRET not in stopped.call("check", *option).written


def test_a_file_name_cannot_move_the_terminal(tmp_path: Path) -> None:
    hostile = Installation(tmp_path / "a\x1b[31m")
    result = hostile.call("check")
    assert result.code == 2
    assert "\x1b" not in result.written


def _give_more_than_the_team_has(stopped: Installation) -> None:
    path = stopped.folder / "ringfence.yaml"
    path.write_text(path.read_text().replace("{usd: 1, per: day}", "{usd: 9, per: day}"))
