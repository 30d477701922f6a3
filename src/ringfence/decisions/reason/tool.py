"""Reasons of tools: unknown, held, wrongly called, failing, or not to be had."""

from collections.abc import Iterable, Sequence
from math import ceil

from ringfence.decisions.reason.words import (
    LISTED_NAMES,
    QUOTED_CHARACTERS,
    quoted,
    refusal,
    whom_to_ask,
)
from ringfence.domain.agent import Agent
from ringfence.domain.verdict import Code, Reason


def tool_unknown(agent: Agent, name: str) -> Reason:
    """The same text for a tool that does not exist and for one that is not this agent's."""
    return refusal(
        Code.TOOL_UNKNOWN,
        agent,
        f"agent `{agent.name}` has no tool {quoted(name)}.",
        (("tool", name[:QUOTED_CHARACTERS]),),
    )


def tool_held(agent: Agent, name: str, state: str, why: str) -> Reason:
    """A tool is not as it was when somebody accepted it; `why` is a clause for people."""
    return refusal(
        Code.TOOL_CHANGED,
        agent,
        f"tool {quoted(name)} is held, because {why or 'it is not what was accepted'}. Somebody "
        "has to look at `ringfence tools diff` and accept it.",
        (("tool", name[:QUOTED_CHARACTERS]), ("state", state)),
    )


def declared_tool_held(agent: Agent, tool: str, why: str) -> Reason:
    """A tool in a request is not what was accepted of this agent's client."""
    shown = tool.partition("__")[2][:QUOTED_CHARACTERS]
    return refusal(
        Code.TOOL_CHANGED,
        agent,
        f"the tool {shown} of {agent.name} is held: {why}. `ringfence tools diff` shows it, and "
        "`ringfence tools lock --accept` accepts it.",
        (("tool", tool),),
    )


def arguments_invalid(name: str, problems: Iterable[str]) -> Reason:
    """What was sent is not what the tool's schema allows; the model can mend that by itself."""
    listed = [*problems]
    message = (
        f"Ringfence did not call tool {quoted(name)}: its arguments are not what its schema "
        f"allows: {'; '.join(listed)}. Call it again with these corrected."
    )
    return Reason(
        code=Code.ARGUMENTS_INVALID,
        message=message,
        facts=(("tool", name[:QUOTED_CHARACTERS]), ("problems", str(len(listed)))),
    )


def schema_unusable(agent: Agent, name: str, why: str) -> Reason:
    """Nobody can say what a tool's arguments must be: a check that cannot be made denies."""
    return refusal(
        Code.TOOL_UNAVAILABLE,
        agent,
        f"the arguments of tool {quoted(name)} cannot be checked, because its schema cannot be "
        f"used: {why}. No other arguments will help.",
        (("tool", name[:QUOTED_CHARACTERS]), ("cause", SCHEMA_UNUSABLE)),
    )


SCHEMA_UNUSABLE = "schema_unusable"
"""The cause of such a refusal, and the name of the finding."""


def behind_a_door(name: str, server: str) -> Reason:
    """A tool of a server was asked for as if the agent ran it by itself."""
    return Reason(
        code=Code.REQUEST_MALFORMED,
        message=f"Ringfence calls {quoted(name)} itself: call it as an MCP tool at "
        f"/mcp/{server}. Actions are for tools of `runs: agent` alone.",
    )


def tool_refuses(agent: Agent, name: str, failures: int) -> Reason:
    """A tool or its server has refused our credential, or an agent's calls, again and again."""
    return Reason(
        code=Code.TOOL_UNAVAILABLE,
        message=(
            f"Ringfence did not call {quoted(name)}: it has refused such calls {failures} times "
            f"(401 or 403). Stop here: no retry can succeed. Tell {whom_to_ask(agent)}, and go on "
            "without it if you can."
        ),
        facts=(("tool", name[:QUOTED_CHARACTERS]), ("ask", whom_to_ask(agent))),
    )


def tool_away(name: str, cause: str, failures: int, wait_s: float) -> Reason:
    """A tool or its server failed so often that it is left alone."""
    return Reason(
        code=Code.TOOL_UNAVAILABLE,
        message=(
            f"Ringfence did not call {quoted(name)}: it failed {failures} times in a row ({cause}) "
            f"and is left alone for now. Go on without it, or try again in {ceil(wait_s)} seconds. "
            "Other tools are not affected."
        ),
        facts=(
            ("tool", name[:QUOTED_CHARACTERS]),
            ("retry_after_s", f"{wait_s:.3f}"),
            ("cause", cause),
        ),
    )


def tool_stopped(agent: Agent, name: str, words: str) -> Reason:
    """The rules of a tool end the run when it fails like this; `words` say how it failed."""
    return refusal(
        Code.TOOL_UNAVAILABLE,
        agent,
        f"{words} The run is now over.",
        (("tool", name[:QUOTED_CHARACTERS]),),
    )


def nobody_to_ask(agent: Agent, name: str) -> Reason:
    """A person must approve it, and this plane has no way to ask one."""
    return refusal(
        Code.POLICY_DENIED,
        agent,
        f"a person must approve {quoted(name)}, and nobody can be asked here.",
        (("resource", name[:QUOTED_CHARACTERS]),),
    )


def no_tools_left(agent: Agent, first: str) -> Reason:
    """A provider would refuse every tool of a request; `first` says what of one of them."""
    return refusal(
        Code.FIELD_REFUSED,
        agent,
        f"{agent.name} declares no tool that the model's provider takes. {first}.",
        (("tool", first.partition(":")[0][:QUOTED_CHARACTERS]),),
    )


def chosen_tool_refused(agent: Agent, told: str) -> Reason:
    """A request insists on a tool that its provider would not take; `told` is `tool: why`.

    To let the model choose another would be another request than the one that was made.
    """
    return refusal(
        Code.FIELD_REFUSED,
        agent,
        f"{agent.name} insists on a tool that the model's provider does not take. {told}. Choose "
        "another, or let the model choose.",
        (("tool", told.partition(":")[0][:QUOTED_CHARACTERS]),),
    )


def no_tools_resolved(agent: Agent, servers: Sequence[str], held: int) -> Reason:
    """Nothing is left of what an agent may use of servers that answer; `held` tools are held."""
    named = ", ".join(quoted(each) for each in servers[:LISTED_NAMES])
    why = f"{held} are held until somebody accepts them (`ringfence tools diff`)"
    return refusal(
        Code.TOOL_UNAVAILABLE,
        agent,
        f"{agent.name} has no tool of {named} that it may use: "
        + (why if held else "none that is listed matches its scope and policies")
        + ".",
        (("servers", ", ".join(servers)[:QUOTED_CHARACTERS]), ("held", str(held))),
    )
