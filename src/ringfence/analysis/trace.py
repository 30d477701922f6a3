"""A trace: the events of one invocation and everything below it, read back as a tree."""

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import msgspec

from ringfence.analysis import command_join
from ringfence.analysis.branch import Branch, Note, Sight, Step
from ringfence.analysis.command_join import Ran
from ringfence.analysis.tool_join import Asked, askers
from ringfence.domain.action import ActionKind
from ringfence.domain.event import (
    AgentEvent,
    AnyEvent,
    Change,
    Hold,
    Intent,
    Observation,
    Outcome,
    Refusal,
)
from ringfence.domain.exchange import Reading
from ringfence.domain.invocation import InvocationState

_STATES = {state.value: state for state in InvocationState}
"""What `invocation.<verb>` makes of an invocation, for the verbs that are states."""


def build(
    root: str,
    events: Sequence[AnyEvent],
    readings: Mapping[str, Reading] | None = None,
    tasks: Mapping[str, str] | None = None,
) -> Branch:
    """The tree of a root invocation from its events, oldest first.

    `readings` is by action, `tasks` by invocation.

    An invocation whose parent is not among the events hangs from the root.
    """
    grower = _Grower(readings or {}, tasks or {})
    for event in events:
        grower.take(event)
    return grower.grow(root)


def leave_out_repeated(steps: Iterable[Step]) -> None:
    """Shorten each context to what is new since the step before, and count what was left out."""
    before: list[object] = []
    for step in steps:
        if step.reading is None or step.kind != ActionKind.MODEL_CALL:
            continue
        context = list(step.reading.context)
        shared = _shared(before, context)
        before = list(context)
        step.earlier_messages = shared
        step.reading = msgspec.structs.replace(step.reading, context=context[shared:])


def _shared(before: Sequence[object], now: Sequence[object]) -> int:
    count = 0
    for one, other in zip(before, now, strict=False):
        if one != other:
            break
        count += 1
    return count


