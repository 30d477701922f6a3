"""The words that all reasons share, and how foreign text is shown."""

from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason

QUOTED_CHARACTERS = 80
LISTED_NAMES = 20


def whom_to_ask(agent: Agent) -> str:
    """The escalation contact, else the owner, who always exists."""
    return agent.escalate_to or agent.owner


def quoted(text: str) -> str:
    """Foreign text in backticks: one line, printable, and cut."""
    shown = "".join(c if c.isprintable() and c != "`" else "?" for c in text[:QUOTED_CHARACTERS])
    return f"`{shown}…`" if len(text) > QUOTED_CHARACTERS else f"`{shown}`"


def refusal(
    code: Code, agent: Agent, sentence: str, facts: tuple[tuple[str, str], ...] = ()
) -> Reason:
    """A refusal that no retry changes; `sentence` says what is wrong, with its full stop."""
    return Reason(
        code=code,
        message=f"Ringfence stopped this call: {sentence} {advice(agent)}",
        facts=(*facts, ("ask", whom_to_ask(agent))),
    )


def advice(agent: Agent) -> str:
    """What to do about what no retry changes."""
    return f"Do not retry; ask {whom_to_ask(agent)}."
