"""The words of organisations: who owns agents, and everything one configuration file defines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ringfence.domain.agent import Agent
from ringfence.domain.alert import AlertRules
from ringfence.domain.approval import ApprovalRules
from ringfence.domain.budget import Budget
from ringfence.domain.egress import EgressRules
from ringfence.domain.issuer import Issuer
from ringfence.domain.masking import MaskingRules
from ringfence.domain.model import Model, Provider
from ringfence.domain.policy import PolicySource
from ringfence.domain.secret import SecretDefinition
from ringfence.domain.tool import ToolServer


class Role(StrEnum):
    """What a person may do. Each role includes what `viewer` may."""

    VIEWER = "viewer"
    APPROVER = "approver"
    BUILDER = "builder"
    AUDITOR = "auditor"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDefaults:
    """What holds for a user who is not named in the configuration; as in `User`."""

    models: frozenset[str] | None = None
    tools: tuple[str, ...] | None = None
    budgets: tuple[Budget, ...] = ()
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. `name` is an e-mail address or another stable name.

    `roles` are for the control plane. The rest is what agents may do on the person's behalf:
    `models` and `tools` (patterns) take away from what the agent may use; None takes nothing away.
    """

    name: str
    id: str = ""
    roles: frozenset[Role] = frozenset()
    models: frozenset[str] | None = None
    tools: tuple[str, ...] | None = None
    budgets: tuple[Budget, ...] = ()
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A group of agents with common budgets."""

    name: str
    id: str = ""
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """How many days bodies and events are kept; None for ever. Events take their bodies along."""

    body_days: int | None = None
    event_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """One tenant: the frozen content of one configuration file.

    `default_user` is None where no agent may act for a user who is not named. `digest` is
    `sha256:<hex>` over the content of this file alone: its events show no change of another's.
    `id` and the ids of teams, users and agents are empty until the state store has assigned them.
    """

    name: str
    id: str = ""
    timezone: str = "UTC"
    environment: str = ""
    """What policies may ask: `production`, `staging` or whatever it is called here."""
    budgets: tuple[Budget, ...] = ()
    default_user: UserDefaults | None = None
    teams: Mapping[str, Team] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    secrets: Mapping[str, SecretDefinition] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    tools: Mapping[str, ToolServer] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    tool_lock: Mapping[str, tuple[bytes, ...]] | None = None
    """Accepted definitions of tools, by server, from the lock file; None where there is none."""
    policies: PolicySource | None = None
    alerts: AlertRules = field(default_factory=AlertRules)
    approvals: ApprovalRules = field(default_factory=ApprovalRules)
    retention: RetentionRules = field(default_factory=RetentionRules)
    masking: MaskingRules = field(default_factory=MaskingRules)
    egress: EgressRules = field(default_factory=EgressRules)
    digest: str = ""

    @property
    def policy_digest(self) -> str:
        """What events say of the policies in force; empty without policy files."""
        return "" if self.policies is None else self.policies.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All organisations of one installation at one epoch.

    `digest` is `sha256:<hex>` over the canonical content, without any secret's value.
    """

    organisations: Mapping[str, Organisation]
    digest: str
    epoch: int = 0