@final
class _Grower:
    """Gathers branches and steps; `grow` puts them together."""

    def __init__(self, readings: Mapping[str, Reading], tasks: Mapping[str, str]) -> None:
        self._readings = readings
        self._tasks = tasks
        self._branches: dict[str, Branch] = {}
        self._steps: dict[str, Step] = {}
        self._sights: dict[str, Sight] = {}

    def take(self, event: AnyEvent) -> None:
        match event:
            case Intent():
                self._intend(event)
            case Outcome():
                self._end(event)
            case Refusal():
                self._refuse(event)
            case Hold():
                self._hold(event)
            case Observation():
                self._see(event)
            case Change():
                self._change(event)

    def grow(self, root: str) -> Branch:
        top = self._branch(root)
        for branch in list(self._branches.values()):
            if branch is not top:
                self._parent(branch, top).children.append(branch)
        _sum(top)
        for branch in self._branches.values():
            _join(branch.steps)
        return top

    def _parent(self, branch: Branch, top: Branch) -> Branch:
        """Its parent, if the way up from there ends at the root, else the root itself."""
        seen = {branch.invocation}
        found = above = self._branches.get(branch.parent or "", top)
        while above is not top:
            if above.invocation in seen:
                return top
            seen.add(above.invocation)
            above = self._branches.get(above.parent or "", top)
        return found

    def _branch(self, invocation: str) -> Branch:
        branch = self._branches.get(invocation)
        if branch is None:
            branch = self._branches[invocation] = Branch(invocation=invocation)
        return branch

    def _touch(self, event: AgentEvent, invocation: str) -> Branch:
        branch = self._branch(invocation)
        branch.agent = event.agent
        branch.agent_name = event.agent_name
        branch.agent_version = event.agent_version
        branch.chain = event.chain
        branch.tier = event.tier
        branch.opened_us = branch.opened_us or event.time_us
        branch.last_us = event.time_us
        return branch

    def _add(self, branch: Branch, step: Step) -> None:
        step.number = len(branch.steps) + 1
        step.reading = self._readings.get(step.action)
        branch.steps.append(step)
        self._steps[step.action] = step

    def _intend(self, event: Intent) -> None:
        branch = self._touch(event, event.invocation)
        branch.parent = event.parent
        branch.depth = event.depth
        branch.grouping = branch.grouping or event.grouping
        branch.external_id = branch.external_id or event.external_id
        step = _step(event)
        step.provider = event.provider
        step.upstream = event.upstream
        step.grouping = event.grouping
        step.is_stream = event.stream
        step.output_limit = event.output_limit
        step.reserved_nano = event.reserved_nano
        step.accounts = event.accounts
        step.tools = event.tools
        step.approval = event.approval
        step.permission = event.permission
        step.call_id = event.call_id
        step.about = event.about
        step.within = event.within
        step.enforced = event.enforced
        step.target = event.target
        self._add(branch, step)

    def _end(self, event: Outcome) -> None:
        self._touch(event, event.invocation)
        step = self._steps.get(event.action)
        if step is None:  # its intent is not among the events; there is nothing to show it under
            return
        step.status = event.status.value
        step.http_status = event.http_status
        step.error = event.error
        step.finish = event.finish
        step.response_model = event.response_model
        step.usage = event.usage
        step.cost_nano = event.cost_nano
        step.overrun_nano = event.overrun_nano
        step.price_source = event.price_source
        step.duration_us = event.duration_us
        step.first_byte_us = event.first_byte_us
        step.attempts = event.attempts
        step.accounts = event.accounts or step.accounts
        step.tool_calls = event.tool_calls
        step.exit_code = event.exit_code
        step.signal = event.signal
        step.reported_by = event.reported_by
        step.address = event.address
        step.sent_bytes = event.sent_bytes
        step.received_bytes = event.received_bytes
        step.secrets = event.secrets
        step.redactions = event.redactions
        step.uninspected = event.uninspected

    def _refuse(self, event: Refusal) -> None:
        if not event.invocation:
            return
        branch = self._touch(event, event.invocation)
        first = self._steps.get(event.first_action)
        if event.repeats and first is not None:
            first.repeats += event.repeats
            return
        step = _step(event)
        step.is_refused = True
        step.repeats = event.repeats
        step.target = event.target
        self._add(branch, step)

    def _hold(self, event: Hold) -> None:
        branch = self._touch(event, event.invocation)
        step = _step(event)
        step.is_held = True
        step.approval = event.approval
        self._add(branch, step)

    def _see(self, event: Observation) -> None:
        branch = self._touch(event, event.invocation)
        first = self._sights.get(event.first_action)
        if event.repeats and first is not None:
            first.repeats += event.repeats
            return
        sight = Sight(
            action=event.action,
            time_us=event.time_us,
            what=event.what,
            sandbox=event.sandbox,
            after=len(branch.steps),
            subject=event.subject,
            detail=event.detail,
            reported_by=event.reported_by,
            repeats=event.repeats,
            body_bytes=event.body_bytes,
            reading=self._readings.get(event.action),
        )
        branch.sights.append(sight)
        self._sights[event.action] = sight

    def _change(self, event: Change) -> None:
        noun, _, verb = event.what.partition(".")
        invocation = event.subject if noun == "invocation" else event.invocation
        if not invocation:
            return
        branch = self._branch(invocation)
        branch.last_us = event.time_us
        branch.opened_us = branch.opened_us or event.time_us
        if noun == "invocation" and verb == "opened":
            detail = event.detail
            branch.agent = detail.get("agent", branch.agent)
            branch.parent = detail.get("parent", branch.parent)
            branch.depth = int(detail.get("depth", branch.depth))
            branch.task = self._tasks.get(invocation) or detail.get("task", "")
            branch.grouping = detail.get("grouping", branch.grouping)
            branch.external_id = detail.get("external_id", branch.external_id)
        elif noun == "invocation":
            branch.state = _STATES.get(verb, branch.state)
        note = Note(
            time_us=event.time_us,
            actor=event.actor,
            what=event.what,
            subject=event.subject,
            detail=event.detail,
        )
        branch.notes.append(note)


def _step(event: Intent | Refusal | Hold) -> Step:
    """What each of them says of an action that was asked for."""
    return Step(
        action=event.action,
        time_us=event.time_us,
        kind=event.action_kind,
        resource=event.resource,
        operation=event.operation,
        decision=event.decision,
        client=event.client,
        sandbox=event.sandbox,
    )


def _join(steps: Sequence[Step]) -> None:
    """Say of each tool call and command which model call of its invocation asked for it."""
    asked = [
        Asked(
            action=step.action,
            kind=step.kind,
            resource=step.resource,
            call_id=step.call_id,
            reading=step.reading,
            tool_calls=tuple(step.tool_calls),
            is_held=step.is_held,
        )
        for step in steps
    ]
    ran = [
        Ran(action=step.action, kind=step.kind, within=step.within, reading=step.reading)
        for step in steps
    ]
    found = askers(asked) | command_join.askers(ran)
    for step in steps:
        step.asked_by = found.get(step.action, "")


def _sum(branch: Branch) -> None:
    """Fill in the totals, the deepest first."""
    totals = branch.totals
    totals.invocations = 1
    cost = 0
    for step in branch.steps:
        totals.steps += not step.is_refused
        totals.refusals += (1 + step.repeats) if step.is_refused else 0
        cost += int(step.cost_nano)
        if step.usage is not None:
            totals.input_tokens += step.usage.input_tokens
            totals.output_tokens += step.usage.output_tokens
            totals.is_estimated |= step.usage.estimated
    for child in branch.children:
        _sum(child)
        below = child.totals
        totals.invocations += below.invocations
        totals.steps += below.steps
        totals.refusals += below.refusals
        totals.input_tokens += below.input_tokens
        totals.output_tokens += below.output_tokens
        totals.is_estimated |= below.is_estimated
        cost += int(below.cost_nano)
    totals.cost_nano = str(cost)
