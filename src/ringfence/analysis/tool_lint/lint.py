"""All that can be said of the tools of one server, from their definitions alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_dialect.objection import Objection
from ringfence.analysis.tool_dialect.repair import repaired
from ringfence.analysis.tool_lint import company, shape, wording
from ringfence.analysis.tool_lint.finding import Finding, Severity
from ringfence.domain.tool import ToolDefinition
from ringfence.domain.tool_dialect import ToolDialect

DIALECTS: Final = (
    ToolDialect.OPENAI,
    ToolDialect.ANTHROPIC,
    ToolDialect.GEMINI,
    ToolDialect.BEDROCK,
    ToolDialect.MISTRAL,
)


def lint(
    tools: Sequence[ToolDefinition], dialects: Sequence[ToolDialect] = DIALECTS
) -> tuple[Finding, ...]:
    """Every finding, errors first, then by tool in the order of the listing."""
    found = [*company.count(tools)]
    for tool in tools:
        found += _of(tool, dialects)
    found += company.alike(tools)
    order = {tool.key.name: at for at, tool in enumerate(tools)}
    return tuple(sorted(found, key=lambda each: (-each.severity, order.get(each.tool, -1))))


def _of(tool: ToolDefinition, dialects: Sequence[ToolDialect]) -> Iterator[Finding]:
    yield from wording.names(tool)
    yield from wording.descriptions(tool)
    for place, text in _texts(tool):
        yield from wording.injections(tool, place, text)
    yield from shape.parameters(tool)
    yield from shape.annotations(tool)
    yield from shape.outputs(tool)
    yield from _refused(tool, dialects)


def _texts(tool: ToolDefinition) -> Iterator[tuple[str, str]]:
    """Every text that a model may be shown, with where it stands."""
    yield "name", tool.key.name
    yield "title", tool.title
    yield "description", tool.description
    yield from _within("inputSchema", json.loads(tool.input_schema))


def _within(place: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield f"{place}.{key}", key
            yield from _within(f"{place}.{key}", each)
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _within(f"{place}.{at}", each)
    elif isinstance(value, str):
        yield place, value


def _refused(tool: ToolDefinition, dialects: Sequence[ToolDialect]) -> Iterator[Finding]:
    schema = json.loads(tool.input_schema)
    found: dict[tuple[str, str], tuple[Objection, list[ToolDialect]]] = {}
    for dialect in dialects:
        for each in objections(dialect, tool.key.name, schema):
            found.setdefault((each.rule, each.place), (each, []))[1].append(dialect)
    for objection, by in found.values():
        is_mended = all(repaired(dialect, tool.key.name, schema) is not None for dialect in by)
        who = ", ".join(dict.fromkeys(dialect.value for dialect in by))
        yield Finding(
            rule=f"dialect_{objection.rule}",
            severity=Severity.WARNING if is_mended else Severity.ERROR,
            tool=tool.key.name,
            what=f"refused by {who}: {objection.what}"
            + ("; Ringfence mends it on the way" if is_mended else ""),
            fix=objection.help,
            place=objection.place,
        )


def counts(found: Sequence[Finding]) -> Mapping[Severity, int]:
    """How many findings of each severity there are."""
    return {each: sum(one.severity is each for one in found) for each in Severity}
