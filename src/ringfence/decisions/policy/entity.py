"""Who and what a question is about, as Cedar's entities: attributes, and the groups they are in."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from ringfence.decisions.policy.engine import Json, Uid, uid
from ringfence.decisions.policy.rule import PATTERN, Parties
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent
from ringfence.domain.host import is_private
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import Question

RESOURCES: Mapping[ActionKind, str] = {
    ActionKind.MODEL_CALL: "Model",
    ActionKind.TOOL_CALL: "Tool",
    ActionKind.HTTP_REQUEST: "Host",
    ActionKind.SHELL_EXEC: "Command",
    ActionKind.AGENT_CALL: "Agent",
}
"""The type of an action's resource."""


def parties_of(
    agent: Agent, question: Question, organisation: Organisation, patterns: Collection[str]
) -> Parties:
    """Who wants to do what; `patterns` are all that any policy names."""
    groups = {(PATTERN, pattern) for pattern in patterns if fnmatchcase(question.resource, pattern)}
    match question.action:
        case ActionKind.TOOL_CALL:
            groups.add(("Server", server_of(question.resource)))
        case ActionKind.MODEL_CALL if question.resource in organisation.models:
            groups.add(("Provider", organisation.models[question.resource].provider))
        case ActionKind.AGENT_CALL if question.resource in organisation.agents:
            groups.update(_teams(organisation.agents[question.resource]))
        case _:
            pass
    return Parties(
        principal=("Agent", agent.name),
        principal_groups=_teams(agent),
        action=("Action", question.action),
        resource=(RESOURCES[question.action], question.resource),
        resource_groups=frozenset(groups),
    )


def entities_of(
    agent: Agent, parties: Parties, organisation: Organisation, labels: Collection[str]
) -> list[Json]:
    """Everything that a policy may ask of the two parties."""
    found = {
        parties.principal: _entity(parties.principal, parties.principal_groups, _agent(agent)),
        parties.resource: _entity(
            parties.resource,
            parties.resource_groups,
            _attributes(parties.resource, organisation, labels),
        ),
    }
    return list(found.values())


def server_of(tool: str) -> str:
    """The server of a tool by its merged name."""
    return tool.partition("__")[0]


def _teams(agent: Agent) -> frozenset[Uid]:
    return frozenset({("Team", agent.team)}) if agent.team else frozenset()


def _entity(name: Uid, groups: Collection[Uid], attributes: Mapping[str, object]) -> Json:
    return {
        "uid": uid(name),
        "attrs": dict(attributes),
        "parents": [uid(each) for each in sorted(groups)],
    }


def _agent(agent: Agent) -> dict[str, object]:
    return {
        "name": agent.name,
        "category": agent.category.value,
        "owner": agent.owner,
        "version": agent.version,
        "autonomy": agent.autonomy.value,
    }


def _attributes(
    resource: Uid, organisation: Organisation, labels: Collection[str]
) -> dict[str, object]:
    kind, name = resource
    match kind:
        case "Tool":
            tool = name.partition("__")[2]
            return {"name": tool, "server": server_of(name), "labels": sorted(labels)}
        case "Model":
            model = organisation.models.get(name)
            return {"name": name, "provider": "" if model is None else model.provider}
        case "Host":
            return {"name": name, "is_private": is_private(name)}
        case "Agent":
            agent = organisation.agents.get(name)
            return {} if agent is None else _agent(agent)
        case _:
            return {"name": name}
