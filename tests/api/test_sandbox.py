from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.api.plane import Plane

from ringfence.domain.agent import AgentState, SandboxTier, Scope
from ringfence.domain.organisation import Role
from ringfence.domain.sandbox import Sandbox, SandboxOrder


def order(**more: object) -> dict[str, Any]:
    plain = {
        "agent": "triage",
        "command": ["bash", "-c", "true"],
        "workspace": "/project",
        "directory": "/project/src",
    }
    return plain | more


def running(plane: Plane, name: str = "sbx_1", organisation: str = "") -> Sandbox:
    return Sandbox(
        id=name,
        organisation=organisation or plane.acme.id,
        agent=plane.acme.agents["triage"].id,
        invocation="inv_1",
        tier=SandboxTier.STRICT,
        started_us=5,
        monitor_pid=7,
        workspace="/project",
        ca_fingerprint="ab",
        policy="sha256:1",
    )


def test_a_worker_is_ordered_what_was_asked_for_in_the_agents_own_tier(plane: Plane) -> None:
    answer = plane.ask("POST", "sandboxes", body=order(seconds=60, is_interactive=True))
    assert answer.status == 200
    assert answer.json()["tier"] == "strict"
    assert answer.headers["cache-control"] == "no-store"
    told = plane.workers.told[-1][1]
    assert told == SandboxOrder(
        organisation=plane.acme.id,
        agent=plane.acme.agents["triage"].id,
        tier=SandboxTier.STRICT,
        command=("bash", "-c", "true"),
        workspace="/project",
        directory="/project/src",
        actor="cli:uid=1000",
        is_interactive=True,
        seconds=60,
    )


def test_who_is_at_work_in_the_same_folders_is_told_with_the_grant(plane: Plane) -> None:
    inner, elsewhere = running(plane, "sbx_2"), running(plane, "sbx_3")
    inner = msgspec.structs.replace(inner, workspace="/project/inner")
    elsewhere = msgspec.structs.replace(elsewhere, workspace="/srv/other")
    plane.workers.running = [inner, elsewhere, running(plane, "sbx_4", "org_b")]
    answer = plane.ask("POST", "sandboxes", body=order())
    assert answer.json()["neighbours"] == [
        {"sandbox": "sbx_2", "agent": "triage", "folder": "/project/inner", "started_us": 5}
    ]


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"agent": "nobody"}, 404, "agent_unknown"),
        ({"tier": "none"}, 409, "sandbox_tier"),
        ({"tier": "loose"}, 400, "body_invalid"),
        ({"workspace": "work"}, 400, "body_invalid"),
        ({"directory": "../etc"}, 400, "body_invalid"),
        ({"command": []}, 400, "body_invalid"),
        ({"seconds": 0}, 400, "body_invalid"),
        ({"token": "mine"}, 400, "body_invalid"),
    ],
)
def test_a_wrong_order_says_what_is_wrong_and_reaches_no_worker(
    plane: Plane, more: dict[str, object], status: int, code: str
) -> None:
    answer = plane.ask("POST", "sandboxes", body=order(**more))
    assert (answer.status, answer.code) == (status, code)
    assert plane.workers.told == []


def test_a_misspelt_agent_is_told_with_the_one_that_is_near(plane: Plane) -> None:
    told = plane.ask("POST", "sandboxes", body=order(agent="triag")).json()["error"]
    assert told["message"] == "no agent named `triag`"
    assert told["help"].startswith("did you mean `triage`?")


def test_a_suspended_agent_is_not_run(plane: Plane) -> None:
    plane.ask("POST", "agents/triage/suspend")
    plane.workers.told.clear()
    answer = plane.ask("POST", "sandboxes", body=order())
    assert (answer.status, answer.code) == (409, "agent_state")
    assert AgentState.SUSPENDED.value in answer.json()["error"]["message"]
    assert "ringfence agent resume triage" in answer.json()["error"]["help"]
    assert plane.workers.told == []


def test_an_agent_that_may_reach_nothing_is_not_run(plane: Plane) -> None:
    triage = replace(plane.acme.agents["triage"], scope=Scope())
    plane.load(replace(plane.acme, agents={"triage": triage}))
    answer = plane.ask("POST", "sandboxes", body=order())
    assert (answer.status, answer.code) == (400, "allow_list_empty")


def test_nobody_is_run_under_policies_that_do_not_fit(plane: Plane) -> None:
    object.__setattr__(plane.context, "policy_trouble", lambda _: "policies/a.cedar:3: wrong")
    answer = plane.ask("POST", "sandboxes", body=order())
    assert (answer.status, answer.code) == (400, "policy_invalid")
    assert "policies/a.cedar:3" in answer.json()["error"]["message"]
    assert plane.workers.told == []


def test_sandboxes_are_listed_with_the_names_of_their_agents(plane: Plane) -> None:
    plane.workers.running = [running(plane, "sbx_2"), running(plane), running(plane, "x", "org_b")]
    items = plane.ask("GET", "sandboxes", key=plane.key(Role.VIEWER)).json()["items"]
    assert [each["id"] for each in items] == ["sbx_1", "sbx_2"]
    first = plane.ask("GET", "sandboxes?limit=1").json()
    assert first["next"] == "sbx_1"
    rest = plane.ask("GET", "sandboxes?after=sbx_1").json()
    assert ([each["id"] for each in rest["items"]], rest["next"]) == (["sbx_2"], None)
    assert items[0]["agent"] == "triage"
    assert items[0]["started_us"] == "5"


def test_a_sandbox_is_ended_by_a_person_whose_name_is_told(plane: Plane) -> None:
    plane.workers.running = [running(plane)]
    answer = plane.ask("POST", "sandboxes/sbx_1/stop", key=plane.key(Role.BUILDER))
    assert answer.status == 204
    what, told = plane.workers.told[-1]
    assert what == "end"
    assert isinstance(told, tuple)
    assert told[:2] == (plane.acme.id, "sbx_1")
    assert str(told[2]).startswith("it was ended by user:")


def test_ending_what_is_not_there_says_so(plane: Plane) -> None:
    answer = plane.ask("POST", "sandboxes/sbx_9/stop")
    assert (answer.status, answer.code) == (404, "sandbox_unknown")
