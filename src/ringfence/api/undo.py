"""The route that proposes how a trace can be undone."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Final, final

import msgspec

from ringfence.analysis.branch import Branch, walk
from ringfence.analysis.undo import Undo, undo
from ringfence.api.access import Person
from ringfence.api.context import ChangeNote, ControlContext
from ringfence.api.route import BUILDER, VIEWER, AnyRoute, Call, Nothing, Route
from ringfence.api.trace import read_trace
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.tool import ToolServer
from ringfence.protocols import tool_result
from ringfence.stores.body import Part

DONE: Final = "undo.done"
"""The change that tells of an action which was undone."""


class UndoPlan(msgspec.Struct, frozen=True):
    """What undoes a trace, or one action of it, in the order in which to do it."""

    steps: list[Undo]


class Accepted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which actions a person wants undone, by id; without any, all that can be."""

    actions: Annotated[list[str], msgspec.Meta(max_length=1_000)] = []


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What is being undone, in this order; each call waits for somebody to approve it.

    `run` names the invocation in which the calls are made (`external_id` of its trace).
    """

    run: str
    steps: list[Undo]


async def begin_undo(call: Call[Nothing, Accepted]) -> Begun:
    """Have the calls made that undo a trace, one after the other, each held until approved.

    The first that is denied, refused or fails ends it: nothing after it is undone.
    """
    context, organisation, named = call.context, call.organisation, call.path["id"]
    undoings = context.undoings
    if not context.is_serving:
        raise UnavailableError("plane_stopped", "nothing can be undone while the plane is stopped")
    read = partial(_read, context, organisation.id, named, organisation.tools)
    found = await context.scan(organisation.id, read)
    if undoings.is_running(organisation.id, found.root):
        raise UsageError("undo_running", "this trace is being undone already")
    if undoings.is_full:
        raise UnavailableError("undo_full", "too many traces are being undone at the moment")
    steps = _accepted(found.steps, call.body.actions)
    run = f"undo-{context.ids.make('act').partition('_')[2]}"
    errands = [_errand(call.person, organisation.id, found.agents, each, run) for each in steps]
    telling = _Telling(context, call.person.actor, found.root)
    await context.record(_begun(call, found.root, steps, run))
    undoings.begin(organisation.id, found.root, errands, context.workers.carry_out, telling)
    return Begun(run=run, steps=steps)


def _accepted(found: Sequence[Undo], actions: Sequence[str]) -> list[Undo]:
    """What of it a person wants; raises UsageError for what cannot be had."""
    able = [each for each in found if each.tool]
    strange = set(actions) - {each.action for each in able}
    if strange or not able:
        what = f"`{min(strange)}` is" if strange else "there is"
        raise UsageError(
            "undo_impossible",
            f"{what} nothing here that can be undone",
            help="`ringfence trace undo ID` shows what can be, and why the rest cannot",
        )
    return [each for each in able if not actions or each.action in actions]


def _errand(
    person: Person, organisation: str, agents: Mapping[str, str], step: Undo, run: str
) -> Errand:
    server, _, tool = step.tool.partition("__")
    return Errand(
        organisation=organisation,
        agent=agents[step.action],
        server=server,
        tool=tool,
        arguments=step.arguments.encode(),
        run=run,
        about=step.action,
        because=f"it undoes `{step.resource}` ({step.action}), as {person.actor} asks",
        asker=person.actor.removeprefix("user:") if person.actor.startswith("user:") else "",
    )


def _begun(call: Call[Nothing, Accepted], root: str, steps: Sequence[Undo], run: str) -> ChangeNote:
    return ChangeNote(
        organisation=call.organisation.id,
        actor=call.person.actor,
        what="undo.begun",
        subject=root,
        detail={"run": run, "actions": ", ".join(each.action for each in steps)[:4_000]},
        invocation=root,
        root=root,
    )


@final
class _Telling:
    """Puts on record what has become of each call."""

    def __init__(self, context: ControlContext, actor: str, root: str) -> None:
        self._context = context
        self._actor = actor
        self._root = root

    async def __call__(self, errand: Errand, outcome: ErrandOutcome) -> None:
        detail = {"action": errand.about, "tool": f"{errand.server}__{errand.tool}"}
        note = ChangeNote(
            organisation=errand.organisation,
            actor=self._actor,
            what=DONE if outcome.is_done else "undo.stopped",
            subject=self._root,
            detail=detail if outcome.is_done else {**detail, "told": outcome.told[:1_000]},
            invocation=self._root,
            root=self._root,
        )
        await self._context.record(note)


async def propose_undo(call: Call[Nothing, Nothing]) -> UndoPlan:
    """Propose the calls that undo what a trace has done; nothing is done by this."""
    organisation = call.organisation
    found = await call.context.scan(
        organisation.id,
        partial(_read, call.context, organisation.id, call.path["id"], organisation.tools),
    )
    return UndoPlan(found.steps)


def _undone(root: Branch) -> frozenset[str]:
    """The actions of a trace that were undone, as its notes tell."""
    notes = [note for branch in walk(root) for note in branch.notes]
    return frozenset(note.detail.get("action", "") for note in notes if note.what == DONE)


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to undo; `agents` is who did what, by action."""

    root: str
    steps: list[Undo]
    agents: dict[str, str]


def _read(
    context: ControlContext, organisation: str, identifier: str, servers: Mapping[str, ToolServer]
) -> _Found:
    root = read_trace(context, organisation, identifier, "none")
    agents = {step.action: branch.agent for branch in walk(root) for step in branch.steps}
    steps = [step for branch in walk(root) for step in branch.steps]
    steps.sort(key=lambda step: int(step.time_us))
    if any(step.action == identifier for step in steps):
        steps = [step for step in steps if step.action == identifier]
    bodies = context.open_bodies()

    def stored(action: str) -> tuple[bytes | None, bytes | None]:
        answered = bodies.get(organisation, action, Part.RESPONSE)
        result = None if answered is None else tool_result.read(answered)
        document = None if result is None else result.document
        return bodies.get(organisation, action, Part.REQUEST), document

    try:
        found = undo(steps, servers, stored, _undone(root))
    finally:
        bodies.close()
    return _Found(root=root.invocation, steps=found, agents=agents)


ROUTES: tuple[AnyRoute, ...] = (
    Route(
        method="GET",
        path="/traces/{id}/undo",
        summary="Propose how to undo a trace or one action: the last first, and what cannot be.",
        roles=VIEWER,
        query=Nothing,
        body=Nothing,
        answer=UndoPlan,
        handler=propose_undo,
    ),
    Route(
        method="POST",
        path="/traces/{id}/undo",
        summary="Undo a trace, or some actions of it: each call is held until one approves it.",
        roles=BUILDER,
        query=Nothing,
        body=Accepted,
        answer=Begun,
        handler=begin_undo,
    ),
)
