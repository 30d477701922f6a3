"""Routes about tools: what servers offer, what of it is accepted, and what has changed."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_difference import Difference, differences, effect
from ringfence.analysis.tool_drift import Standing
from ringfence.analysis.tool_pin import pin_of
from ringfence.analysis.tool_text import visible
from ringfence.analysis.tool_use import Use, usage
from ringfence.api.context import ChangeNote, ControlContext
from ringfence.api.route import BUILDER, VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.decisions.failure_rule import labels_of
from ringfence.decisions.permission import UNNAMED, tier_of
from ringfence.domain.action import ActionKind
from ringfence.domain.error import UsageError
from ringfence.domain.event import Intent
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import ToolDefinition, ToolState
from ringfence.domain.tool_dialect import ToolDialect
from ringfence.domain.tool_source import ToolSource
from ringfence.enforcement.tool_custody import ACCEPTED
from ringfence.stores.body import Part
from ringfence.stores.ledger.query import Filter

_LOOKED_BACK_US: Final = 30 * 86_400_000_000
_LOOKED_AT: Final = 20_000
"""How many of the latest intents are looked through for the use of a tool."""
_SHOWN: Final = 160
_DIALECTS: Final = (
    ToolDialect.OPENAI,
    ToolDialect.ANTHROPIC,
    ToolDialect.GEMINI,
    ToolDialect.BEDROCK,
    ToolDialect.MISTRAL,
)

Members = Mapping[str, Mapping[str, int]]


class ToolsQuery(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tools to list; `server` is one source, `is_held` only those that may not be called."""

    server: str = ""
    is_held: bool = False
    definitions: bool = False


