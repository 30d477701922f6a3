"""Small whole events for tests: every field that matters can be given, the rest is plain."""

from tests.events import heading

from ringfence.domain.event import (
    FORMAT,
    AccountLine,
    Change,
    Decision,
    Intent,
    Observation,
    Outcome,
    Refusal,
    Status,
)
from ringfence.domain.usage import Usage
from ringfence.enforcement.record import Heading

START_US = 1_795_000_000_000_000


def _heading(organisation: str, time_us: int, agent: str = "agt_1") -> Heading:
    return heading(organisation, time_us, agent, name=agent.replace("agt", "name"))


def lines(invocation: str, agent: str) -> list[AccountLine]:
    return [
        AccountLine("invocation", invocation, "invocation", str(START_US), "1000", "900"),
        AccountLine("agent", agent, "day", str(START_US), "100000", "99000"),
    ]


def intent(  # noqa: PLR0913 (a builder: each test names what it is about)
    action: str,
    *,
    organisation: str = "org_a",
    invocation: str = "inv_1",
    root: str = "",
    parent: str | None = None,
    time_us: int = START_US,
    reserved: int = 100,
    agent: str = "agt_1",
    client: str = "",
    body_bytes: int = 0,
    operation: str = "chat",
) -> Intent:
    return Intent(
        **_heading(organisation, time_us, agent),
        action=action,
        action_kind="model.call",
        resource="small",
        operation=operation,
        invocation=invocation,
        root=root or invocation,
        parent=parent,
        depth=1 if parent else 0,
        grouping="header",
        external_id="run-7",
        step=1,
        decision=Decision(verdict="allow"),
        reserved_nano=str(reserved),
        accounts=lines(invocation, agent),
        client=client,
        body_bytes=body_bytes,
    )


def outcome(
    of: Intent, *, cost: int = 30, time_us: int | None = None, usage: Usage | None = None
) -> Outcome:
    return Outcome(
        **_heading(of.organisation, int(of.time_us) + 1 if time_us is None else time_us, of.agent),
        action=of.action,
        invocation=of.invocation,
        root=of.root,
        status=Status.OK,
        usage=usage,
        cost_nano=str(cost),
        reserved_nano=of.reserved_nano,
        accounts=of.accounts,
    )


def observation(  # noqa: PLR0913 (a builder)
    action: str,
    *,
    organisation: str = "org_a",
    invocation: str = "inv_1",
    time_us: int = START_US,
    what: str = "dns.query",
    subject: str = "api.example.com",
    repeats: int = 0,
    first_action: str = "",
) -> Observation:
    return Observation(
        **_heading(organisation, time_us),
        action=action,
        what=what,
        sandbox="sbx_1",
        invocation=invocation,
        root=invocation,
        subject=subject,
        detail={"verdict": "deny"},
        repeats=repeats,
        first_action=first_action,
    )


def refusal(  # noqa: PLR0913 (a builder)
    action: str,
    *,
    organisation: str = "org_a",
    invocation: str = "inv_1",
    time_us: int = START_US,
    code: str = "budget_exhausted",
    repeats: int = 0,
) -> Refusal:
    return Refusal(
        **_heading(organisation, time_us),
        action=action,
        action_kind="model.call",
        resource="small",
        invocation=invocation,
        root=invocation,
        decision=Decision(verdict="deny", code=code, message="No money is left."),
        repeats=repeats,
    )


def change(
    what: str,
    subject: str,
    *,
    organisation: str = "org_a",
    time_us: int = START_US,
    detail: dict[str, str] | None = None,
) -> Change:
    is_invocation = what.startswith("invocation.")
    return Change(
        format=FORMAT,
        organisation=organisation,
        time_us=str(time_us),
        epoch=1,
        configuration="sha256:1",
        actor="plane",
        what=what,
        subject=subject,
        detail=detail or {},
        invocation=subject if is_invocation else "",
        root=subject if is_invocation else "",
    )
