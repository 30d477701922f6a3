from dataclasses import replace
from pathlib import Path

from tests.api.plane import Plane, organisation

from ringfence.api.application import create_app
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
