"""Events: the facts of the ledger, in format version 1.

An event is written once and never rewritten. Every integer that may exceed 2⁵³−1 (times, money) is
a decimal string. `log`, `sequence` and the commitments are filled in by the ledger as it writes.
"""

from enum import StrEnum

import msgspec

from ringfence.domain.usage import Usage

FORMAT = 1

PLANE = "plane"
"""The actor of a change that nobody asked for."""
BY_CALLER = "by_caller"
"""How an intent is marked whose verdict the agent itself has to obey."""
AGENT = "agent"
"""How an outcome is marked that is the agent's word."""
FINDING = "finding."
"""How the `what` of a change begins that is something noticed, and no change of anything."""


class Status(StrEnum):
    """How an action ended."""

    OK = "ok"
    UPSTREAM_ERROR = "upstream_error"
    CLIENT_GONE = "client_gone"
    CUT = "cut"
    """A stream that passed its reservation, or whose invocation was stopped."""
    FAILED = "failed"
    """The provider could not be reached, or its answer could not be read."""
    UNKNOWN = "unknown"
    """The process ended before the outcome was known; charged at the reservation."""


class AccountLine(msgspec.Struct, frozen=True, array_like=True):
    """One account that an action draws on, and what is left in it after this event."""

    scope: str
    holder: str
    per: str
    window_us: str
    """Start of the window, UTC microseconds."""
    limit_nano: str
    left_nano: str


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settled facts of a verdict."""

    verdict: str
    code: str = ""
    message: str = ""
    facts: dict[str, str] = {}
    obligations: list[str] = []


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every event carries.

    Defaults are left out of the written form; `format` has none, so that it is always written.
    """

    format: int
    organisation: str
    time_us: str
    epoch: int
    configuration: str
    """`sha256:…` of the configuration in force."""
    policy: str = ""
    """`sha256:…` of the policies in force; empty while no policy file is configured."""
    log: str = ""
    sequence: int = 0


class AgentEvent(Event, kw_only=True, omit_defaults=True):
    """What every event of an agent's own doing carries."""

    agent: str
    """The agent's id."""
    agent_name: str
    agent_version: str
    credential: str
    chain: list[str]
    """The delegation chain, from the first principal to this agent."""
    tier: str
    """The caller tier."""


class Intent(AgentEvent, kw_only=True, omit_defaults=True, tag="intent"):
    """Before an action: it was allowed and is about to be dispatched."""

    action: str
    action_kind: str
    resource: str
    """The model alias, tool, host or command asked for."""
    operation: str
    """The dialect's endpoint, for example `chat` or `messages`."""
    invocation: str
    root: str
    parent: str | None = None
    depth: int = 0
    grouping: str
    opens: bool = False
    """Whether this action opened its invocation."""
    external_id: str | None = None
    step: int
    """1 for the first action of the invocation."""
    decision: Decision
    provider: str = ""
    upstream: str = ""
    """The model name sent to the provider."""
    stream: bool = False
    output_limit: int | None = None
    input_bound: int = 0
    """Input tokens that the reservation allows for."""
    beyond_text: bool = False
    """Whether input came beside the body's text: images, media, hosted tools, stored objects."""
    reserved_nano: str
    accounts: list[AccountLine] = []
    tools: list[str] = []
    """Names of the tools that the request declares."""
    body: str = ""
    """Commitment to the request body as the agent sent it, or as it was masked."""
    body_bytes: int = 0
    masked: dict[str, int] = {}
    """What was masked in the body before it was stored: how many of each name."""
    client: str = ""
    """The client's user agent, cut to 120 characters."""
    enforced: str = ""
    """Empty where Ringfence itself dispatches; `by_caller` where the agent must obey by itself."""
    approval: str = ""
    """The approval that this action has used up; empty if it needed none."""
    call_id: str = ""
    """The model's own id of the tool call, where the client tells it."""
    permission: str = ""
    """The permission tier of a tool; empty for other actions."""
    pin: str = ""
    """`sha256:…` of the tool's definition in force."""
    about: str = ""
    """The action that this one stands in for, checks or undoes, if the plane itself makes it."""
    sandbox: str = ""
    """The sandbox that it comes from, by way of one of its own doors."""
    process: int = 0
    """Of a command: its process, as the sandbox's own monitor numbers it."""
    within: str = ""
    """Of a command: the one whose process began it; empty for the first, or if not known."""
    target: str = ""
    """Of a request through egress: `scheme://host/path?query` as it was decided, cut."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dispatch of an action to one provider."""

    provider: str
    upstream: str
    status: int = 0
    error: str = ""
    duration_us: int = 0


