import json

import pytest
from tests.cli.installation import SECRET_NAME, Installation


def test_a_token_made_while_stopped_is_good_after_the_start(stopped: Installation) -> None:
    made = stopped.call("agent", "token", "triage", "--label", "early")
    assert made.code == 0
    (token,) = stopped.call("agent", "token", "triage", "--list", "--json").json()
    assert (token["label"], token["is_live"]) == ("early", True)


def test_changes_made_while_stopped_stand_in_the_record(stopped: Installation) -> None:
    stopped.call("agent", "suspend", "triage")
    lines = stopped.call("audit", "export").out.splitlines()
    assert "agent.suspended" in [json.loads(line).get("what") for line in lines]


def test_everything_that_makes_sense_works_on_a_stopped_plane(stopped: Installation) -> None:
    for command in (
        ["check"],
        ["agent", "list"],
        ["agent", "show", "triage"],
        ["trace", "list"],
        ["audit", "query"],
        ["audit", "export"],
        ["key", "list"],
    ):
        assert stopped.call(*command).code == 0, command


def test_what_only_a_running_plane_knows_is_code_3(stopped: Installation) -> None:
    result = stopped.call("budget", "show")
    assert result.code == 3
    assert "budgets are kept by the running plane" in result.err


def test_a_stopped_plane_needs_no_secret(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_NAME)
    result = stopped.call("agent", "list")
    assert result.code == 0
    assert "triage" in result.out


def test_a_configuration_that_is_wrong_is_told_in_full(stopped: Installation) -> None:
    path = stopped.folder / "ringfence.yaml"
    path.write_text(path.read_text().replace("purpose:", "purpos:"))
    result = stopped.call("agent", "list")
    assert result.code == 2
    assert "unknown key `purpos`" in result.err


def test_reading_retires_nobody(stopped: Installation) -> None:
    assert stopped.call("agent", "token", "triage").code == 0
    path = stopped.folder / "ringfence.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("  triage:", "  successor:"))
    assert stopped.call("agent", "list").code == 0
    path.write_text(whole)
    shown = stopped.call("agent", "show", "triage")
    assert shown.code == 0
    assert "retired" not in shown.out
