from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import Plane, organisation, usd

from ringfence.api.application import create_app
from ringfence.decisions.limit import UNLIMITED
from ringfence.decisions.period import Line
from ringfence.domain.agent import TierRule
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit, Window
from ringfence.domain.caller import CallerTier
from ringfence.domain.money import Money

DAY_US = 86_400_000_000


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    teams = {"support": replace(organisation().teams["support"], budgets=(usd(20, Per.WEEK),))}
    made = Plane(tmp_path / "data", organisation(teams=teams))
    yield made
    made.close()


def book(plane: Plane, scope: BudgetScope, holder: str, window: Window) -> None:
    key = AccountKey(plane.acme.id, scope, holder, Per.DAY)
    plane.workers.lines.append(Line(key, window, Money(9), Money(2), Money(1), Money(0)))


def today(plane: Plane) -> Window:
    start = plane.clock.now_us() // DAY_US * DAY_US
    return Window(start, start + DAY_US)


def test_every_configured_budget_is_listed_from_the_widest_down(plane: Plane) -> None:
    items = plane.ask("GET", "budgets").json()["items"]
    assert [(each["scope"], each["holder_name"], each["per"]) for each in items] == [
        ("organisation", "", "month"),
        ("team", "support", "week"),
        ("agent", "triage", "day"),
    ]
    assert {each["spent_nano"] for each in items} == {"0"}


def test_what_was_spent_yesterday_is_not_shown_as_todays(plane: Plane) -> None:
    agent = plane.acme.agents["triage"].id
    start = today(plane).start_us
    book(plane, BudgetScope.AGENT, agent, Window(start - DAY_US, start))
    assert plane.ask("GET", "budgets").json()["items"][-1]["spent_nano"] == "0"
    plane.workers.lines.clear()
    book(plane, BudgetScope.AGENT, agent, today(plane))
    assert plane.ask("GET", "budgets").json()["items"][-1]["spent_nano"] == "2"


def test_what_was_loaded_is_shown_where_it_is_configured(plane: Plane) -> None:
    start = today(plane).start_us
    for holder in (plane.acme.agents["triage"].id, "agt_gone"):
        book(plane, BudgetScope.AGENT, holder, Window(start, start))
    items = plane.ask("GET", "budgets").json()["items"]
    assert [each["spent_nano"] for each in items] == ["0", "0", "2"]
    assert items[-1]["window_end_us"] is not None


def test_accounts_of_open_invocations_are_listed_too(plane: Plane) -> None:
    key = AccountKey(plane.acme.id, BudgetScope.INVOCATION, "inv_1", Per.INVOCATION)
    plane.workers.lines = [Line(key, Window(0, None), Money(9), Money(9), Money(1), Money(1))]
    shown = plane.ask("GET", "budgets").json()["items"][-1]
    assert (shown["holder"], shown["left_nano"], shown["is_closed"]) == ("inv_1", "-1", True)
    assert shown["window_end_us"] is None


def test_what_is_counted_is_listed_apart_from_money(plane: Plane) -> None:
    def line(unit: Unit, limit: int, used: int, part: str = "") -> Line:
        key = AccountKey(plane.acme.id, BudgetScope.TREE, "inv_1", Per.TREE, unit, part)
        return Line(key, Window(0, None), Money(limit), Money(used), Money(1), Money(0))

    plane.workers.lines = [
        line(Unit.MODEL_CALLS, 30, 4),
        line(Unit.TOOL_CALLS, UNLIMITED, 2),
        line(Unit.TOOL_CALLS, 20, 2, "crm__get"),
    ]
    items = plane.ask("GET", "budgets/counts").json()["items"]
    assert [(each["unit"], each["tool"], each["limit"], each["left"]) for each in items] == [
        ("model_calls", "", "30", "25"),
        ("tool_calls", "", None, None),
        ("tool_calls", "crm__get", "20", "17"),
    ]
    assert "inv_1" not in plane.ask("GET", "budgets").body.decode()
    first = plane.ask("GET", "budgets/counts?limit=2").json()
    rest = plane.ask("GET", f"budgets/counts?limit=2&after={first['next']}").json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


def test_the_budget_of_a_callers_tier_has_a_name(tmp_path: Path) -> None:
    plain = organisation()
    rule = TierRule(budgets=(usd(3, Per.DAY),))
    triage = replace(plain.agents["triage"], tiers={CallerTier.SUBAGENT: rule})
    plane = Plane(tmp_path / "data", organisation(agents={"triage": triage}))
    items = plane.ask("GET", "budgets").json()["items"]
    [own] = [each for each in items if each["holder_name"] == "triage.subagent"]
    assert own["limit_nano"] == "3000000000"
    plane.close()


def test_budgets_are_listed_by_pages(plane: Plane) -> None:
    first = plane.ask("GET", "budgets?limit=2").json()
    rest = plane.ask("GET", f"budgets?limit=2&after={first['next']}").json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


def test_a_stopped_plane_does_not_guess_what_is_left(plane: Plane) -> None:
    plane.context = replace(plane.context, is_serving=False)
    plane.app = create_app(plane.context)
    assert plane.ask("GET", "budgets").code == "plane_stopped"
    assert plane.ask("GET", "agents/triage").json()["budgets"] is None
