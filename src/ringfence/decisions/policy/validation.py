"""Whether policies say what they seem to: types, names, words, against everything that is defined.

A policy with a mistake in it is worse than none, since somebody relies on it. So a name that
nothing has, a word that a fact never is and an argument that no tool takes are faults, too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.entity import models_of, patterns_of, server_of
from ringfence.decisions.policy.rule import (
    ARGUMENTS,
    Path,
    Rule,
    can_act,
    can_concern,
    entities_in,
)
from ringfence.decisions.policy.schema import METHODS, schema
from ringfence.decisions.policy.shape import EMPTY, Shape, cedar_type, shape_of
from ringfence.decisions.policy.text import Fault, Piece, line_of
from ringfence.decisions.policy.vocabulary import WORDS, misspelt
from ringfence.decisions.scope import BUILT_IN
from ringfence.domain.action import ActionKind
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import ToolFacts

_TOOL_CALL = ("Action", ActionKind.TOOL_CALL)
_POLICY = re.compile(r"^for policy `[^`]*`, ")
_NO_ACTION = "unable to find an applicable action"
_HELP: Mapping[str, str] = {
    "unable to guarantee safety of access to optional attribute": (
        "ask first whether it is there: `context.arguments has x && context.arguments.x …`"
    ),
    "expected Long but saw decimal": (
        'compare numbers like `.greaterThanOrEqual(decimal("100.0"))`'
    ),
    _NO_ACTION: "this kind of action never has this kind of resource",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What was found. `unchecked` are the ids of policies whose tools nobody has listed yet."""

    faults: tuple[Fault, ...] = ()
    unchecked: tuple[str, ...] = ()


def validate(
    rules: Sequence[Rule], organisation: Organisation, tools: Mapping[str, ToolFacts]
) -> Validation:
    """Judge the policies of files against an organisation and the tools that are known."""
    faults = [fault for rule in rules for fault in _names(rule, organisation, tools)]
    faults += [fault for rule in rules for fault in _words(rule)]
    faults += [_unheld(rule) for rule in rules if rule.ask and models_of(rule, organisation)]
    typed = [rule for rule in rules if _is_typed_by_tool(rule)]
    faults += _typed([rule for rule in rules if rule not in typed], EMPTY)
    unchecked: list[str] = []
    shapes = {name: shape_of(each.input_schema) for name, each in tools.items()}
    for rule in typed:
        concerned = {name: each for name, each in shapes.items() if _concerns(rule, name)}
        if not concerned:
            unchecked.append(rule.id)
        faults += _unheard(rule, concerned)
    for name, shape in shapes.items():
        faults += _typed([rule for rule in typed if _concerns(rule, name)], shape, name)
    return Validation(faults=tuple(dict.fromkeys(faults)), unchecked=tuple(unchecked))


def problem_with(rules: Iterable[Rule], shape: Shape) -> str:
    """Why policies cannot judge the arguments of one tool; empty if they can."""
    faults = _typed([rule for rule in rules if _is_typed_by_tool(rule)], shape)
    return "; ".join(f"{each.file}:{each.line}: {each.what}" for each in faults)


def method_shape(tool: str) -> Shape | None:
    """The parameters of what a server offers besides tools; None for a tool."""
    return METHODS.get(tool.partition("__")[2])


def _is_typed_by_tool(rule: Rule) -> bool:
    return rule.reads_arguments and can_act(rule, _TOOL_CALL)


def _concerns(rule: Rule, tool: str) -> bool:
    groups = patterns_of(tool, rule.patterns) | {("Server", server_of(tool))}
    return can_concern(rule, ("Tool", tool), groups)


def _typed(rules: Sequence[Rule], shape: Shape, tool: str = "") -> list[Fault]:
    """What Cedar says of these policies, for calls with these arguments."""
    if not rules:
        return []
    found = engine.validate([rule.text for rule in rules], schema(shape))
    faults: list[Fault] = []
    for number, messages in found.items():
        rule = rules[number]
        said = [_POLICY.sub("", each) for each in messages]
        # Of a head that names nothing, Cedar says so twice.
        said = [each for each in said if _NO_ACTION not in each] or said
        for message in dict.fromkeys(said):
            about = f" (for `{tool}`)" if tool and ARGUMENTS in message else ""
            help_ = next((text for key, text in _HELP.items() if key in message), "")
            line = line_of(Piece(rule.text, rule.line), message)
            faults.append(Fault(file=rule.source, line=line, what=f"{message}{about}", help=help_))
    return faults


