"""The words of approvals: a call that is held until a person has said yes or no."""

from dataclasses import dataclass
from enum import StrEnum

from ringfence.domain.action import ActionKind


class ApprovalState(StrEnum):
    """Where a held call stands. Only an approved one can be consumed, and only once."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody answered in time, which denies."""
    WITHDRAWN = "withdrawn"
    """What it rested on is gone: its agent is suspended, its invocation over, its tool changed."""
    CONSUMED = "consumed"
    """Approved and then carried out, or about to be: `action` says as what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What exactly an approval is for; it holds for nothing else.

    `arguments` are the exact bytes to be dispatched, which is also what the approver sees.
    `policies` is `PolicyDecision.content` and `pin` the digest of the tool's pinned definition.
    """

    organisation: str
    chain: tuple[str, ...]
    agent: str
    """The agent's id."""
    user: str
    """The user it acts for; empty if for nobody."""
    invocation: str
    root: str
    action: ActionKind
    resource: str
    arguments: bytes
    policies: str
    pin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person said, when, and from where (`cli`, `api`, `webhook`).

    `user` is `user:<id>`, or `cli:uid=<n>` for the operator of the plane's own machine.
    """

    user: str
    approves: bool
    at_us: int
    comment: str = ""
    surface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A held call. `id` is random and unguessable; `fingerprint` is SHA-256 over the binding.

    `quorum` is how many different people must approve, each with a key of his own where it is more
    than one; one denial denies.
    """

    id: str
    binding: Binding
    fingerprint: str
    agent_name: str
    reasons: tuple[str, ...]
    created_us: int
    expires_us: int
    quorum: int = 1
    escalate_to: str = ""
    """Who is told when nobody has answered by half of the time."""
    escalated_us: int | None = None
    state: ApprovalState = ApprovalState.PENDING
    votes: tuple[Vote, ...] = ()
    action: str = ""
    """The action that consumed it; empty until then."""


class WebhookForm(StrEnum):
    """In which form a webhook is told: every field, or a text that chat services show."""

    PLAIN = "plain"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRules:
    """What the configuration says of held calls.

    `seconds` is how long one is held before it is denied, `quorum` how many different people must
    approve. `webhook` is told of every one; a message is a pointer and never an answer.
    `page` is where people look at one, with `{id}` in place of its id; empty if there is none.
    `credential` and `signing_key` name secrets: a bearer token, and the key of an HMAC over the
    message.
    """

    seconds: int = 3600
    quorum: int = 1
    webhook: str = ""
    form: WebhookForm = WebhookForm.PLAIN
    credential: str | None = None
    signing_key: str | None = None
    page: str = ""
