"""The words of organisations: who owns agents, and everything one configuration file defines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ringfence.domain.agent import Agent
from ringfence.domain.alert import AlertRules
from ringfence.domain.budget import Budget
from ringfence.domain.model import Model, Provider
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
    """What holds for a user who is not named in the configuration."""

    budgets: tuple[Budget, ...] = ()
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. `name` is an e-mail address or another stable name."""

    name: str
    id: str = ""
    roles: frozenset[Role] = frozenset()
    budgets: tuple[Budget, ...] = ()
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A group of agents with common budgets."""

    name: str
    id: str = ""
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """One tenant: the frozen content of one configuration file.

    `id` and the ids of teams, users and agents are empty until the state store has assigned them.
    """

    name: str
    id: str = ""
    timezone: str = "UTC"
    budgets: tuple[Budget, ...] = ()
    default_user: UserDefaults = field(default_factory=UserDefaults)
    teams: Mapping[str, Team] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    tools: Mapping[str, ToolServer] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    policies: str | None = None
    alerts: AlertRules = field(default_factory=AlertRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All organisations of one installation at one epoch.

    `digest` is `sha256:<hex>` over the canonical content, without any secret's value.
    """

    organisations: Mapping[str, Organisation]
    digest: str
    epoch: int = 0
