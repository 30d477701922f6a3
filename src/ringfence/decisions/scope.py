"""Scope: what an agent declares is all that exists for it."""

from collections.abc import Iterable

from ringfence.decisions import reason, rights
from ringfence.decisions.rights import Patterns
from ringfence.domain.agent import Agent
from ringfence.domain.model import Model
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import PermissionTier, ToolKey, ToolServer
from ringfence.domain.verdict import Reason

BUILT_IN = ToolServer(name="ringfence", tiers=(("*", PermissionTier.READ),))
"""What every agent may use: asking a person, reading the rest of a long result."""


def models_in_scope(
    agent: Agent, organisation: Organisation, narrowed: frozenset[str] | None = None
) -> tuple[Model, ...]:
    """The models an agent may use, by name. `narrowed` is an invocation's own scope, if it has one.

    A narrowed scope only takes away.
    """
    names = agent.scope.models if narrowed is None else agent.scope.models & narrowed
    models = organisation.models
    return tuple(models[name] for name in sorted(names) if name in models)


def model_in_scope(
    agent: Agent, organisation: Organisation, name: str, narrowed: frozenset[str] | None = None
) -> Model | Reason:
    """The model of that name, or a reason that does not tell whether it exists elsewhere."""
    model = organisation.models.get(name)
    is_declared = name in agent.scope.models and (narrowed is None or name in narrowed)
    if model is not None and is_declared:
        return model
    usable = [each.name for each in models_in_scope(agent, organisation, narrowed)]
    return reason.out_of_scope(agent, "model", name, usable)


def tool_in_scope(
    agent: Agent, organisation: Organisation, key: ToolKey, bounds: Iterable[Patterns | None]
) -> ToolServer | Reason:
    """The server of a tool, or a reason that does not tell whether the tool exists elsewhere.

    `bounds` are the patterns of everybody who has a say, as `rights.within` takes them.
    """
    if key.server == BUILT_IN.name:
        return BUILT_IN
    server = organisation.tools.get(key.server)
    if server is not None and rights.within(key.merged, bounds):
        return server
    return reason.tool_unknown(agent, key.merged)


def behind_a_door(organisation: Organisation, key: ToolKey) -> ToolServer | None:
    """The server of a tool that is called through the tool gateway, and not by the agent itself.

    What passes a door is enforced there; an agent's word for it would be worth less.
    """
    server = BUILT_IN if key.server == BUILT_IN.name else organisation.tools.get(key.server)
    return None if server is None or server.is_run_by_agent else server


def servers_in_scope(
    organisation: Organisation, bounds: Iterable[Patterns | None]
) -> tuple[ToolServer, ...]:
    """The servers of which everybody with a say allows a tool, in the order of the configuration.

    A server of which nothing is in scope does not exist for the agent.
    """
    said = [bound for bound in bounds if bound is not None]
    return tuple(
        server
        for name, server in organisation.tools.items()
        if not server.is_run_by_agent
        and all(any(each.startswith(f"{name}__") for each in bound) for bound in said)
    )
