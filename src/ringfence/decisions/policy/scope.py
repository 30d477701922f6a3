"""An agent's declared scope and autonomy as policies, so that they can be read and explained."""

from collections.abc import Iterable, Mapping

from ringfence.decisions.destination import host_pattern
from ringfence.decisions.policy import engine
from ringfence.decisions.policy.rule import PATTERN, Rule, read_rule
from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.action import ActionKind
from ringfence.domain.agent import Agent, Autonomy

SCOPE, AUTONOMY = "scope", "autonomy"
"""Sources of policies that no file holds."""

_ACTIONS = (
    ActionKind.TOOL_CALL,
    ActionKind.HTTP_REQUEST,
    ActionKind.SHELL_EXEC,
    ActionKind.AGENT_CALL,
)
"""What changes something; a model call only thinks."""

_GATES: Mapping[Autonomy, tuple[str, str]] = {
    Autonomy.OBSERVE: (
        '@reason("this agent may only look, and change nothing")',
        'context.tier != "read"',
    ),
    Autonomy.ASK_ALWAYS: ('@ask("this agent asks before everything it does")', "true"),
    Autonomy.ASK_IRREVERSIBLE: (
        '@ask("this cannot be undone")',
        'context.tier == "irreversible"',
    ),
}
"""For each level its annotation and when it holds. `act_in_scope` has no gate."""


_HOSTED_REASONS: Mapping[Autonomy, str] = {
    Autonomy.OBSERVE: "this agent may only look, and nobody sees what the provider's tools do",
    Autonomy.ASK_ALWAYS: "this agent asks before everything, which the provider's tools cannot",
}


def compile_agent(agent: Agent) -> tuple[Rule, ...]:
    """Everything that the definition of one agent says, as policies."""
    return (*_permits(agent), *_gate(agent), *_hosted_gate(agent))


def gates_hosted_tools(agent: Agent) -> bool:
    """Whether its autonomy leaves no room for tools that a provider runs, out of our sight.

    They have the tier `decisions.permission.HOSTED`, and a model call cannot wait for a person.
    """
    return agent.autonomy in _HOSTED_REASONS


def _permits(agent: Agent) -> Iterable[Rule]:
    scope, principal = agent.scope, f"principal == Agent::{quoted(agent.name)}"
    groups = (
        ("models", ActionKind.MODEL_CALL, "resource == Model", sorted(scope.models)),
        ("tools", ActionKind.TOOL_CALL, f"resource in {PATTERN}", scope.tools),
        ("commands", ActionKind.SHELL_EXEC, f"resource in {PATTERN}", scope.commands),
        ("tools", ActionKind.TOOL_CALL, "resource in Server", (BUILT_IN.name,)),
    )
    for key, action, resource, names in groups:
        for name in dict.fromkeys(names):
            head = f"{principal}, {_action(action)}, {resource}::{quoted(name)}"
            yield _rule(f"scope:{agent.name}:{key}:{name}", SCOPE, f"permit ({head});")
    # The port of a host is judged before any policy is asked (`decisions.destination`).
    for name in dict.fromkeys(map(host_pattern, scope.hosts)):
        head = f"{principal}, {_action(ActionKind.HTTP_REQUEST)}, resource in {PATTERN}"
        yield _rule(f"scope:{agent.name}:hosts:{name}", SCOPE, f"permit ({head}::{quoted(name)});")


def _gate(agent: Agent) -> Iterable[Rule]:
    gate = _GATES.get(agent.autonomy)
    if gate is None:
        return
    annotation, condition = gate
    actions = ", ".join(f"Action::{quoted(each)}" for each in _ACTIONS)
    text = (
        f"{annotation}\n"
        f"forbid (principal == Agent::{quoted(agent.name)}, action in [{actions}], resource)\n"
        f"when {{ {condition} }}\n"
        f"unless {{ resource in Server::{quoted(BUILT_IN.name)} }};"
    )
    yield _rule(f"autonomy:{agent.name}:{agent.autonomy}", AUTONOMY, text)


def _hosted_gate(agent: Agent) -> Iterable[Rule]:
    reason = _HOSTED_REASONS.get(agent.autonomy)
    if reason is None:
        return
    text = (
        f"@reason({quoted(reason)})\n"
        f"forbid (principal == Agent::{quoted(agent.name)}, {_action(ActionKind.MODEL_CALL)}, "
        "resource)\n"
        "unless { context.arguments.hosted_tools.isEmpty() };"
    )
    yield _rule(f"autonomy:{agent.name}:{agent.autonomy}:hosted", AUTONOMY, text)


def _rule(name: str, source: str, text: str) -> Rule:
    (body,) = engine.parse(text)
    return read_rule(body, name=name, source=source, line=0, text=text)


def _action(kind: ActionKind) -> str:
    return f"action == Action::{quoted(kind)}"


def quoted(text: str) -> str:
    """A text as Cedar writes it; names of agents, tools and models hold nothing worse."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
