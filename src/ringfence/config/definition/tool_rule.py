"""How the tools of a server are called: what happens on failure, bounds, prices, what follows."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ringfence.config.definition import amount
from ringfence.config.definition.json_value import json_text
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.config.tree import Items, Text
from ringfence.domain.tool_rule import (
    FINAL,
    USUAL,
    Compensation,
    FailureRule,
    FollowUp,
    Postcondition,
    Remedy,
    ToolFailure,
    ToolRules,
)

PATTERN: Final = re.compile(r"[A-Za-z0-9_./*?-]{1,128}")
"""Names of tools, with `*` for any characters and `?` for one."""

_TOOL: Final = re.compile(r"([a-z][a-z0-9-]{0,19}__)?[A-Za-z0-9_./-]{1,128}")
_TOOL_HELP: Final = "name a tool of this server, or of another as server__tool"
_LABEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_PATH: Final = re.compile(r"\$\.(arguments|result)(\.[A-Za-z0-9_-]+|\[[0-9]{1,4}\])*")
_FAILURES: Final = tuple(failure.value for failure in ToolFailure)
_REMEDIES: Final = tuple(remedy.value for remedy in Remedy)
_CACHE_MOST_S: Final = 7 * 24 * 3600
_RETRIES_MOST: Final = 5
_LEAST_BYTES: Final = 1_024
_MOST_BYTES: Final = 16 * 1024 * 1024


def read_rules(section: Section, servers: Mapping[str, object]) -> ToolRules:
    """Read what a server's section says of how its tools are called."""
    return ToolRules(
        failures=_read_failures(section, servers),
        retries=_or(section.whole("retries", USUAL.retries, most=_RETRIES_MOST), USUAL.retries),
        idempotent=tuple(_patterns(section, "idempotent")),
        result_bytes=_or(
            section.whole("result_bytes", USUAL.result_bytes, least=_LEAST_BYTES, most=_MOST_BYTES),
            USUAL.result_bytes,
        ),
        prices=_read_prices(section),
        labels=_read_labels(section),
        postconditions=tuple(_read_postconditions(section, servers)),
        compensations=tuple(_read_compensations(section, servers)),
        unchecked=tuple(_patterns(section, "unchecked")),
    )


def _or(value: int | None, usual: int) -> int:
    return usual if value is None else value


def _patterns(section: Section, key: str) -> Iterator[str]:
    for item in section.distinct(key):
        if not PATTERN.fullmatch(item.value):
            what = f"{shown(item.written)} in {section.where} is not a pattern of tool names"
            section.problem(item.place, what, "like `get_*`")
        yield item.value


def _by_tool(section: Section, key: str, example: str) -> Iterator[tuple[str, Section]]:
    """A table by pattern, in the order of the file; each pattern with the table it stands in."""
    inner = section.section(key, f"`{key}` of {section.where}", example)
    if inner is None:
        return
    for pattern in inner:
        if not PATTERN.fullmatch(pattern):
            what = f"{shown(pattern)} in {inner.where} is not a pattern of tool names"
            inner.problem(inner.at(pattern), what, "like `get_*`")
        yield pattern, inner


def _tables(section: Section, key: str, example: str) -> Iterator[tuple[str, Section]]:
    """The same where a table stands under each pattern; each is closed when it was read."""
    for pattern, inner in _by_tool(section, key, example):
        each = inner.section(pattern, f"{shown(pattern)} in {inner.where}", example)
        if each is not None:
            yield pattern, each
            each.close()


def _read_failures(section: Section, servers: Mapping[str, object]) -> tuple[FailureRule, ...]:
    example = "on_failure: {429: [retry, cached], away: tell}"
    inner = section.section("on_failure", f"`on_failure` of {section.where}", example)
    if inner is None:
        return ()
    found = [
        _read_failure(pattern, each, servers)
        for pattern, each in _tables(inner, "tools", "tools: {get_*: {away: cached}}")
    ]
    usual = _read_failure("*", inner, servers)
    inner.close()
    return (*found, usual)


def _read_failure(pattern: str, section: Section, servers: Mapping[str, object]) -> FailureRule:
    remedies = tuple(
        (failure, _read_remedies(section, failure)) for failure in ToolFailure if failure in section
    )
    alternative = _read_tool(section, "alternative", servers)
    named = [failure for failure, steps in remedies if Remedy.ALTERNATIVE in steps]
    if named and not alternative:
        what = f"{section.where} names no `alternative` for `{named[0]}`"
        section.problem(section.at(named[0]), what, "add `alternative: server__tool`")
    return FailureRule(
        pattern=pattern,
        remedies=remedies,
        alternative=alternative,
        cache_s=section.whole("cache_seconds", None, least=1, most=_CACHE_MOST_S),
    )


