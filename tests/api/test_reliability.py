import pytest
from tests.api.event import intent, outcome
from tests.api.plane import Plane

from ringfence.domain.event import Status


@pytest.fixture
def told(plane: Plane) -> Plane:
    """Two runs of two steps; in the second one fails."""
    for number, status in enumerate([Status.OK, Status.OK, Status.OK, Status.FAILED]):
        asked = intent(plane, f"act_{number}", invocation=f"inv_{number // 2}")
        ended = outcome(plane, asked)
        ended.status = status
        plane.write(asked, ended)
    return plane


def test_an_agent_is_measured_over_its_runs(told: Plane) -> None:
    measured = told.ask("GET", "agents/triage/reliability").json()["measured"]
    assert (measured["runs"], measured["steps_per_run"]) == (2, 2.0)
    assert measured["per_step"]["value"] == 0.75
    assert measured["per_run"]["value"] == 0.75**2
    assert measured["observed"]["value"] == 0.5


def test_only_the_latest_runs_are_looked_at(told: Plane) -> None:
    measured = told.ask("GET", "agents/triage/reliability?runs=1").json()["measured"]
    assert (measured["runs"], measured["per_step"]["value"]) == (1, 0.5)
    assert told.ask("GET", "agents/triage/reliability?runs=0").status == 400


def test_nothing_is_said_of_an_agent_that_has_done_nothing(plane: Plane) -> None:
    assert plane.ask("GET", "agents/triage/reliability").json() == {"measured": None}
    assert plane.ask("GET", "agents/nobody/reliability").status == 404


def test_a_trace_has_an_outlook_from_the_runs_of_its_agent(told: Plane) -> None:
    seen = told.ask("GET", "traces/inv_0/reliability").json()["outlook"]
    assert (seen["runs"], seen["success"]) == (2, 0.75**2)
    assert told.ask("GET", "traces/inv_9/reliability").status == 404