class ToolQuery(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tool as `server__tool`; empty for all."""

    name: str = ""


class ToolName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tool as `server__tool`; `pin` is what was looked at, empty for whatever it is now."""

    name: str
    pin: str = ""


class ToolLine(msgspec.Struct, frozen=True, kw_only=True):
    """One tool as a listing shows it. Times in UTC microseconds, as strings.

    `definition` is the one in force and `listed` what its server lists now, both as JSON texts;
    empty unless they were asked for.
    """

    name: str
    server: str
    tool: str
    shown: str
    state: ToolState
    why: str
    tier: str
    owner: str
    labels: list[str]
    description: str
    pin: str
    listed_pin: str
    pinned_by: str
    pinned_us: str
    seen_us: str
    version: str
    refused_by: list[str]
    """Providers that would refuse a request with this tool as it is."""
    definition: str = ""
    listed: str = ""


class ChangeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between what is accepted and what is listed."""

    kind: str
    path: str
    what: str
    is_breaking: bool
    before: str
    after: str


class ToolChange(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that is not as it was accepted, with what the change does to agents on the record."""

    name: str
    state: ToolState
    why: str
    listed_pin: str
    changes: list[ChangeLine]
    effects: list[str]


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One definition that a tool has had."""

    pin: str
    version: str
    first_us: str
    last_us: str
    definition: str


async def list_tools(call: Call[ToolsQuery, Nothing]) -> Page[ToolLine]:
    """Every tool of every server that was ever listed, by name."""
    query, home = call.query, call.organisation
    lines = [
        _line(home, source, name, each, is_full=query.definitions)
        for source in call.context.tools.of(home.id)
        if query.server in {"", source.listing.source}
        for name, each in call.context.tools.standing(home.id, source.listing.source).items()
        if not query.is_held or each.state is not ToolState.OK
    ]
    found = sorted((each for each in lines if each.name > query.after), key=lambda each: each.name)
    shown = found[: query.limit]
    return Page(items=shown, next=shown[-1].name if len(found) > len(shown) else None)


async def changes(call: Call[ToolQuery, Nothing]) -> Page[ToolChange]:
    """Tools that are not as they were accepted, and whom that affects."""
    home = call.organisation
    held = {
        f"{source.listing.source}__{name}": each
        for source in call.context.tools.of(home.id)
        for name, each in call.context.tools.standing(home.id, source.listing.source).items()
        if each.state is not ToolState.OK
    }
    if call.query.name:
        _standing(call, call.query.name)
        held = {name: each for name, each in held.items() if name == call.query.name}
    rest = sorted(name for name in held if name > call.query.after)
    shown = rest[: call.query.limit]
    used: Mapping[str, Members] = {}
    if shown:
        read = partial(_usage, call.context, home, frozenset(shown))
        used = await call.context.scan(home.id, read)
    items = [_change(name, held[name], used.get(name, {})) for name in shown]
    return Page(items=items, next=shown[-1] if len(rest) > len(shown) else None)


async def history(call: Call[ToolQuery, Nothing]) -> Page[VersionLine]:
    """Every definition that a tool is known to have had, the newest first."""
    _standing(call, call.query.name)
    source, name = _split(call.query.name)
    read = partial(call.context.state.tools.history, call.organisation.id, source, name)
    versions = await asyncio.to_thread(read)
    begin = int(call.query.after) if call.query.after.isdecimal() else 0
    end = begin + call.query.limit
    return Page(
        next=str(end) if len(versions) > end else None,
        items=[
            VersionLine(
                pin=each.pin,
                version=visible(each.version),
                first_us=str(each.first_us),
                last_us=str(each.last_us),
                definition=visible(each.raw.decode()),
            )
            for each in versions[begin:end]
        ],
    )


async def accept(call: Call[Nothing, ToolName]) -> ToolLine:
    """Accept a tool as its server lists it now."""
    context, home, asked = call.context, call.organisation, call.body
    standing = _standing(call, asked.name)
    listed_pin = _listed_pin(standing)
    if asked.pin and asked.pin != listed_pin:
        raise UsageError(
            "tool_changed",
            f"`{asked.name}` has changed again since you looked",
            help="`ringfence tools diff` shows what it is now",
        )
    source, name = _split(asked.name)
    # What gives power is recorded before it is given.
    await context.record(
        ChangeNote(
            organisation=home.id,
            actor=call.person.actor,
            what=ACCEPTED,
            subject=asked.name,
            detail={"before": standing.pin, "pin": listed_pin, "state": standing.state.value},
        )
    )
    accepted = context.tools.accept(
        home.id, source, name, actor=call.person.actor, now_us=context.clock.now_us()
    )
    after = context.tools.standing(home.id, source).get(name)
    return _line(home, accepted, name, after or standing, is_full=True)


def _standing(call: Call[ToolQuery, Nothing] | Call[Nothing, ToolName], merged: str) -> Standing:
    source, name = _split(merged)
    found = call.context.tools.standing(call.organisation.id, source).get(name)
    if found is None:
        raise UsageError(
            "tool_unknown",
            f"no tool `{merged}` has been seen",
            help="`ringfence tools list` shows them",
        )
    return found


def _split(merged: str) -> tuple[str, str]:
    source, _, name = merged.partition("__")
    return source, name


def _line(
    home: Organisation, source: ToolSource, name: str, each: Standing, *, is_full: bool
) -> ToolLine:
    listing = source.listing
    pin = next((one for one in source.pins if one.name == name), None)
    server = home.tools.get(listing.source)
    view = next((v for v in server.views if v.tool == name and not v.of), None) if server else None
    is_locked = home.tool_lock is not None and server is not None and each.state is ToolState.OK
    return ToolLine(
        name=f"{listing.source}__{name}",
        server=listing.source,
        tool=visible(name),
        shown="" if view is not None and view.is_hidden else view.shown if view else visible(name),
        state=each.state,
        why=visible(each.why),
        tier=(UNNAMED if server is None else tier_of(server, name)).name.lower(),
        owner="" if server is None else server.owner,
        labels=sorted(labels_of(server.rules, name)) if server is not None else [],
        description=visible(each.definition.description)[:_SHOWN],
        pin=each.pin,
        listed_pin=_listed_pin(each),
        pinned_by="lock file" if is_locked else "" if pin is None else pin.pinned_by,
        pinned_us=str(pin.pinned_us) if pin is not None else "0",
        seen_us=str(listing.seen_us),
        version=visible(listing.version),
        refused_by=[
            dialect.value
            for dialect in _DIALECTS
            if objections(dialect, name, msgspec.json.decode(each.definition.input_schema))
        ],
        definition=each.definition.raw.decode() if is_full else "",
        listed=each.listed.raw.decode() if is_full and each.listed is not None else "",
    )


def _listed_pin(each: Standing) -> str:
    return "" if each.listed is None else pin_of(each.listed)


def _change(name: str, each: Standing, used: Members) -> ToolChange:
    found: Sequence[Difference] = ()
    if each.listed is not None and each.state is ToolState.CHANGED:
        found = differences(each.definition, each.listed)
    effects = list(effect(found, used))
    if each.state is ToolState.REMOVED and used:
        agents = ", ".join(f"`{agent}`" for agent in sorted(used))
        effects = [f"used by {agents}"]
    return ToolChange(
        name=name,
        state=each.state,
        why=visible(each.why),
        listed_pin=_listed_pin(each),
        changes=[
            ChangeLine(
                kind=one.kind,
                path=one.path,
                what=one.what,
                is_breaking=one.is_breaking,
                before=one.before,
                after=one.after,
            )
            for one in (found or _whole(each))
        ],
        effects=effects,
    )


def _whole(each: Standing) -> Sequence[Difference]:
    """What a tool is that nobody has accepted: its words, for whoever must judge them."""
    if each.listed is None:
        return ()
    shown: ToolDefinition = each.listed
    words = (("description", shown.description), ("schema", shown.input_schema.decode()))
    return tuple(
        Difference(kind=kind, path=kind, what=f"its {kind}", after=visible(text))
        for kind, text in words
        if text
    )


def _usage(
    context: ControlContext, home: Organisation, names: frozenset[str]
) -> Mapping[str, Members]:
    ledger, bodies = context.open_ledger(), context.open_bodies()
    since_us = context.clock.now_us() - _LOOKED_BACK_US
    asked = Filter(organisation=home.id, kind="intent", since_us=since_us, limit=_LOOKED_AT)

    def calls() -> Iterator[Use]:
        for stored in ledger.query(asked):
            event = stored.event
            if not isinstance(event, Intent) or event.action_kind != ActionKind.TOOL_CALL.value:
                continue
            if event.resource in names:
                body = bodies.get(home.id, event.action, Part.REQUEST) if event.body else None
                yield Use(event.agent_name, event.resource, body)

    try:
        return usage(calls())
    finally:
        bodies.close()
        ledger.close()


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/tools",
        summary="List the tools of every server, and how each stands to what was accepted.",
        roles=VIEWER,
        query=ToolsQuery,
        body=Nothing,
        answer=Page[ToolLine],
        handler=list_tools,
    ),
    Route(
        method="GET",
        path="/tools/changes",
        summary="Show what has changed of tools since they were accepted, and whom it affects.",
        roles=VIEWER,
        query=ToolQuery,
        body=Nothing,
        answer=Page[ToolChange],
        handler=changes,
    ),
    Route(
        method="GET",
        path="/tools/history",
        summary="List every definition that a tool is known to have had.",
        roles=VIEWER,
        query=ToolQuery,
        body=Nothing,
        answer=Page[VersionLine],
        handler=history,
    ),
    Route(
        method="POST",
        path="/tools/accept",
        summary="Accept a tool as its server lists it now.",
        roles=BUILDER,
        query=Nothing,
        body=ToolName,
        answer=ToolLine,
        handler=accept,
    ),
)
