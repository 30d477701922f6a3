from dataclasses import replace

import pytest
from tests.api.plane import Plane, organisation

from ringfence.decisions.period import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Window
from ringfence.domain.money import Money
from ringfence.domain.organisation import Role


def test_an_agent_is_shown_with_what_it_may_do_and_without_its_secrets(plane: Plane) -> None:
    token = plane.token()
    answer = plane.ask("GET", "agents/triage")
    shown = answer.json()
    assert shown["agent"]["owner"] == "owner@acme.example"
    assert shown["agent"]["state"] == "active"
    assert shown["scope"] == {
        "models": ["small"],
        "tools": ["files__*"],
        "hosts": [],
        "commands": [],
    }
    assert shown["limits"]["model_calls"] == 30
    assert shown["limits"]["tool_calls"] is None
    assert [each["per"] for each in shown["budgets"]] == ["day"]
    assert [each["is_live"] for each in shown["credentials"]] == [True]
    assert token.encode() not in answer.body


def test_what_is_left_comes_from_the_books(plane: Plane) -> None:
    before = plane.ask("GET", "agents/triage").json()["budgets"][0]
    assert before["left_nano"] == before["limit_nano"] == "5000000000"
    start, end = int(before["window_start_us"]), int(before["window_end_us"])
    assert start <= plane.clock.now_us() < end
    key = AccountKey(plane.acme.id, BudgetScope.AGENT, plane.acme.agents["triage"].id, Per.DAY)
    plane.workers.lines = [Line(key, Window(start, end), Money(1), Money(7), Money(3), Money(0))]
    after = plane.ask("GET", "agents/triage").json()["budgets"][0]
    assert (after["spent_nano"], after["reserved_nano"]) == ("7", "3")
    assert after["left_nano"] == str(5_000_000_000 - 10)


def test_suspending_tells_every_worker_and_is_recorded(plane: Plane) -> None:
    answer = plane.ask("POST", "agents/triage/suspend", key=plane.key(Role.ADMIN))
    agent = plane.acme.agents["triage"].id
    assert answer.json()["state"] == "suspended"
    assert plane.workers.told == [("state", (plane.acme.id, agent, AgentState.SUSPENDED))]
    (note,) = plane.notes
    assert (note.what, note.subject) == ("agent.suspended", agent)
    assert note.actor.startswith("user:user_")
    assert note.detail == {"name": "triage", "was": "active", "took_us": "0"}


def test_suspending_holds_even_if_it_cannot_be_recorded(plane: Plane) -> None:
    plane.is_recording = False
    assert plane.ask("POST", "agents/triage/suspend").status == 503
    assert plane.state.agents.named(plane.acme.id, "triage").state is AgentState.SUSPENDED
    assert len(plane.workers.told) == 1


def test_resuming_does_not_happen_unless_it_is_recorded(plane: Plane) -> None:
    plane.ask("POST", "agents/triage/suspend")
    plane.is_recording = False
    assert plane.ask("POST", "agents/triage/resume").status == 503
    assert plane.state.agents.named(plane.acme.id, "triage").state is AgentState.SUSPENDED
    plane.is_recording = True
    assert plane.ask("POST", "agents/triage/resume").json()["state"] == "active"
    assert [note.what for note in plane.notes] == ["agent.suspended", "agent.resumed"]


def test_what_already_is_so_is_told_again_but_not_recorded_again(plane: Plane) -> None:
    for _ in range(2):
        assert plane.ask("POST", "agents/triage/suspend").status == 200
    assert len(plane.workers.told) == 2
    assert len(plane.notes) == 1


def test_a_retired_agent_does_not_come_back(plane: Plane) -> None:
    assert plane.ask("POST", "agents/triage/retire").json()["state"] == "retired"
    answer = plane.ask("POST", "agents/triage/resume")
    assert (answer.status, answer.code) == (409, "agent_state")
    assert [note.what for note in plane.notes] == ["agent.retired"]


def test_an_agent_that_left_the_file_is_still_listed(plane: Plane) -> None:
    plane.load(replace(organisation(), agents={}))
    (line,) = plane.ask("GET", "agents").json()["items"]
    assert (line["name"], line["state"], line["owner"]) == ("triage", "retired", "")
    shown = plane.ask("GET", "agents/triage").json()
    assert shown["scope"] is None


@pytest.mark.parametrize("what", ["GET agents/nobody", "POST agents/nobody/suspend"])
def test_an_unknown_agent_is_not_found(plane: Plane, what: str) -> None:
    answer = plane.ask(*what.split())
    assert (answer.status, answer.code) == (404, "agent_unknown")


def test_agents_are_listed_by_pages(plane: Plane) -> None:
    triage = plane.acme.agents["triage"]
    names = ["a", "b", "c", "triage"]
    plane.load(
        replace(organisation(), agents={name: replace(triage, name=name, id="") for name in names})
    )
    seen: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        page = plane.ask("GET", f"agents?limit=3&after={after}").json()
        seen.append([line["name"] for line in page["items"]])
        after = page["next"]
    assert seen == [["a", "b", "c"], ["triage"]]
