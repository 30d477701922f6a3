"""The words of policies: a question about one action, and what the policies in force say to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Category
from ringfence.domain.caller import CallerTier
from ringfence.domain.tool import PermissionTier


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One action, with every fact that a policy may read.

    `resource` is a tool as `server__tool`, a model alias, a host or a command. `arguments` are the
    exact bytes that would be dispatched: a JSON object, or empty where the action has none. `seen`
    are the labels of what the invocation has read so far, for example `untrusted`.
    """

    organisation: str
    agent: str
    """The agent's name."""
    team: str | None
    category: Category
    caller_tier: CallerTier
    chain: tuple[str, ...]
    user: str | None
    """For whom the agent acts; None if for nobody."""
    action: ActionKind
    resource: str
    tier: PermissionTier
    arguments: bytes
    seen: frozenset[str]
    now_us: int


class PolicyVerdict(StrEnum):
    """What the policies say; anything they cannot say for sure is a `DENY`."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDecision:
    """What the policies in force say to a question, and which of them decided.

    `policies` are ids as `policy explain` shows them. `reasons` are the texts of `@ask` and
    `@reason` annotations. `problem` is set where a policy could not be evaluated: then it denies.
    `content` is `sha256:…` over the text of the deciding policies, by which an approval is bound.
    """

    verdict: PolicyVerdict
    policies: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    problem: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySource:
    """The policy files of one organisation as they were read: name and text, by name.

    `digest` is `sha256:…` over all of them, and stands in every event.
    """

    files: Mapping[str, str]
    digest: str
    folder: str = ""
    """Where they stand, relative to the file that names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFacts:
    """What policies may know of a tool: the JSON Schema of its arguments, and its labels."""

    input_schema: bytes = b""
    labels: frozenset[str] = frozenset()
