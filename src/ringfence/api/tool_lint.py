"""The route that says how good tools are for models: by their definitions, and by the record."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from ringfence.analysis.schema_check import SchemaCheck
from ringfence.analysis.tool_drift import Standing
from ringfence.analysis.tool_lint import error_text
from ringfence.analysis.tool_lint.error_text import Told
from ringfence.analysis.tool_lint.finding import Finding
from ringfence.analysis.tool_lint.lint import lint
from ringfence.analysis.tool_lint.misuse import Mistake, Misuse, ToolUse, misuse
from ringfence.analysis.tool_text import visible
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.domain.action import ActionKind
from ringfence.domain.error import UsageError
from ringfence.domain.event import AnyEvent, Intent, Outcome, Refusal
from ringfence.domain.organisation import Organisation
from ringfence.domain.verdict import Code
from ringfence.enforcement.tool_inspection import TOOL_ERROR
from ringfence.enforcement.tool_registry import is_declared
from ringfence.protocols import tool_result
from ringfence.stores.body import BodyReader, Part
from ringfence.stores.ledger.query import Filter

_LOOKED_AT: Final = 20_000
"""How many of the latest events are looked through."""
_TOP: Final = re.compile(r"[^.\[]+")


class LintQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One server, or all of them."""

    server: str = ""


class FindingLine(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, and what mends it."""

    rule: str
    severity: str
    tool: str
    place: str
    what: str
    fix: str


class MisuseLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one model gets wrong with one parameter, since the tool last changed and before."""

    tool: str
    parameter: str
    model: str
    wrong: int
    calls: int
    wrong_before: int
    calls_before: int


class LintAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    tools: int
    findings: list[FindingLine]
    misuse: list[MisuseLine]


async def lint_tools(call: Call[LintQuery, Nothing]) -> LintAnswer:
    """Judge the tools that servers were seen to list. Raises UsageError `tool_server_unseen`."""
    home, asked = call.organisation, call.query.server
    standing = {
        source.listing.source: call.context.tools.standing(home.id, source.listing.source)
        for source in call.context.tools.of(home.id)
        if asked == source.listing.source or (not asked and not is_declared(source.listing.source))
    }
    if asked and not standing:
        raise UsageError(
            "tool_server_unseen",
            f"`{asked}` has not listed any tool yet",
            help="call it once through the plane, or name its URL: `ringfence tools lint URL`",
        )
    findings: list[FindingLine] = []
    for server, tools in standing.items():
        listed = [each.listed for each in tools.values() if each.listed is not None]
        findings += [finding_line(each, server) for each in lint(listed)]
    known = {
        each.definition.key.merged: each for tools in standing.values() for each in tools.values()
    }
    read = partial(_on_record, call.context, home, known)
    misused, errors = await call.context.scan(home.id, read) if known else ((), ())
    findings += [_error_line(each) for each in errors]
    return LintAnswer(
        tools=len(known),
        findings=findings,
        misuse=[
            MisuseLine(
                tool=each.tool,
                parameter=visible(each.parameter),
                model=each.model,
                wrong=each.wrong,
                calls=each.calls,
                wrong_before=each.wrong_before,
                calls_before=each.calls_before,
            )
            for each in misused
        ],
    )


def finding_line(each: Finding, server: str) -> FindingLine:
    """A finding as it is shown; tools are named with their server."""
    return FindingLine(
        rule=each.rule,
        severity=each.severity.name.lower(),
        tool=visible(f"{server}__{each.tool}" if each.tool else server),
        place=visible(each.place),
        what=visible(each.what),
        fix=each.fix,
    )


def _error_line(each: Finding) -> FindingLine:
    """A finding of the record, which names a tool with its server already."""
    server, _, tool = each.tool.partition("__")
    return finding_line(replace(each, tool=tool), server)


def _on_record(
    context: ControlContext, home: Organisation, known: dict[str, Standing]
) -> tuple[tuple[Misuse, ...], tuple[Finding, ...]]:
    """What models get wrong, and the tools whose errors do not help them."""
    ledger, bodies = context.open_ledger(), context.open_bodies()
    try:
        asked = Filter(organisation=home.id, limit=_LOOKED_AT)
        events = [stored.event for stored in ledger.query(asked)]
        models = _models(events)
        uses = [
            ToolUse(each.resource, models.get(each.invocation, ""), int(each.time_us))
            for each in events
            if isinstance(each, Intent) and each.resource in known and _is_call(each.action_kind)
        ]
        mistakes = list(_mistakes(events, models, known, bodies))
        uses += [ToolUse(each.tool, each.model, each.at_us) for each in mistakes]
        changed = {name: _changed_us(context, home, each) for name, each in known.items()}
        return misuse(uses, mistakes, changed), error_text.judge(_errors(events, known, bodies))
    finally:
        bodies.close()
        ledger.close()


def _errors(
    events: Iterable[AnyEvent], known: dict[str, Standing], bodies: BodyReader
) -> Iterable[Told]:
    """What tools have answered as errors, as far as it is stored."""
    kept = list(events)
    tools = {each.action: each.resource for each in kept if isinstance(each, Intent)}
    for each in kept:
        if not isinstance(each, Outcome) or each.error != TOOL_ERROR:
            continue
        tool = tools.get(each.action, "")
        body = bodies.get(each.organisation, each.action, Part.RESPONSE) if tool in known else None
        result = None if body is None else tool_result.read(body)
        if result is not None:
            yield Told(tool, "\n".join(result.texts))


def _models(events: Iterable[AnyEvent]) -> dict[str, str]:
    """The model that acted in each invocation: the latest that it asked."""
    found: dict[str, str] = {}
    for each in events:
        if isinstance(each, Intent) and each.action_kind == ActionKind.MODEL_CALL.value:
            found.setdefault(each.invocation, each.resource)
    return found


def _mistakes(
    events: Iterable[AnyEvent],
    models: dict[str, str],
    known: dict[str, Standing],
    bodies: BodyReader,
) -> Iterable[Mistake]:
    checks: dict[str, SchemaCheck] = {}
    for each in events:
        if not isinstance(each, Refusal) or each.decision.code != Code.ARGUMENTS_INVALID.value:
            continue
        if each.resource not in known or not each.body:
            continue
        body = bodies.get(each.organisation, each.action, Part.REQUEST)
        if body is None:
            continue
        schema = known[each.resource].definition.input_schema
        check = checks.setdefault(each.resource, SchemaCheck(schema))
        tops = (_TOP.match(problem.path) for problem in check.problems(body))
        names = dict.fromkeys(top[0] if top is not None else "(the whole)" for top in tops)
        model = models.get(each.invocation, "")
        yield Mistake(each.resource, model, int(each.time_us), tuple(names))


def _is_call(kind: str) -> bool:
    return kind == ActionKind.TOOL_CALL.value


def _changed_us(context: ControlContext, home: Organisation, each: Standing) -> int:
    key = each.definition.key
    versions = context.state.tools.history(home.id, key.server, key.name)
    return next((one.first_us for one in versions if one.pin == each.pin), 0)


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/tools/lint",
        summary="Say how good tools are for models, and what models get wrong with them.",
        roles=VIEWER,
        query=LintQuery,
        body=Nothing,
        answer=LintAnswer,
        handler=lint_tools,
    ),
)
