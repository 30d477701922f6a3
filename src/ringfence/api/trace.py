"""Routes about traces: what an invocation did, step by step, with what it read and answered."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Literal

import msgspec

from ringfence.analysis import trace
from ringfence.analysis.branch import Branch, walk
from ringfence.api.context import ControlContext
from ringfence.api.route import VIEWER, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.domain.error import UsageError
from ringfence.domain.event import AnyEvent, Change, Hold, Intent, Observation, Refusal
from ringfence.domain.exchange import Reading
from ringfence.domain.invocation import Grouping, InvocationState
from ringfence.domain.observation import Seen
from ringfence.domain.sandbox import is_sandbox
from ringfence.protocols import evidence
from ringfence.protocols.dialect import Reader
from ringfence.stores.body import BodyReader, Part
from ringfence.stores.ledger import InvocationRecord
from ringfence.stores.ledger.query import Filter, InvocationFilter
from ringfence.stores.ledger.reader import LedgerReader

_LOG = logging.getLogger(__name__)

_STARTS_US = 5 * 60 * 1_000_000
"""Within this time of its opening a sandbox has begun: its ticket is good for less."""

Content = Literal["all", "new", "none"]


class TraceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the messages: the exact context of each step, only what is new in it, or none."""

    content: Content = "all"


