"""Reasons of who calls: the agent, whom it acts for, its invocation and its task."""

from ringfence.decisions.reason.words import QUOTED_CHARACTERS, quoted, refusal
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


def suspended(agent: Agent) -> Reason:
    """A person suspended the agent."""
    return refusal(Code.AGENT_SUSPENDED, agent, f"agent `{agent.name}` is suspended.")


def retired(agent: Agent) -> Reason:
    """The agent is no longer in the configuration, or a person retired it."""
    return refusal(Code.AGENT_RETIRED, agent, f"agent `{agent.name}` is retired.")


def user_unknown(agent: Agent, name: str) -> Reason:
    """The user is proven, but nothing says that agents may act for them."""
    return refusal(
        Code.USER_UNKNOWN,
        agent,
        f"agent `{agent.name}` may not act for user {quoted(name)}.",
        (("user", name[:QUOTED_CHARACTERS]),),
    )


def proof_refused(agent: Agent, cause: str) -> Reason:
    """What should prove the user does not; `cause` says why in words, and holds none of it."""
    return refusal(
        Code.PROOF_REFUSED,
        agent,
        f"the proof of whom agent `{agent.name}` acts for was refused: {cause}.",
    )


def invocation_closed(agent: Agent, invocation: str) -> Reason:
    """The invocation is finished, stopped or expired."""
    return refusal(
        Code.INVOCATION_CLOSED,
        agent,
        f"invocation {quoted(invocation)} is closed.",
        (("invocation", invocation[:QUOTED_CHARACTERS]),),
    )


def invocation_stopped(agent: Agent, invocation: str, cause: str) -> Reason:
    """The invocation was stopped; `cause` is a clause without a full stop."""
    return refusal(
        Code.INVOCATION_STOPPED,
        agent,
        f"invocation {quoted(invocation)} was stopped: {cause}.",
        (("invocation", invocation[:QUOTED_CHARACTERS]),),
    )


def invocation_unknown(agent: Agent, name: str) -> Reason:
    """The same text for an id that does not exist and for another agent's."""
    return refusal(
        Code.INVOCATION_UNKNOWN,
        agent,
        f"agent `{agent.name}` has no invocation {quoted(name)}.",
        (("invocation", name[:QUOTED_CHARACTERS]),),
    )


def invocation_required(agent: Agent) -> Reason:
    """The agent is configured with `invocations: declared`."""
    return refusal(
        Code.INVOCATION_REQUIRED,
        agent,
        f"agent `{agent.name}` must open an invocation first (POST /ringfence/v1/invocations) "
        "and call with its token.",
    )


def topic_unjudged(agent: Agent, model: str) -> Reason:
    """Nothing tells whether a task is within an agent's domain, so it is not taken."""
    return refusal(
        Code.OFF_TOPIC,
        agent,
        f"whether this task is for agent `{agent.name}` could not be judged, because model "
        f"{quoted(model)} gave no usable answer. It may be asked again later.",
        (("classifier", model),),
    )


def off_topic(agent: Agent, topic: str) -> Reason:
    """A task outside of an agent's domain; `topic` is empty if no topic fits it."""
    what = f"this is about {quoted(topic)}, which is" if topic else "this task is"
    purpose = f" It is there to: {agent.purpose.rstrip('.')}." if agent.purpose else ""
    return refusal(
        Code.OFF_TOPIC,
        agent,
        f"{what} not for agent `{agent.name}`.{purpose} It has been handed over to a person.",
        (("topic", topic[:QUOTED_CHARACTERS]),) if topic else (),
    )
