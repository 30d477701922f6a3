"""The words of budgets and counted limits: what is limited, for whom, how often it starts again."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ringfence.domain.money import Money


class Per(StrEnum):
    """How often a budget starts again; `invocation` and `tree` budgets live as long as those."""

    INVOCATION = "invocation"
    TREE = "tree"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class BudgetScope(StrEnum):
    """What a budget is summed over, from the narrowest to the widest."""

    INVOCATION = "invocation"
    TREE = "tree"
    AGENT = "agent"
    USER = "user"
    TEAM = "team"
    ORGANISATION = "organisation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit as the configuration states it; whose it is follows from where it stands."""

    limit: Money
    per: Per


class Unit(StrEnum):
    """What an account counts."""

    MONEY = "money"
    """Nano-dollars."""
    MODEL_CALLS = "model_calls"
    TOOL_CALLS = "tool_calls"
    COMMANDS = "commands"
    HTTP_REQUESTS = "http_requests"
    HTTP_BYTES = "http_bytes"
    """Of requests through egress and their answers, without heads."""
    TOKENS = "tokens"
    """Of input and output together."""
    CALLS_PER_MINUTE = "calls_per_minute"
    """What was counted counts for sixty seconds; its account is kept per `total`."""


class AccountKey(NamedTuple):
    """Names one account: what one limit of one holder counts.

    `holder` is an id (`agt_…`, `inv_…`, `team_…`, `user_…`, `org_…`). `part` narrows it, for
    example to one tool. A tuple, because its hash is taken several times per call.
    """

    organisation: str
    scope: BudgetScope
    holder: str
    per: Per
    unit: Unit = Unit.MONEY
    part: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in UTC microseconds; `end_us` is None for a budget that never starts again."""

    start_us: int
    end_us: int | None