def _read_remedies(section: Section, failure: ToolFailure) -> tuple[Remedy, ...]:
    node = section.node(failure)
    items = node.items if isinstance(node, Items) else (node,)
    found: list[Remedy] = []
    for item in items:
        if item is None:
            continue
        word = item.text if isinstance(item, Text) else ""
        if word not in _REMEDIES:
            what = f"`{failure}` in {section.where} cannot be {shown(word) if word else 'that'}"
            section.problem(item.place, what, f"one of {', '.join(_REMEDIES)}, or a list of them")
            continue
        if found and found[-1] in FINAL:
            what = f"{shown(word)} in {section.where} is never reached"
            section.problem(item.place, what, f"nothing follows `{found[-1]}`")
        found.append(Remedy(word))
    return tuple(found)


def _read_prices(section: Section) -> tuple[tuple[str, int], ...]:
    node = section.node("price_usd")
    if isinstance(node, Text):
        usd = amount.read(section, "price_usd")
        return (("*", usd),) if usd else ()
    found = []
    for pattern, inner in _by_tool(section, "price_usd", "price_usd: {search_*: 0.001}"):
        usd = amount.read(inner, pattern)
        if usd is not None:
            found.append((pattern, usd))
    return tuple(found)


def _read_labels(section: Section) -> tuple[tuple[str, frozenset[str]], ...]:
    found = []
    for pattern, inner in _by_tool(section, "labels", "labels: {get_mail: [untrusted]}"):
        items = inner.distinct(pattern)
        for item in items:
            if not _LABEL.fullmatch(item.value):
                what = f"{shown(item.written)} in {inner.where} cannot be a label"
                inner.problem(item.place, what, "lower-case letters, digits, `_` and `-`")
        found.append((pattern, frozenset(item.value for item in items)))
    return tuple(found)


def _read_postconditions(
    section: Section, servers: Mapping[str, object]
) -> Iterator[Postcondition]:
    example = "postconditions: {refund: {call: get_order, expect: {status: refunded}}}"
    for pattern, inner in _tables(section, "postconditions", example):
        inner.require("call", "expect")
        expected = inner.section("expect", f"`expect` of {inner.where}", "expect: {status: done}")
        yield Postcondition(
            pattern=pattern,
            check=read_follow_up(inner, servers),
            expect=() if expected is None else tuple(_values(expected)),
        )


def _read_compensations(section: Section, servers: Mapping[str, object]) -> Iterator[Compensation]:
    example = "compensation: {create_order: {call: cancel_order, with: {id: $.result.id}}}"
    for pattern, inner in _tables(section, "compensation", example):
        inner.require("call")
        yield Compensation(pattern=pattern, undo=read_follow_up(inner, servers))


def read_follow_up(section: Section, servers: Mapping[str, object]) -> FollowUp:
    """Read a call that follows from another: `call`, and its arguments `with`."""
    given = section.section("with", f"`with` of {section.where}", "with: {id: $.result.id}")
    arguments = () if given is None else tuple(_arguments(given))
    return FollowUp(call=_read_tool(section, "call", servers), arguments=arguments)


def _arguments(section: Section) -> Iterator[tuple[str, bytes]]:
    for name, value in _values(section):
        text = value[1:-1].decode()
        if value.startswith(b'"$') and not _PATH.fullmatch(text):
            what = f"{shown(text)} in {section.where} is not a path"
            section.problem(
                section.at(name), what, "like `$.arguments.id` or `$.result.items[0].id`"
            )
        yield name, value


def _values(section: Section) -> Iterator[tuple[str, bytes]]:
    for name in section:
        node = section.node(name)
        yield name, b"null" if node is None else json_text(node)


def _read_tool(section: Section, key: str, servers: Mapping[str, object]) -> str:
    item = section.item(key)
    if item is None:
        return ""
    server, separator, _ = item.value.partition("__")
    if not _TOOL.fullmatch(item.value):
        what = f"`{key}` of {section.where} cannot be {shown(item.written)}"
        section.problem(item.place, what, _TOOL_HELP)
    elif separator and server not in servers:
        what = f"unknown tool server {shown(server)} in `{key}` of {section.where}"
        section.problem(item.place, what, nearest(server, servers) or _TOOL_HELP)
    return item.value


def note_undeclared(rules: ToolRules, section: Section) -> None:
    """Note of a server for which failures nothing is said, so that what is usual holds."""
    missing = undeclared(rules)
    if missing:
        what = f"{section.where} does not say what happens on {', '.join(missing)}"
        help_ = "what is usual holds (docs/configuration.md); say so under `on_failure`"
        section.reading.notes.add(section.place, what, help_)


def undeclared(rules: ToolRules) -> tuple[str, ...]:
    """The failures for which nothing is said of all tools of a server, in order."""
    declared = {
        failure for rule in rules.failures if rule.pattern == "*" for failure, _ in rule.remedies
    }
    return tuple(each for each in _FAILURES if each not in declared)
