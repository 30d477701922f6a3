from dataclasses import replace

import pytest
from tests.api.event import intent, outcome
from tests.api.plane import Plane

from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.organisation import Role
from ringfence.domain.tool import ToolServer
from ringfence.domain.tool_rule import Compensation, FollowUp, ToolRules


def test_a_trace_says_what_undoes_it_and_what_cannot_be_undone(plane: Plane) -> None:
    asked = intent(plane, "act_1")
    asked.action_kind, asked.resource, asked.permission = "tool.call", "crm__send", "write"
    plane.write((asked, b"{}"), outcome(plane, asked))
    [found] = plane.ask("GET", f"traces/{asked.invocation}/undo").json()["steps"]
    assert (found["action"], found["tool"]) == ("act_1", "")
    assert "compensation" in found["why"]
    assert plane.ask("GET", "traces/act_1/undo").json()["steps"] == [found]
    assert plane.ask("GET", "traces/inv_9/undo").status == 404


def with_undoable(plane: Plane, *actions: str) -> str:
    """A trace that has made these jobs; gives its id."""
    undo = FollowUp(call="drop_job", arguments=(("name", b'"it"'),))
    rules = ToolRules(compensations=(Compensation(pattern="add_*", undo=undo),))
    crm = ToolServer(name="crm", url="https://crm.example/mcp", rules=rules)
    plane.load(replace(plane.acme, tools={"crm": crm}))
    for action in actions:
        asked = intent(plane, action)
        asked.action_kind, asked.resource, asked.permission = "tool.call", "crm__add_job", "write"
        asked.opens = action == actions[0]
        plane.write((asked, b"{}"), (outcome(plane, asked), b'{"content":[]}'))
    return "inv_1"


def noted(plane: Plane) -> list[tuple[str, str]]:
    return [(note.what, note.detail.get("action", "")) for note in plane.notes]


def errands(plane: Plane) -> list[Errand]:
    return [each for _, each in plane.workers.told if isinstance(each, Errand)]


def test_what_a_person_accepts_is_called_in_reverse_order_in_the_name_of_the_agent(
    plane: Plane,
) -> None:
    trace = with_undoable(plane, "act_1", "act_2", "act_3")
    for action in ("act_1", "act_3"):
        plane.workers.outcomes[action] = ErrandOutcome(is_done=True, told="gone")
    path = f"traces/{trace}/undo"
    begun = plane.ask("POST", path, body={"actions": ["act_1", "act_3"]}).json()
    assert [each["action"] for each in begun["steps"]] == ["act_3", "act_1"]
    assert noted(plane) == [("undo.begun", ""), ("undo.done", "act_3"), ("undo.done", "act_1")]
    first, second = errands(plane)
    assert (first.server, first.tool, first.arguments) == ("crm", "drop_job", b'{"name":"it"}')
    assert first.agent == plane.acme.agents["triage"].id
    assert first.run == second.run == begun["run"]
    assert "undoes `crm__add_job` (act_3), as cli:uid=1000 asks" in first.because
    assert first.asker == ""


@pytest.mark.parametrize("is_told", [True, False])
def test_what_is_not_done_ends_it(plane: Plane, *, is_told: bool) -> None:
    trace = with_undoable(plane, "act_1", "act_2")
    if is_told:
        plane.workers.outcomes["act_2"] = ErrandOutcome(is_done=False, told="a person said no")
    assert plane.ask("POST", f"traces/{trace}/undo", body={}).status == 200
    assert noted(plane) == [("undo.begun", ""), ("undo.stopped", "act_2")]
    told = plane.notes[-1].detail["told"]
    assert told == ("a person said no" if is_told else "the worker has gone")


def test_whoever_asks_for_it_is_named_so_that_he_does_not_approve_it(plane: Plane) -> None:
    trace = with_undoable(plane, "act_1")
    key = plane.key(Role.BUILDER)
    assert plane.ask("POST", f"traces/{trace}/undo", body={}, key=key).status == 200
    [errand] = errands(plane)
    assert errand.asker in {user.id for user in plane.acme.users.values()}


def test_only_what_can_be_undone_is_taken_and_only_from_builders(plane: Plane) -> None:
    trace = with_undoable(plane, "act_1")
    path = f"traces/{trace}/undo"
    assert plane.ask("POST", path, body={"actions": ["act_9"]}).code == "undo_impossible"
    viewer = plane.key(Role.VIEWER)
    assert plane.ask("POST", path, body={}, key=viewer).status == 403
    plane.is_recording = False
    assert plane.ask("POST", path, body={}).status == 503
    assert errands(plane) == []
