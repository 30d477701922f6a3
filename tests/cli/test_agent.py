import pytest
from tests.cli.installation import Installation


def test_agents_are_listed_by_name(plane: Installation) -> None:
    lines = plane.call("agent", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "OWNER", "TEAM", "CATEGORY", "PURPOSE"]
    assert [line.split()[0] for line in lines[1:]] == ["poor", "triage"]
    names = [each["name"] for each in plane.call("agent", "list", "--json").json()]
    assert names == ["poor", "triage"]


def test_an_agent_is_shown_with_scope_budgets_and_tokens(plane: Installation) -> None:
    text = plane.call("agent", "show", "triage").out
    assert "Route incoming tickets." in text
    assert "models    small" in text
    assert "agent triage" in text
    assert "crd_" in text
    document = plane.call("agent", "show", "triage", "--json").json()
    assert document["agent"]["owner"] == "owner@acme.example"
    assert document["state_changed_at"].endswith("Z")


def test_a_suspended_agent_is_refused_until_it_is_resumed(plane: Installation) -> None:
    assert plane.call("agent", "suspend", "triage").err == "agent `triage` is suspended\n"
    status, answer = plane.ask("hello")
    assert status == 403
    assert "suspended" in answer["error"]["message"]
    assert plane.call("agent", "resume", "triage").code == 0
    assert plane.ask("hello")[0] == 200


def test_retiring_needs_to_be_said_twice_and_is_for_good(stopped: Installation) -> None:
    unsure = stopped.call("agent", "retire", "poor")
    assert unsure.code == 2
    assert "--yes" in unsure.err
    assert stopped.call("agent", "retire", "poor", "--yes").code == 0
    again = stopped.call("agent", "resume", "poor")
    assert again.code == 2
    assert "retired" in again.err


@pytest.mark.parametrize("command", ["show", "suspend", "resume", "token"])
def test_an_unknown_agent_is_wrong_use(plane: Installation, command: str) -> None:
    result = plane.call("agent", command, "nobody")
    assert (result.code, result.out) == (2, "")
    assert "no agent named `nobody`" in result.err
