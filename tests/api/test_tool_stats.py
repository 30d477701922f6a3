from tests.api.event import intent, outcome
from tests.api.plane import Plane


def test_the_record_tells_how_tools_fare(plane: Plane) -> None:
    for number, error in enumerate(["", "429", "", ""]):
        asked = intent(plane, f"act_{number}")
        asked.action_kind, asked.resource = "tool.call", "crm__get_job"
        ended = outcome(plane, asked)
        ended.error = error
        plane.write(asked, ended)
    [found] = plane.ask("GET", "tools/stats").json()
    assert (found["tool"], found["calls"], found["success_ratio"]) == ("crm__get_job", 4, 0.75)
    assert found["errors"] == {"429": 1}
    assert plane.ask("GET", "tools/stats?agent=nobody").json() == []
    assert plane.ask("GET", "tools/stats?days=0").status == 400
