"""Reasons of measure: too many, too fast, too large, or too much at one time."""

from math import ceil

from ringfence.decisions.reason.words import advice, refusal, whom_to_ask
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


def limit(agent: Agent, name: str, allowed: int, words: str) -> Reason:
    """A counted limit of the configuration is used up. `words` say what the limit allows."""
    return refusal(
        Code.LIMIT_REACHED,
        agent,
        f"agent `{agent.name}` may {words}.",
        (("limit", name), ("allowed", str(allowed))),
    )


def rate(agent: Agent, words: str, retry_after_s: float) -> Reason:
    """Too much in a minute; waiting helps."""
    return Reason(
        code=Code.RATE_EXCEEDED,
        message=(
            f"Ringfence delayed this call: {words}. "
            f"Wait {ceil(retry_after_s)} seconds before trying again."
        ),
        facts=(("retry_after_s", f"{retry_after_s:.3f}"), ("ask", whom_to_ask(agent))),
    )


def too_many_at_once(agent: Agent, allowed: int) -> Reason:
    """One credential has as many calls on their way as the plane carries for it."""
    return _crowded(
        f"agent `{agent.name}` has {allowed:,} calls on their way, which is the most at one time.",
        (("limit", "concurrent_calls"), ("allowed", str(allowed))),
    )


def memory_used(agent: Agent) -> Reason:
    """The bodies of calls on their way take all the memory that the plane gives them."""
    return _crowded(
        f"the bodies of calls on their way leave no room for more of agent `{agent.name}`.",
        (("limit", "buffered_bytes"),),
    )


def result_too_large(agent: Agent, allowed_bytes: int) -> Reason:
    """An answer is longer than the agent may be given."""
    return Reason(
        code=Code.LIMIT_REACHED,
        message=(
            f"Ringfence cut this answer: agent `{agent.name}` may be given {allowed_bytes:,} bytes "
            f"at once. {advice(agent)}"
        ),
        facts=(
            ("limit", "result_bytes"),
            ("allowed", str(allowed_bytes)),
            ("ask", whom_to_ask(agent)),
        ),
    )


def _crowded(sentence: str, facts: tuple[tuple[str, str], ...]) -> Reason:
    """Too much at one time: it passes by itself."""
    message = f"Ringfence cannot take this call now: {sentence} Try again when others have ended."
    return Reason(code=Code.RATE_EXCEEDED, message=message, facts=facts)
