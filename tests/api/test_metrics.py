from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import Plane, organisation

from ringfence.api import metrics
from ringfence.api.application import create_app
from ringfence.decisions.period import Line
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Window
from ringfence.domain.money import Money
from ringfence.telemetry.metric import CallCount, CallKey, Measured, RefusalKey


def test_an_organisation_sees_its_own_figures_and_the_planes(plane: Plane) -> None:
    own = CallKey(plane.acme.id, "triage", "small", "ok")
    plane.workers.measured = Measured(
        calls=[(own, CallCount(calls=3))],
        refusals=[(RefusalKey(plane.acme.id, "triage", "out_of_scope"), 2)],
        totals={"ledger_events": 7},
    )
    answer = plane.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    calls = 'ringfence_model_calls_total{agent="triage",model="small",status="ok"} 3.0'
    assert calls in text
    assert 'ringfence_refusals_total{agent="triage",code="out_of_scope"} 2.0' in text
    assert "ringfence_ledger_events_total 7.0" in text
    assert "ringfence_workers 1.0" in text
    assert "ringfence_ready 1.0" in text


def test_nothing_of_another_organisation_is_shown(tmp_path: Path) -> None:
    acme, other = organisation("acme"), organisation("other")
    plane = Plane(tmp_path, acme, other)
    theirs = plane.configuration.organisations["other"].id
    plane.workers.measured = Measured(
        calls=[(CallKey(theirs, "spy", "hidden", "ok"), CallCount(calls=3))],
        refusals=[(RefusalKey(theirs, "spy", "out_of_scope"), 2)],
    )
    text = plane.ask("GET", "/metrics?organisation=acme").body.decode()
    assert "spy" not in text
    assert "hidden" not in text
    assert "spy" in plane.ask("GET", "/metrics?organisation=other").body.decode()


def test_a_stopped_plane_has_no_budgets_to_show(plane: Plane) -> None:
    plane.app = create_app(replace(plane.context, is_serving=False))
    text = plane.ask("GET", "/metrics").body.decode()
    assert "ringfence_budget_limit_usd{" not in text


def test_figures_of_budgets_are_bounded_and_say_how_many_are_left_out(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "SERIES_MOST", 3)
    for number in range(10):
        key = AccountKey(plane.acme.id, BudgetScope.USER, f"user_{number}", Per.TOTAL)
        line = Line(key, Window(0, None), Money(9), Money(2), Money(1), Money(0))
        plane.workers.lines.append(line)
    text = plane.ask("GET", "/metrics").body.decode()
    assert text.count("ringfence_budget_limit_usd{") == 3
    assert 'scope="organisation"' in text
    shown = len(plane.ask("GET", "budgets").json()["items"])
    assert f"ringfence_budgets_not_shown {shown - 3}.0" in text


def test_whoever_asks_soon_again_is_given_the_same_figures(plane: Plane) -> None:
    def spent() -> bool:
        return "ringfence_budget_spent_usd" in plane.ask("GET", "/metrics").body.decode()

    assert spent()
    plane.workers.lines.append(
        Line(
            AccountKey(plane.acme.id, BudgetScope.USER, "user_new", Per.TOTAL),
            Window(0, None),
            Money(9),
            Money(2),
            Money(1),
            Money(0),
        )
    )
    assert "user_new" not in plane.ask("GET", "/metrics").body.decode()
    plane.clock.advance(5_000_000)
    assert 'per="total"' in plane.ask("GET", "/metrics").body.decode()