class TraceListQuery(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which traces. `agent` is a name or an id; times are UTC microseconds."""

    agent: str | None = None
    state: InvocationState | None = None
    since_us: int | None = None
    until_us: int | None = None


class TraceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A trace in a listing; the counts and the cost are those of the whole tree.

    `sandbox` is the id of the sandbox that it is the run of, `sandbox_tier` how that isolates; both
    are empty for any other, the tier also for one whose sandbox has not begun.
    """

    id: str
    agent: str
    agent_name: str
    state: InvocationState
    opened_us: str
    last_us: str
    invocations: int
    steps: int
    refusals: int
    cost_nano: str
    grouping: str
    task: str
    external_id: str | None
    sandbox: str = ""
    sandbox_tier: str = ""


async def list_traces(call: Call[TraceListQuery, Nothing]) -> Page[TraceLine]:
    """Root invocations, newest first."""
    query = call.query
    records = await asyncio.to_thread(call.context.state.agents.list, call.organisation.id)
    ids = {record.name: record.id for record in records}
    asked = InvocationFilter(
        organisation=call.organisation.id,
        agent=None if query.agent is None else ids.get(query.agent, query.agent),
        state=query.state,
        is_root=True,
        since_us=query.since_us,
        until_us=query.until_us,
        after=query.after or None,
        limit=query.limit + 1,
    )
    names = {record.id: record.name for record in records}
    found = await call.context.scan(
        call.organisation.id, partial(_list, call.context, asked, names)
    )
    shown = found[: query.limit]
    return Page(items=shown, next=shown[-1].id if len(found) > len(shown) else None)


async def show_trace(call: Call[TraceQuery, Nothing]) -> Branch:
    """The whole tree that an invocation, or the invocation of an action, belongs to."""
    organisation, identifier = call.organisation.id, call.path["id"]
    return await call.context.scan(
        organisation,
        partial(read_trace, call.context, organisation, identifier, call.query.content),
    )


def read_trace(
    context: ControlContext, organisation: str, identifier: str, content: Content = "all"
) -> Branch:
    """Read a trace from the ledger; blocks.

    `identifier` is an invocation's or an action's. Raises UsageError `trace_unknown`.
    """
    ledger = context.open_ledger()
    try:
        root, events = _events(ledger, organisation, identifier)
    finally:
        ledger.close()
    bodies = context.open_bodies()
    try:
        readings = {} if content == "none" else dict(_read(context.readers, bodies, events))
        opened = [each for each in events if isinstance(each, Change) and each.body]
        tasks = {each.subject: _task(bodies, organisation, each.subject) for each in opened}
    finally:
        bodies.close()
    branch = trace.build(root, events, readings, tasks)
    if content == "new":
        for each in walk(branch):
            trace.leave_out_repeated(each.steps)
    return branch


def _list(
    context: ControlContext, asked: InvocationFilter, names: Mapping[str, str]
) -> list[TraceLine]:
    ledger = context.open_ledger()
    try:
        roots = [
            (each, _tree(ledger, each), _isolation(ledger, each))
            for each in ledger.invocations(asked)
        ]
    finally:
        ledger.close()
    bodies = context.open_bodies()
    try:
        return [
            _line(record, tree, names, task=_task_of(bodies, record), isolation=isolation)
            for record, tree, isolation in roots
        ]
    finally:
        bodies.close()


def _task_of(bodies: BodyReader, record: InvocationRecord) -> str:
    """What the agent said it is about; earlier releases kept that with the invocation itself."""
    found = record.invocation
    if found.task or found.grouping is not Grouping.TOKEN:
        return found.task
    return _task(bodies, found.organisation, found.id)


def _task(bodies: BodyReader, organisation: str, invocation: str) -> str:
    said = bodies.get(organisation, invocation, Part.REQUEST)
    return "" if said is None else said.decode("utf-8", "replace")


def _tree(ledger: LedgerReader, record: InvocationRecord) -> list[InvocationRecord]:
    invocation = record.invocation
    asked = InvocationFilter(organisation=invocation.organisation, root=invocation.id)
    return list(ledger.invocations(asked))


def _line(
    record: InvocationRecord,
    tree: list[InvocationRecord],
    names: Mapping[str, str],
    *,
    task: str,
    isolation: tuple[str, str],
) -> TraceLine:
    invocation = record.invocation
    sandbox, tier = isolation
    return TraceLine(
        id=invocation.id,
        agent=invocation.agent,
        agent_name=names.get(invocation.agent, ""),
        state=record.state,
        opened_us=str(invocation.opened_us),
        last_us=str(max(each.last_us for each in tree)),
        invocations=len(tree),
        steps=sum(each.steps for each in tree),
        refusals=sum(each.refusals for each in tree),
        cost_nano=str(sum(each.cost for each in tree)),
        grouping=invocation.grouping.value if record.is_identified else "",
        task=task,
        external_id=invocation.external_id,
        sandbox=sandbox,
        sandbox_tier=tier,
    )


def _isolation(ledger: LedgerReader, record: InvocationRecord) -> tuple[str, str]:
    """The id and the tier of the sandbox whose credential opened it; empty if none has."""
    invocation = record.invocation
    if not is_sandbox(invocation.credential):
        return "", ""
    asked = Filter(
        organisation=invocation.organisation,
        sandbox=invocation.credential,
        code=Seen.SANDBOX_STARTED.value,
        since_us=invocation.opened_us,
        until_us=invocation.opened_us + _STARTS_US,
        limit=1,
        is_newest_first=False,
    )
    for found in ledger.query(asked):
        if isinstance(found.event, Observation):
            return invocation.credential, found.event.detail.get("tier", "")
    return invocation.credential, ""


def _events(ledger: LedgerReader, organisation: str, identifier: str) -> tuple[str, list[AnyEvent]]:
    """The root's id and its events, oldest first."""
    stored = ledger.events_of(organisation, identifier)
    if stored:
        return identifier, [one.event for one in stored]
    by_invocation = Filter(organisation=organisation, invocation=identifier, limit=1)
    by_action = Filter(organisation=organisation, action=identifier, limit=1)
    for asked in (by_invocation, by_action):
        for found in ledger.query(asked):
            if root := found.event.root:
                return root, [one.event for one in ledger.events_of(organisation, root)]
    raise UsageError(
        "trace_unknown",
        f"no invocation or action with id `{identifier}`",
        help="`ringfence trace list` shows them",
    )


def _read(
    readers: Mapping[str, Reader], bodies: BodyReader, events: list[AnyEvent]
) -> Iterator[tuple[str, Reading]]:
    """What is stored of each exchange, made readable; by action."""
    for event in events:
        if isinstance(event, Observation) and event.body:
            body = bodies.get(event.organisation, event.action, Part.REQUEST)
            if body is not None:
                yield event.action, evidence.read(event.what, body)
        if not isinstance(event, Intent | Refusal | Hold) or not event.body:
            continue
        reader = readers.get(event.action_kind) or readers.get(event.operation)
        request = bodies.get(event.organisation, event.action, Part.REQUEST)
        if reader is None or request is None:
            continue
        response = bodies.get(event.organisation, event.action, Part.RESPONSE) or b""
        is_streamed = isinstance(event, Intent) and event.stream
        try:
            yield event.action, reader.read_exchange(request, response, streamed=is_streamed)
        except Exception as error:  # noqa: BLE001 (one strange body must not hide a whole trace)
            _LOG.warning("body of %s is not readable: %s", event.action, type(error).__name__)


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/traces",
        summary="List traces, newest first.",
        roles=VIEWER,
        query=TraceListQuery,
        body=Nothing,
        answer=Page[TraceLine],
        handler=list_traces,
    ),
    Route(
        method="GET",
        path="/traces/{id}",
        summary="Show a trace as a tree of invocations with their steps.",
        roles=VIEWER,
        query=TraceQuery,
        body=Nothing,
        answer=Branch,
        handler=show_trace,
    ),
)