def _unheard(rule: Rule, shapes: Mapping[str, Shape]) -> Iterator[Fault]:
    """Every argument that a policy reads and none of its tools takes."""
    if not shapes:
        return
    for path in sorted(rule.reads | rule.tests):
        opaque = [name for name, shape in shapes.items() if _is_opaque(shape, path[1:])]
        if path[0] == ARGUMENTS and opaque:
            name = ".".join(path[1:])
            what = f"argument `{name}` of `{opaque[0]}` has no single type that a policy can read"
            yield _fault(rule, what, path[-1], "say in the tool's schema what it is")
        if path[0] == ARGUMENTS and not any(_takes(each, path[1:]) for each in shapes.values()):
            name = ".".join(path[1:])
            known = {each for shape in shapes.values() for each in shape.members}
            what = f"no tool that this is about takes an argument `{name}`"
            yield _fault(rule, what, path[-1], known, path[1])


def _is_opaque(shape: Shape, path: Path) -> bool:
    for name in path:
        member = shape.members.get(name)
        if member is None:
            return False
        shape = member.shape
    return cedar_type(shape) is None


def _takes(shape: Shape, path: Path) -> bool:
    for name in path:
        member = shape.members.get(name)
        if member is None:
            return False
        shape = member.shape
    return True


def _words(rule: Rule) -> Iterator[Fault]:
    for condition in rule.body["conditions"]:
        for attribute, word in misspelt(condition["body"]):
            known = WORDS[attribute]
            yield _fault(rule, f"`{'.'.join(attribute)}` is never `{word}`", word, known, word)


def _unheld(rule: Rule) -> Fault:
    what = "`@ask` on calls of models: these cannot wait for a person"
    help_ = f'say which actions: `action == Action::"{ActionKind.TOOL_CALL}"`'
    return _fault(rule, what, "ask", help_)


def _names(
    rule: Rule, organisation: Organisation, tools: Mapping[str, ToolFacts]
) -> Iterator[Fault]:
    """Every thing that a policy names and nobody has defined."""
    defined: Mapping[str, Iterable[str]] = {
        "Agent": organisation.agents,
        "Team": organisation.teams,
        "Model": organisation.models,
        "Provider": organisation.providers,
        "Server": {*organisation.tools, BUILT_IN.name},
    }
    for kind, name in entities_in(rule):
        known = defined.get(kind)
        if known is not None and name not in known:
            yield _fault(rule, f"unknown {kind.lower()} `{name}`", name, known, name)
        if kind == "Tool":
            yield from _tool(rule, name, organisation, tools)


def _tool(
    rule: Rule, name: str, organisation: Organisation, tools: Mapping[str, ToolFacts]
) -> Iterator[Fault]:
    server = server_of(name)
    listed = [each for each in tools if server_of(each) == server]
    if "__" not in name:
        yield _fault(rule, f"`{name}` is not the name of a tool", name, "write server__tool")
    elif server not in {*organisation.tools, BUILT_IN.name}:
        yield _fault(rule, f"unknown server `{server}`", name, organisation.tools, server)
    elif listed and name not in listed and method_shape(name) is None:
        yield _fault(rule, f"unknown tool `{name}`", name, listed, name)


def _fault(rule: Rule, what: str, where: str, known: str | Iterable[str], word: str = "") -> Fault:
    """A fault, at the line where `where` stands, with the nearest of what is known."""
    if isinstance(known, str):
        help_ = known
    else:
        near = get_close_matches(word, list(known), n=1)
        few = ", ".join(f"`{each}`" for each in sorted(known)[:12])
        help_ = f"did you mean `{near[0]}`?" if near else f"known: {few}" if few else ""
    line = line_of(Piece(rule.text, rule.line), f"`{where}`")
    return Fault(file=rule.source, line=line, what=what, help=help_)
