"""Routes about deleting what was stored: erase bodies, and hold what must not be deleted."""

import asyncio
from collections.abc import AsyncIterator, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ringfence.api.audit import user_id
from ringfence.api.context import ChangeNote, ControlContext
from ringfence.api.route import ADMIN, AUDITOR, AnyRoute, Call, Nothing, Page, Paging, Route
from ringfence.domain.approval import Approval
from ringfence.domain.error import UsageError
from ringfence.domain.event import Change, Intent, spoken_in
from ringfence.domain.event import Hold as HeldEvent
from ringfence.domain.organisation import Organisation
from ringfence.stores.approval import is_held_call
from ringfence.stores.hold import Hold, Holds, is_held, require_subject, widened
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.query import Filter, Stored
from ringfence.stores.ledger.reader import LedgerReader

_REASON_LIMIT = 500


class EraseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bodies to erase: exactly one of an action, an invocation and a user.

    With a root invocation its whole tree is meant; with a user, whatever agents did for them.
    """

    reason: str
    action: str | None = None
    invocation: str | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        if sum(each is not None for each in (self.action, self.invocation, self.user)) != 1:
            raise ValueError("name one of action, invocation and user")
        _check_reason(self.reason)


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased. The events stay, and verify as before."""

    actions: int
    bodies: int
    held_calls: int = 0
    """Calls that were put before people, with their arguments."""


class Subject(NamedTuple):
    """Whom a hold of an event could name."""

    agent: str
    invocation: str
    root: str


class Meant(NamedTuple):
    """What an order is about.

    `actions`, in order, also has invocations that were opened with a task; each comes with all
    whom a hold could name for it.
    """

    actions: Mapping[str, list[Subject]]
    calls: Sequence[Approval]


class HoldOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to hold or to let go: `organisation`, `agent:NAME` or `invocation:ID`."""

    subject: str
    reason: str

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports as a wrong body."""
        _check_reason(self.reason)


async def erase_bodies(call: Call[Nothing, EraseOrder]) -> Erased:
    """Put the erasure on the record, then erase."""
    organisation = call.organisation
    order = call.body
    if order.user is not None:
        order = replace(order, user=await user_id(call.context, organisation.id, order.user))
    meant = await call.context.scan(
        organisation.id, partial(_meant, call.context, organisation.id, order)
    )
    subject = call.body.action or call.body.invocation or f"user:{call.body.user}"
    detail = {
        "actions": str(len(meant.actions)),
        "held_calls": str(len(meant.calls)),
        "reason": call.body.reason,
    }
    note = _note(call.person.actor, organisation, "bodies.erased", subject, detail)
    async with _still(call.context.holds(organisation.id)) as holds:
        await asyncio.to_thread(_require_free, call.context, organisation.id, meant, holds)
        await call.context.record(note)
        calls = await call.context.approvals.forget(meant.calls)
        erase = partial(_erase, call.context, organisation.id, list(meant.actions))
        bodies = await asyncio.to_thread(erase)
    return Erased(actions=len(meant.actions), bodies=bodies, held_calls=calls)


@asynccontextmanager
async def _still(holds: Holds) -> AsyncIterator[Holds]:
    """No hold begins between the look at them and the end of what is erased."""
    still = holds.still()
    await asyncio.to_thread(still.__enter__)
    try:
        yield holds
    finally:
        await asyncio.to_thread(still.__exit__, None, None, None)


async def place_hold(call: Call[Nothing, HoldOrder]) -> None:
    """Hold from now on; recorded once it stands."""
    organisation, subject = call.organisation, _with_id(call.organisation, call.body.subject)
    require_subject(subject)
    await call.context.scan(
        organisation.id, partial(_require_known, call.context, organisation.id, subject)
    )
    hold = Hold(
        subject=subject,
        reason=call.body.reason,
        actor=call.person.actor,
        time_us=str(call.context.clock.now_us()),
    )
    holds = call.context.holds(organisation.id)
    await asyncio.to_thread(holds.place, hold)
    detail = {"reason": hold.reason}
    await call.context.record(_note(hold.actor, organisation, "hold.placed", subject, detail))


async def release_hold(call: Call[Nothing, HoldOrder]) -> None:
    """Hold no longer; recorded before it ends."""
    organisation, subject = call.organisation, _with_id(call.organisation, call.body.subject)
    detail = {"reason": call.body.reason}
    note = _note(call.person.actor, organisation, "hold.released", subject, detail)
    holds = call.context.holds(organisation.id)
    if any(one.subject == subject for one in await asyncio.to_thread(holds.all)):
        await call.context.record(note)
    await asyncio.to_thread(holds.release, subject)


async def list_holds(call: Call[Paging, Nothing]) -> Page[Hold]:
    """Those that stand, by subject."""
    holds = call.context.holds(call.organisation.id)
    found = sorted(await asyncio.to_thread(holds.all), key=lambda each: each.subject)
    rest = [each for each in found if each.subject > call.query.after]
    shown = rest[: call.query.limit]
    return Page(items=shown, next=shown[-1].subject if len(rest) > len(shown) else None)


