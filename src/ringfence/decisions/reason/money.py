"""Reasons of money: what does not fit a budget, or has no known price."""

from datetime import tzinfo

from ringfence.decisions.period import Line
from ringfence.decisions.reason.words import QUOTED_CHARACTERS, advice, quoted, refusal, whom_to_ask
from ringfence.decisions.reservation import Shortfall
from ringfence.decisions.window import local_time
from ringfence.domain.agent import Agent
from ringfence.domain.budget import BudgetScope, Per
from ringfence.domain.money import Money, format_usd, to_usd
from ringfence.domain.verdict import Code, Reason

_ADJECTIVES = {
    Per.INVOCATION: "",
    Per.TREE: "",
    Per.HOUR: "hourly ",
    Per.DAY: "daily ",
    Per.WEEK: "weekly ",
    Per.MONTH: "monthly ",
    Per.TOTAL: "total ",
}


def budget(agent: Agent, shortfall: Shortfall, holder: str, tz: tzinfo) -> Reason:
    """A reservation did not fit. `holder` is the name of the user, team or organisation."""
    line = shortfall.line
    subject = _subject(agent, line, holder)
    total = f"{format_usd(line.limit)} {_ADJECTIVES[line.key.per]}budget"
    state = (
        f"is {format_usd(Money(-line.left))} over its {total}"
        if line.is_closed
        else f"has {format_usd(line.left)} left of its {total}"
    )
    resets_us = shortfall.resets_at_us
    resets_at = "" if resets_us is None else local_time(resets_us, tz).isoformat(timespec="minutes")
    again = f" The budget starts again at {resets_at}." if resets_at else ""
    return refusal(
        Code.BUDGET_EXHAUSTED,
        agent,
        f"{subject} {state} and this call could cost up to {format_usd(shortfall.needed)}.{again}",
        (
            ("budget", f"{line.key.scope.value} per {line.key.per.value}"),
            ("limit_usd", _usd(line.limit)),
            ("left_usd", _usd(line.left)),
            ("needed_usd", _usd(shortfall.needed)),
            ("resets_at", resets_at or "never"),
        ),
    )


def output_passed(agent: Agent, reserved_tokens: int) -> Reason:
    """A stream was cut because it passed the output that money was set aside for."""
    return Reason(
        code=Code.BUDGET_EXHAUSTED,
        message=(
            f"Ringfence cut this answer: it passed the {reserved_tokens:,} tokens that money was "
            f"set aside for. {advice(agent)}"
        ),
        facts=(("reserved_tokens", str(reserved_tokens)), ("ask", whom_to_ask(agent))),
    )


def price_unknown(agent: Agent, model: str) -> Reason:
    """Neither price data nor configuration give a price; unknown is never zero."""
    return refusal(
        Code.PRICE_UNKNOWN,
        agent,
        f"no price is known for model {quoted(model)}, and calls without a known price are not "
        "made.",
        (("model", model[:QUOTED_CHARACTERS]),),
    )


def _subject(agent: Agent, line: Line, holder: str) -> str:
    match line.key.scope:
        case BudgetScope.INVOCATION:
            return "this invocation"
        case BudgetScope.TREE:
            return "this invocation with its sub-agents"
        case BudgetScope.AGENT:
            return f"agent `{agent.name}`"
        case scope:
            return f"{scope.value} {quoted(holder)}"


def _usd(amount: Money) -> str:
    return f"{to_usd(amount):f}"
