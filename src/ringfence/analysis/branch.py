"""The words of a trace: an invocation as a branch, with its steps, what was seen, and its sums."""

from collections.abc import Iterable

import msgspec

from ringfence.domain.event import AccountLine, Attempt, Decision
from ringfence.domain.exchange import Reading
from ringfence.domain.invocation import InvocationState
from ringfence.domain.usage import Usage


class Step(msgspec.Struct, kw_only=True):
    """One action that was asked for: allowed, with what came of it, or refused.

    Times are UTC microseconds, money is nano-dollars, both as decimal strings. `status` is empty
    for a refusal and for an action that has not ended yet. `accounts` are as they stood after the
    last event of the action. `earlier_messages` counts messages at the start of the context that
    are left out of `reading` because the step before has them.
    """

    action: str
    time_us: str
    kind: str
    resource: str
    operation: str
    decision: Decision
    number: int = 0
    is_held: bool = False
    """It was made to wait for a person; if it was carried out, that is a step of its own."""
    is_refused: bool = False
    repeats: int = 0
    provider: str = ""
    upstream: str = ""
    grouping: str = ""
    client: str = ""
    is_stream: bool = False
    output_limit: int | None = None
    reserved_nano: str = "0"
    status: str = ""
    http_status: int = 0
    error: str = ""
    finish: str = ""
    response_model: str = ""
    usage: Usage | None = None
    cost_nano: str = "0"
    overrun_nano: str = "0"
    price_source: str = ""
    duration_us: int = 0
    first_byte_us: int = 0
    attempts: list[Attempt] = []
    accounts: list[AccountLine] = []
    tools: list[str] = []
    tool_calls: list[str] = []
    approval: str = ""
    """The approval that it waits for (verdict `ask`), or that it has used up."""
    permission: str = ""
    """The permission tier of a tool."""
    call_id: str = ""
    """The model's own id of a tool call."""
    asked_by: str = ""
    """The model call that asked for this tool call, where that can be told."""
    about: str = ""
    """The action that this one stands in for, checks or undoes, if the plane itself made it."""
    sandbox: str = ""
    within: str = ""
    """The command whose process began this one."""
    exit_code: int | None = None
    signal: str = ""
    enforced: str = ""
    """`by_caller` where the agent had to obey by itself."""
    reported_by: str = ""
    """`agent` where the end is the agent's word."""
    target: str = ""
    """The URL of a request through egress."""
    address: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    secrets: list[str] = []
    """Names of the secrets that were put into it."""
    redactions: int = 0
    uninspected: bool = False
    reading: Reading | None = None
    earlier_messages: int = 0


class Sight(msgspec.Struct, kw_only=True):
    """Something seen of a sandbox of the invocation, in its place between the steps.

    `after` is the number of the last step before it; 0 for what came before all.
    """

    action: str
    time_us: str
    what: str
    sandbox: str
    after: int
    subject: str = ""
    detail: dict[str, str] = {}
    reported_by: str = ""
    repeats: int = 0
    body_bytes: int = 0
    reading: Reading | None = None


class Note(msgspec.Struct, kw_only=True, frozen=True):
    """Something that a person or the plane did to the invocation."""

    time_us: str
    actor: str
    what: str
    subject: str
    detail: dict[str, str]


class Totals(msgspec.Struct, kw_only=True):
    """Sums over an invocation and everything below it."""

    invocations: int = 0
    steps: int = 0
    refusals: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano: str = "0"
    is_estimated: bool = False
    """Whether a provider left out a usage that is part of these sums."""


class Branch(msgspec.Struct, kw_only=True):
    """One invocation within a trace, with its steps in order and what it started."""

    invocation: str
    parent: str | None = None
    depth: int = 0
    agent: str = ""
    agent_name: str = ""
    agent_version: str = ""
    chain: list[str] = []
    tier: str = ""
    state: InvocationState = InvocationState.OPEN
    task: str = ""
    grouping: str = ""
    external_id: str | None = None
    opened_us: str = ""
    last_us: str = ""
    steps: list[Step] = []
    sights: list[Sight] = []
    notes: list[Note] = []
    children: list["Branch"] = []
    totals: Totals = msgspec.field(default_factory=Totals)


def walk(branch: Branch) -> Iterable[Branch]:
    """A branch and everything below it, parents first."""
    yield branch
    for child in branch.children:
        yield from walk(child)