class Outcome(AgentEvent, kw_only=True, omit_defaults=True, tag="outcome"):
    """After an action: what came of it and what it cost. Exactly one for each intent."""

    action: str
    invocation: str
    root: str
    status: Status
    http_status: int = 0
    error: str = ""
    """Error class or refusal code, when the status is not `ok`."""
    finish: str = ""
    """The provider's own word for why the answer ended."""
    usage: Usage | None = None
    cost_nano: str
    """What was charged."""
    reserved_nano: str
    overrun_nano: str = "0"
    price_source: str = ""
    accounts: list[AccountLine] = []
    attempts: list[Attempt] = []
    duration_us: int = 0
    first_byte_us: int = 0
    tool_calls: list[str] = []
    """Names of the tools that the model asked for."""
    labels: list[str] = []
    """What is said of the tool's result, for example `untrusted`."""
    reported_by: str = ""
    """Empty for what Ringfence saw; `agent` for what the agent says of itself."""
    provider_object: str = ""
    """Id under which the provider keeps this answer, if it does."""
    response_model: str = ""
    body: str = ""
    """Commitment to the answer as the agent received it, or as it was masked."""
    body_bytes: int = 0
    masked: dict[str, int] = {}
    exit_code: int | None = None
    """Of a command that ended by itself; None if it did not, or if nobody could tell."""
    signal: str = ""
    """The signal that ended a command, for example `SIGKILL`."""
    address: str = ""
    """The address that a request was sent to, after every check of it."""
    sent_bytes: int = 0
    """Of a request's body, or of what went up a tunnel; `received_bytes` came back."""
    received_bytes: int = 0
    secrets: list[str] = []
    """Names of the secrets that were put into a request."""
    redactions: int = 0
    """How often a secret was taken out of the answer."""
    uninspected: bool = False
    """Whether nobody looked into what passed: the host is one of those that pass through."""


class Refusal(AgentEvent, kw_only=True, omit_defaults=True, tag="refusal"):
    """An action that did not happen. Repeats are counted in one further event."""

    action: str
    action_kind: str
    resource: str
    operation: str = ""
    invocation: str = ""
    root: str = ""
    decision: Decision
    repeats: int = 0
    """0 for the first; else how many more of the same came since."""
    first_action: str = ""
    """For repeats: the action of the first refusal."""
    body: str = ""
    masked: dict[str, int] = {}
    client: str = ""
    sandbox: str = ""
    target: str = ""
    """As in `Intent`, as far as it was understood."""


class Hold(AgentEvent, kw_only=True, omit_defaults=True, tag="hold"):
    """An action that waits for a person. What becomes of it, a `Change` of the approval says.

    If it is carried out, that is an intent of its own, which names the approval.
    """

    action: str
    action_kind: str
    resource: str
    operation: str = ""
    invocation: str
    root: str
    decision: Decision
    approval: str
    fingerprint: str
    """`sha256:…` over everything that the approval is bound to."""
    expires_us: str
    body: str = ""
    """Commitment to the arguments that the person sees."""
    masked: dict[str, int] = {}
    client: str = ""
    sandbox: str = ""
    target: str = ""
    """As in `Intent`."""


class Observation(AgentEvent, kw_only=True, omit_defaults=True, tag="observation"):
    """Something seen of an agent's sandbox that is no action.

    Its start and end, a name that was looked up, a connection, evidence (`domain.observation`).
    What was seen again and again is counted in further events: `repeats` is 0 for the first, else
    how many more of the same came since, and `first_action` names the first.
    """

    action: str
    """Its own id, under which its body is kept."""
    what: str
    """Dotted name, for example `sandbox.started`, `dns.query`, `evidence.transcript`."""
    sandbox: str
    invocation: str
    root: str
    subject: str = ""
    """What it is about: a host name, an address, a kind of evidence."""
    detail: dict[str, str] = {}
    reported_by: str = ""
    """Empty for what Ringfence saw; `agent` for what the agent's own processes say."""
    repeats: int = 0
    first_action: str = ""
    body: str = ""
    """Commitment to what was kept of it, or to that as it was masked."""
    body_bytes: int = 0
    masked: dict[str, int] = {}


class Change(Event, kw_only=True, omit_defaults=True, tag="change"):
    """Something a person or the plane itself changed: a token, a state, an invocation, an epoch.

    Also a finding: something the plane noticed (`what` is then `finding.…`, for example
    `finding.loop`).
    """

    actor: str
    """`user:<id>`, `cli:uid=<n>`, `agent:<id>` or `plane`."""
    what: str
    """Dotted name, for example `agent.suspended`, `invocation.opened`, `configuration.loaded`."""
    subject: str
    """The id of what was changed."""
    detail: dict[str, str] = {}
    invocation: str = ""
    root: str = ""
    body: str = ""
    """Commitment to what an agent said with it, stored under `subject`: the task of an invocation.

    Earlier releases wrote the task into `detail`.
    """
    masked: dict[str, int] = {}


AnyEvent = Intent | Outcome | Refusal | Hold | Observation | Change


def spoken_in(event: AnyEvent) -> str:
    """Under which id what was said with an event is stored: its action, or what it changed."""
    return event.subject if isinstance(event, Change) else event.action
