"""Who and what a question is about, as Cedar's entities: attributes, and the groups they are in."""

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from ringfence.decisions.permission import METHODS, tier_of
from ringfence.decisions.policy.engine import Json, Uid, uid
from ringfence.decisions.policy.rule import PATTERN, Parties, Rule, can_act, can_concern
from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent
from ringfence.domain.host import is_private
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import Question
from ringfence.domain.tool import PermissionTier

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
        principal_groups=_teams(agent) | patterns_of(agent.name, patterns),
        action=("Action", question.action),
        resource=(RESOURCES[question.action], question.resource),
        resource_groups=groups_of(question.action, question.resource, organisation, patterns),
    )


def groups_of(
    action: ActionKind, resource: str, organisation: Organisation, patterns: Iterable[str]
) -> frozenset[Uid]:
    """Everything that the resource of an action is in."""
    found = patterns_of(resource, patterns)
    match action:
        case ActionKind.TOOL_CALL:
            return found | {("Server", server_of(resource))}
        case ActionKind.MODEL_CALL if resource in organisation.models:
            return found | {("Provider", organisation.models[resource].provider)}
        case ActionKind.AGENT_CALL if resource in organisation.agents:
            return found | _teams(organisation.agents[resource])
        case _:
            return found


def models_of(rule: Rule, organisation: Organisation) -> frozenset[str]:
    """The models that the head of a policy is about; none if it is about no calls of models."""
    kind = ActionKind.MODEL_CALL
    if not can_act(rule, ("Action", kind)):
        return frozenset()
    return frozenset(
        name
        for name in organisation.models
        if can_concern(
            rule, (RESOURCES[kind], name), groups_of(kind, name, organisation, rule.patterns)
        )
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


def patterns_of(name: str, patterns: Iterable[str]) -> frozenset[Uid]:
    """The patterns that a name fits, as groups that it is in."""
    return frozenset((PATTERN, each) for each in patterns if fnmatchcase(name, each))


def tier_in(organisation: Organisation, action: ActionKind, resource: str) -> PermissionTier:
    """The permission tier of an action as the configuration says."""
    if action is ActionKind.MODEL_CALL:
        return PermissionTier.READ
    server_name, _, tool = resource.partition("__")
    server = {**organisation.tools, BUILT_IN.name: BUILT_IN}.get(server_name)
    if action is ActionKind.TOOL_CALL and server is not None:
        return METHODS if "/" in tool else tier_of(server, tool)
    return PermissionTier.CONSEQUENTIAL


def kind_of(organisation: Organisation, resource: str) -> ActionKind:
    """What kind of action is meant by the name of a resource alone."""
    if resource in organisation.models:
        return ActionKind.MODEL_CALL
    if "__" in resource:
        return ActionKind.TOOL_CALL
    if resource in organisation.agents:
        return ActionKind.AGENT_CALL
    return ActionKind.HTTP_REQUEST if "." in resource else ActionKind.SHELL_EXEC


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
