from tests.api.event import intent, outcome
from tests.api.plane import Plane


def test_a_trace_says_what_undoes_it_and_what_cannot_be_undone(plane: Plane) -> None:
    asked = intent(plane, "act_1")
    asked.action_kind, asked.resource, asked.permission = "tool.call", "crm__send", "write"
    plane.write((asked, b"{}"), outcome(plane, asked))
    [found] = plane.ask("GET", f"traces/{asked.invocation}/undo").json()["steps"]
    assert (found["action"], found["tool"]) == ("act_1", "")
    assert "compensation" in found["why"]
    assert plane.ask("GET", "traces/act_1/undo").json()["steps"] == [found]
    assert plane.ask("GET", "traces/inv_9/undo").status == 404
