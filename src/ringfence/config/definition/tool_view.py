"""Views of tools: renamed, described anew, hidden, narrowed, without touching their server."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ringfence.config.definition.json_value import json_text
from ringfence.config.definition.tool_rule import read_follow_up
from ringfence.config.problem import shown
from ringfence.config.section import Section
from ringfence.config.tree import Items, Node
from ringfence.domain.tool_view import ErrorView, ParameterView, ToolView, ViewStep

_TOOL: Final = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_TOOL_HELP: Final = "use letters, digits, `_`, `.`, `/` and `-`, at most 128"
_SHOWN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN_HELP: Final = "use letters, digits, `_` and `-`, at most 64: models take no other names"
_PARAMETER: Final = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_PROSE: Final = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{1,4000}")
_PROSE_HELP: Final = "write text of at most 4000 characters"


def read_views(section: Section, servers: Mapping[str, object]) -> tuple[ToolView, ...]:
    """Read `views` of a server, in the order of the file."""
    inner = section.section("views", f"`views` of {section.where}", "views: {search: {hide: true}}")
    if inner is None:
        return ()
    views: list[ToolView] = []
    for name in inner:
        if not _TOOL.fullmatch(name):
            what = f"{shown(name)} in {inner.where} cannot be the name of a tool"
            inner.problem(inner.at(name), what, _TOOL_HELP)
            continue
        each = inner.section(name, f"view {shown(name)} in {inner.where}", "name: find_customer")
        if each is not None:
            views.append(_read(name, each, servers))
    _judge_names(views, inner)
    several = {each.tool for each in views if each.steps}
    for view in views:
        nested = next((step for step in view.steps if step.call.call in several), None)
        if nested is not None:
            what = f"step {shown(nested.name)} of view {shown(view.tool)} is itself several calls"
            inner.problem(inner.at(view.tool), what, "name the tools that it is made of")
    return tuple(views)


def _read(tool: str, section: Section, servers: Mapping[str, object]) -> ToolView:
    seen = ToolView(
        tool=tool,
        of=section.text("of", pattern=_TOOL, rule=_TOOL_HELP),
        name=section.text("name", pattern=_SHOWN, rule=_SHOWN_HELP),
        title=section.text("title", pattern=_PROSE, rule=_PROSE_HELP),
        description=section.text("description", pattern=_PROSE, rule=_PROSE_HELP),
        is_hidden=_read_flag(section, "hide"),
        parameters=_read_parameters(section),
        errors=tuple(_read_errors(section)),
        steps=tuple(_read_steps(section, servers)),
    )
    if seen.steps and not seen.of:
        what = f"{section.where} makes several calls and is no tool of its own"
        section.problem(section.at("then"), what, "add `of`: the tool that is called first")
    if seen.of and seen.name:
        what = f"{section.where} has both `of` and `name`"
        section.problem(section.at("name"), what, "a tool of its own has the name of its view")
    if seen.of and not _SHOWN.fullmatch(tool):
        what = f"{shown(tool)} in {section.where} cannot be the name of a tool of its own"
        section.problem(section.place, what, _SHOWN_HELP)
    if seen.of and seen.is_hidden:
        what = f"{section.where} is made of another tool and hidden"
        section.problem(section.at("hide"), what, "remove the view instead")
    section.close()
    return seen


def _read_steps(section: Section, servers: Mapping[str, object]) -> Iterator[ViewStep]:
    example = "then: {orders: {call: list_orders, with: {client: $.result.id}}}"
    inner = section.section("then", f"`then` of {section.where}", example)
    for name in inner or ():
        each = inner and inner.section(name, f"step {shown(name)} of {section.where}", example)
        if not _SHOWN.fullmatch(name) or name == _FIRST:
            what = f"{shown(name)} in `then` of {section.where} cannot be the name of a step"
            section.problem(section.at("then"), what, f"{_SHOWN_HELP}; `{_FIRST}` is the first")
        elif each:
            each.require("call")
            yield ViewStep(name=name, call=read_follow_up(each, servers))
            each.close()


_FIRST: Final = "result"


def _judge_names(views: list[ToolView], section: Section) -> None:
    first: dict[str, str] = {}
    for each in views:
        if each.is_hidden:
            continue
        if each.shown in first:
            what = f"two views in {section.where} show a tool as {shown(each.shown)}"
            section.problem(section.at(each.tool), what, f"`{first[each.shown]}` does so too")
        first.setdefault(each.shown, each.tool)


def _read_flag(section: Section, key: str) -> bool:
    item = section.item(key)
    if item is not None and item.value not in {"true", "false"}:
        what = f"`{key}` in {section.where} must be true or false, not {shown(item.written)}"
        section.problem(item.place, what)
    return item is not None and item.value == "true"


def _read_parameters(section: Section) -> tuple[ParameterView, ...]:
    inner = section.section("parameters", f"`parameters` of {section.where}")
    if inner is None:
        return ()
    found: list[ParameterView] = []
    for name in inner:
        each = inner.section(name, f"parameter {shown(name)} of {section.where}", "name: query")
        if each is not None:
            found.append(_read_parameter(name, each))
    names = [each.shown for each in found if not each.is_hidden]
    for name in sorted({name for name in names if names.count(name) > 1}):
        what = f"two parameters of {section.where} are shown as {shown(name)}"
        inner.problem(inner.place, what, "give each a name of its own")
    return tuple(found)


def _read_parameter(parameter: str, section: Section) -> ParameterView:
    default = section.node("default")
    choices = section.node("enum")
    each = ParameterView(
        parameter=parameter,
        name=section.text("name", pattern=_PARAMETER),
        description=section.text("description", pattern=_PROSE, rule=_PROSE_HELP),
        default=b"" if default is None else json_text(default),
        is_hidden=_read_flag(section, "hide"),
        choices=_read_choices(choices, section),
    )
    if each.choices and each.default and each.default not in each.choices:
        what = f"the default of {section.where} is not in its `enum`"
        section.problem(section.at("default"), what, "add it, or choose another")
    if each.is_hidden and (each.name or each.description or each.choices):
        what = f"{section.where} is hidden, so that nobody sees what else is said of it"
        section.problem(section.at("hide"), what, "keep `hide` and `default` alone")
    section.close()
    return each


def _read_choices(node: Node | None, section: Section) -> tuple[bytes, ...]:
    if node is None:
        return ()
    if not isinstance(node, Items) or not node.items:
        what = f"`enum` in {section.where} must be a list of values"
        section.problem(node.place, what, "enum: [open, closed]")
        return ()
    return tuple(dict.fromkeys(json_text(item) for item in node.items))


def _read_errors(section: Section) -> Iterator[ErrorView]:
    node = section.node("errors")
    if node is None:
        return
    example = 'errors: [{match: "*timeout*", say: "Try again in a minute."}]'
    if not isinstance(node, Items):
        what = f"`errors` of {section.where} must be a list"
        section.problem(node.place, what, f"write `{example}`")
        return
    for item in node.items:
        each = Section(item, f"an error of {section.where}", section.reading, example)
        each.require("match", "say")
        match = each.text("match", pattern=_PROSE, rule=_PROSE_HELP)
        say = each.text("say", pattern=_PROSE, rule=_PROSE_HELP)
        each.close()
        if match and say:
            yield ErrorView(match=match, say=say)
