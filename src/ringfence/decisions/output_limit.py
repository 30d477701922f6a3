"""Output limits: how many tokens a model may answer with, and why it may be fewer than asked."""

from enum import StrEnum

import msgspec

from ringfence.domain.agent import Agent
from ringfence.domain.model import Dialect
from ringfence.domain.verdict import LowerOutputLimit

USEFUL_TOKENS = 16
"""The least answer worth paying for; also the least `max_output_tokens` that Responses accepts."""

_WITHOUT_OUTPUT = frozenset({Dialect.EMBEDDINGS, Dialect.COUNT_TOKENS})


class LoweredBy(StrEnum):
    """What decided the output limit."""

    NONE = "none"
    DEFAULT = "default"
    CAP = "cap"
    BUDGET = "budget"


class OutputLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of each answer, in tokens, and what it was decided by."""

    tokens: int
    lowered_by: LoweredBy

    @property
    def written(self) -> int | None:
        """The limit to write into the request; None if the client's own stands there already."""
        return None if self.lowered_by is LoweredBy.NONE else self.tokens

    @property
    def obligations(self) -> tuple[LowerOutputLimit, ...]:
        """What must be written into the request; nothing if the client's own limit stands."""
        if self.lowered_by is LoweredBy.NONE:
            return ()
        return (LowerOutputLimit(tokens=self.tokens),)


_NO_OUTPUT = OutputLimit(tokens=0, lowered_by=LoweredBy.NONE)


def output_limit(dialect: Dialect, asked: int | None, agent: Agent) -> OutputLimit:
    """The client's limit, else the agent's default, and never above the agent's cap."""
    if dialect in _WITHOUT_OUTPUT:
        return _NO_OUTPUT
    cap = agent.limits.output_tokens
    tokens, by = (
        (agent.limits.default_output_tokens, LoweredBy.DEFAULT)
        if asked is None
        else (asked, LoweredBy.NONE)
    )
    if cap is not None and tokens > cap:
        tokens, by = cap, LoweredBy.CAP
    return OutputLimit(tokens=tokens, lowered_by=by)


def within_budget(
    limit: OutputLimit, affordable_tokens: int, useful_tokens: int = USEFUL_TOKENS
) -> OutputLimit | None:
    """The limit lowered to what is affordable; None if that would not hold a useful answer."""
    if affordable_tokens >= limit.tokens:
        return limit
    if affordable_tokens < useful_tokens:
        return None
    return OutputLimit(tokens=affordable_tokens, lowered_by=LoweredBy.BUDGET)