def _meant(context: ControlContext, organisation: str, order: EraseOrder) -> Meant:
    """What is to be erased."""
    found: dict[str, list[Subject]] = {}
    named: set[str] = set()
    reader = context.open_ledger()
    try:
        stored = list(_stored(reader, organisation, order))
    finally:
        reader.close()
    for event in (decode(one.leaf) for one in stored):
        if isinstance(event, Change) and not event.body:
            continue
        agent = event.detail.get("agent", "") if isinstance(event, Change) else event.agent
        subject = Subject(agent, event.invocation, event.root)
        found.setdefault(spoken_in(event), []).append(subject)
        if isinstance(event, HeldEvent | Intent) and event.approval:
            named.add(event.approval)
    records = context.state.approvals
    calls = [each for each in records.every(organisation) if _is_meant(each, order, named)]
    return Meant(actions=found, calls=calls)


def _is_meant(approval: Approval, order: EraseOrder, named: Container[str]) -> bool:
    """Whether a held call is about what was named, or an event of that says so."""
    binding = approval.binding
    if order.user is not None:
        is_it = order.user in {binding.user, *binding.chain}
    else:
        is_it = order.invocation in {binding.invocation, binding.root}
    return is_it or approval.id in named


def _require_free(context: ControlContext, organisation: str, meant: Meant, holds: Holds) -> None:
    """Raises UsageError `legal_hold` if anything of it is held now."""
    reader = context.open_ledger()
    try:
        held = widened(holds.all(), partial(reader.tree_of, organisation))
    finally:
        reader.close()
    count = sum(
        any(
            is_held(held, agent=each.agent, invocation=each.invocation, root=each.root)
            for each in subjects
        )
        for subjects in meant.actions.values()
    )
    count += sum(is_held_call(held, each) for each in meant.calls)
    if count:
        raise UsageError(
            "legal_hold",
            f"{count} of these actions are under a legal hold; nothing was erased",
            help="see `ringfence audit hold`",
        )


def _stored(reader: LedgerReader, organisation: str, order: EraseOrder) -> Iterator[Stored]:
    asked = Filter(
        organisation=organisation,
        action=order.action,
        invocation=order.invocation,
        user=order.user,
    )
    yield from reader.query(asked)
    if order.invocation is not None:
        yield from reader.events_of(organisation, order.invocation)


def _erase(context: ControlContext, organisation: str, actions: list[str]) -> int:
    context.open_bodies().close()  # what was recorded so far is stored by now
    with closing(context.open_shelves()) as shelves:
        return shelves.erase(organisation, actions)


def _with_id(organisation: Organisation, subject: str) -> str:
    """`agent:NAME` with the agent's id; whatever is no name is taken for an id."""
    kind, _, name = subject.partition(":")
    agent = organisation.agents.get(name) if kind == "agent" else None
    return f"agent:{agent.id}" if agent is not None else subject


def _require_known(context: ControlContext, organisation: str, subject: str) -> None:
    """Whoever mistypes a name must not believe that it is held.

    Raises UsageError `agent_unknown` or `invocation_unknown`.
    """
    kind, _, identifier = subject.partition(":")
    if kind == "agent":
        agents = context.state.agents.list(organisation)
        if all(each.id != identifier for each in agents):
            raise UsageError("agent_unknown", f"no agent named `{identifier}`")
    elif kind == "invocation":
        reader = context.open_ledger()
        try:
            asked = Filter(organisation=organisation, invocation=identifier, limit=1)
            if next(iter(reader.query(asked)), None) is None:
                raise UsageError("invocation_unknown", f"no invocation `{identifier}`")
        finally:
            reader.close()


def _note(
    actor: str, organisation: Organisation, what: str, subject: str, detail: dict[str, str]
) -> ChangeNote:
    return ChangeNote(
        organisation=organisation.id, actor=actor, what=what, subject=subject, detail=detail
    )


def _check_reason(reason: str) -> None:
    if not 0 < len(reason) <= _REASON_LIMIT:
        raise ValueError(f"a reason has 1 to {_REASON_LIMIT} characters")


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="POST",
        path="/audit/erase",
        summary="Erase stored messages; the events stay and still verify.",
        roles=ADMIN,
        query=Nothing,
        body=EraseOrder,
        answer=Erased,
        handler=erase_bodies,
    ),
    Route(
        method="GET",
        path="/audit/holds",
        summary="List what must not be deleted.",
        roles=AUDITOR,
        query=Paging,
        body=Nothing,
        answer=Page[Hold],
        handler=list_holds,
    ),
    Route(
        method="POST",
        path="/audit/holds",
        summary="Hold an agent, an invocation or everything: nothing of it is deleted.",
        roles=ADMIN,
        query=Nothing,
        body=HoldOrder,
        answer=None,
        handler=place_hold,
    ),
    Route(
        method="POST",
        path="/audit/holds/release",
        summary="End a hold.",
        roles=ADMIN,
        query=Nothing,
        body=HoldOrder,
        answer=None,
        handler=release_hold,
    ),
)
