"""Events as the data plane would write them for the agent `triage`."""

from tests import events
from tests.api.plane import Plane

from ringfence.domain.event import (
    FORMAT,
    Change,
    Decision,
    Intent,
    Observation,
    Outcome,
    Refusal,
    Status,
)
from ringfence.enforcement.record import Heading


def heading(plane: Plane) -> Heading:
    """One microsecond after the event before."""
    plane.clock.advance(1)
    return events.heading(plane.acme.id, plane.clock.now_us(), plane.acme.agents["triage"].id)


def intent(
    plane: Plane, action: str, *, invocation: str = "inv_1", parent: str = "", root: str = ""
) -> Intent:
    return Intent(
        **heading(plane),
        action=action,
        action_kind="model.call",
        resource="small",
        operation="chat",
        invocation=invocation,
        root=root or parent or invocation,
        parent=parent or None,
        depth=1 if parent else 0,
        grouping="time",
        opens=True,
        step=1,
        stream=True,
        decision=Decision(verdict="allow"),
        reserved_nano="50",
    )


def command(plane: Plane, action: str, *, within: str = "") -> Intent:
    made = intent(plane, action)
    made.action_kind, made.resource, made.operation = "shell.exec", "git", "exec"
    made.sandbox, made.process, made.within = "sbx_1", 41, within
    made.stream = False
    return made


def observation(plane: Plane, action: str, what: str, subject: str = "") -> Observation:
    return Observation(
        **heading(plane),
        action=action,
        what=what,
        sandbox="sbx_1",
        invocation="inv_1",
        root="inv_1",
        subject=subject,
    )


def outcome(plane: Plane, before: Intent, *, cost: int = 30) -> Outcome:
    return Outcome(
        **heading(plane),
        action=before.action,
        invocation=before.invocation,
        root=before.root,
        status=Status.OK,
        cost_nano=str(cost),
        reserved_nano="50",
    )


def refusal(plane: Plane, action: str, code: str = "out_of_scope") -> Refusal:
    return Refusal(
        **heading(plane),
        action=action,
        action_kind="model.call",
        resource="large",
        operation="chat",
        invocation="inv_1",
        root="inv_1",
        decision=Decision(verdict="deny", code=code),
    )


def change(plane: Plane, invocation: str) -> Change:
    """That an agent opened a run because it asked for it."""
    return Change(
        format=FORMAT,
        organisation=plane.acme.id,
        time_us=str(plane.clock.now_us()),
        epoch=1,
        configuration="sha256:c",
        actor="agent:x",
        what="invocation.opened",
        subject=invocation,
        invocation=invocation,
        root=invocation,
        detail={"agent": plane.acme.agents["triage"].id, "grouping": "token"},
    )
