from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import Plane, organisation, usd

from ringfence.domain.agent import TierRule
from ringfence.domain.budget import Per
from ringfence.domain.caller import CallerTier

DAY_US = 86_400_000_000


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    rule = TierRule(budgets=(usd(3, Per.DAY),))
    triage = replace(organisation().agents["triage"], tiers={CallerTier.SUBAGENT: rule})
    made = Plane(tmp_path / "data", organisation(agents={"triage": triage}))
    yield made
    made.close()


def order(**changes: object) -> dict[str, object]:
    return {
        "scope": "agent",
        "name": "triage",
        "per": "day",
        "usd": "1.5",
        "reason": "x",
        **changes,
    }


def limit(plane: Plane) -> str:
    """What the agent's own budget allows now."""
    items = plane.ask("GET", "budgets").json()["items"]
    return next(str(each["limit_nano"]) for each in items if each["holder_name"] == "triage")


def test_a_grant_raises_the_limit_of_this_window_alone(plane: Plane) -> None:
    granted = plane.ask("POST", "budgets/grants", body=order()).json()
    assert granted["amount_nano"] == "1500000000"
    assert granted["window_start_us"] == str(plane.clock.now_us() // DAY_US * DAY_US)
    assert plane.workers.told == [("grant", plane.state.grants.list(plane.acme.id)[0])]
    assert limit(plane) == "6500000000"
    (listed,) = plane.ask("GET", "budgets/grants").json()["items"]
    assert listed == granted
    plane.clock.advance(DAY_US)
    assert limit(plane) == "5000000000"


def test_a_grant_is_recorded_before_it_is_given(plane: Plane) -> None:
    plane.is_recording = False
    assert plane.ask("POST", "budgets/grants", body=order()).status == 503
    assert plane.state.grants.list(plane.acme.id) == ()
    plane.is_recording = True
    plane.ask("POST", "budgets/grants", body=order(usd=0.1, reason="quarter end"))
    (note,) = plane.notes
    assert note.what == "budget.granted"
    assert note.detail["amount_nano"] == "100000000"
    assert note.detail["reason"] == "quarter end"


def test_the_organisation_needs_no_name(plane: Plane) -> None:
    body = order(scope="organisation", name="", per="month", usd=50)
    answer = plane.ask("POST", "budgets/grants", body=body)
    assert answer.json()["holder"] == plane.acme.id


def test_the_budget_of_a_callers_tier_can_be_granted(plane: Plane) -> None:
    given = plane.ask("POST", "budgets/grants", body=order(name="triage.subagent"))
    assert given.status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"usd": 0},
        {"usd": -1},
        {"usd": "NaN"},
        {"usd": "1e300"},
        {"usd": True},
        {"reason": ""},
        {"per": "fortnight"},
        {"scope": "planet"},
    ],
)
def test_an_impossible_grant_is_refused(plane: Plane, changes: dict[str, object]) -> None:
    answer = plane.ask("POST", "budgets/grants", body=order(**changes))
    assert (answer.status, answer.code) == (400, "body_invalid")
    assert plane.notes == []


@pytest.mark.parametrize("changes", [{"name": "nobody"}, {"per": "hour"}, {"scope": "team"}])
def test_a_grant_needs_a_budget_that_exists(plane: Plane, changes: dict[str, object]) -> None:
    answer = plane.ask("POST", "budgets/grants", body=order(**changes))
    assert (answer.status, answer.code) == (404, "budget_unknown")
