"""Brings tool calls to an end that do not end with their first answer.

What its rules say of a failure is carried out here, attempt by attempt, and what must be so after
a call is checked here. Every further call is an action of its own on the same path.
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, final

import msgspec

from ringfence.analysis import follow_up
from ringfence.analysis.follow_up import Missing
from ringfence.decisions import failure_rule, reason
from ringfence.decisions.failure_rule import Again, Elsewhere, Failed, Standing, key_of
from ringfence.domain.event import Attempt, Status
from ringfence.domain.tool import ToolKey
from ringfence.domain.tool_rule import FollowUp, Postcondition, Remedy, ToolFailure
from ringfence.domain.verdict import Code
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_inspection import Inspected, Unfinished, stopped
from ringfence.enforcement.tool_knock import ToolKnock
from ringfence.enforcement.tool_memory import ToolMemory
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.protocols import tool_result
from ringfence.transport.clock import Clock

_SECOND_US = 1_000_000
_FIRST_ERROR = 400


class Send(Protocol):
    """How a door sends a call: the arguments of the ticket to the tool that its quote names.

    Bounded by the ticket's `deadline_s`; every attempt carries the ticket's action id, by which the
    server can tell a repetition. Gives the raw result, or how there is none; raises nothing else
    than CancelledError.
    """

    def __call__(self, ticket: ToolTicket, /) -> Awaitable[bytes | Failed]:
        """Send it once."""


class _Course(msgspec.Struct):
    """How far one call has come."""

    knock: ToolKnock
    ticket: ToolTicket
    send: Send
    attempts: list[Attempt]
    tries: int = 1
    may_alternate: bool = True


@final
class ToolFinish:
    """One for each worker; each call that asks for it has a task of its own."""

    def __init__(self, *, path: ToolPath, memory: ToolMemory, clock: Clock) -> None:
        """Join the parts."""
        self._path = path
        self._memory = memory
        self._clock = clock

    async def finish(
        self, knock: ToolKnock, ticket: ToolTicket, unfinished: Unfinished, send: Send
    ) -> Inspected:
        """What the agent gets in the end; the ticket is settled with it.

        INVARIANT (I3): whatever happens in here, the ticket is settled before this returns.
        """
        course = _Course(knock=knock, ticket=ticket, send=send, attempts=[])
        found: Inspected | None = None
        try:
            found = await self._finish(course, unfinished)
        finally:
            if found is not None:
                ticket.settle(found.ending())
            elif ticket.is_open:
                ticket.undo(Status.FAILED, "interrupted")
        return found

    async def _finish(self, course: _Course, unfinished: Unfinished) -> Inspected:
        state: Inspected | Unfinished = unfinished
        self._note(course, state)
        while not isinstance(state, Inspected):
            if isinstance(state.what, Failed):
                state = await self._next(course, state.what)
            else:
                state = await self._checked(course, state.what)
        return self._path.heard(course.ticket, state)

    async def _next(self, course: _Course, failed: Failed) -> Inspected | Unfinished:
        """Carry out the next remedy."""
        ticket = course.ticket
        rules, tier = ticket.quote.server.rules, ticket.quote.tier
        cached = self._memory.answer(ticket.caller, ticket.key, ticket.arguments)
        now_us = self._clock.monotonic_us()
        standing = Standing(
            tries=course.tries,
            left_s=ticket.deadline_s - (now_us - ticket.started_us) / _SECOND_US,
            cached_age_s=None if cached is None else (now_us - cached[1]) / _SECOND_US,
            may_alternate=course.may_alternate,
        )
        step = failure_rule.decide(rules, ticket.key, tier, failed, standing)
        match step:
            case Again():
                await asyncio.sleep(step.after_s)
                return await self._again(course)
            case Elsewhere():
                course.may_alternate = False
                return await self._elsewhere(course, step.key, failed)
            case Remedy.CACHED if cached is not None:
                return self._stale(course, failed, *cached)
            case _:
                return self._told(course, failed, step)

    async def _again(self, course: _Course) -> Inspected | Unfinished:
        """The same once more, if it may still be made."""
        course.tries += 1
        why = course.ticket.guard()
        if why is not None:
            return _with_attempts(stopped(_NOTHING, why), course)
        answer = await course.send(course.ticket)
        if isinstance(answer, Failed):
            looked: Inspected | Unfinished = self._path.failed(course.ticket, answer)
        else:
            looked = self._path.inspect(course.ticket, answer)
        self._note(course, looked)
        return _with_attempts(looked, course) if isinstance(looked, Inspected) else looked

    async def _elsewhere(
        self, course: _Course, key: ToolKey, failed: Failed
    ) -> Inspected | Unfinished:
        """Another tool with the same arguments: an action of its own, decided like any other."""
        made = await self._follow(course, key, course.knock.arguments)
        if made is None or made.is_error:
            return Unfinished(what=failed)  # what stands behind `alternative` comes next
        name, other = course.ticket.key.merged, key.merged
        note = f"`{name}` failed, so this is the answer of `{other}` to the same arguments"
        return Inspected(
            result=tool_result.noted(made.result, note),
            error=failed.failure.value,
            status=_status(failed),
            http_status=failed.http_status,
            attempts=tuple(course.attempts),
        )

    async def _follow(self, course: _Course, key: ToolKey, arguments: bytes) -> Inspected | None:
        """Make another call for this one; None if it may not be made or brings nothing."""
        knock = msgspec.structs.replace(
            course.knock,
            key=key,
            arguments=arguments,
            operation="tools/call",
            approval="",
            consumed="",
            used=None,
            call_id="",
            about=course.ticket.action,
        )
        path = self._path
        begun = await path.begun(knock)
        if isinstance(begun, RefusedAction | Holdable):
            return None
        await asyncio.wait((begun.durable,))
        if path.written(begun) is not None:
            return None
        tool = begun.quote.tool
        if tool is not None and tool.view is not None and tool.view.steps:
            begun.undo(Status.FAILED, "view_in_view")  # half of it would pass for the whole
            return None
        found: Inspected | None = None
        try:
            answer = await course.send(begun)
            if isinstance(answer, Failed):
                looked = path.failed(begun, answer).what
            else:
                looked = path.look(begun, answer)
            found = looked if isinstance(looked, Inspected) else failure(begun, looked)
        finally:
            if found is None:
                begun.undo(Status.FAILED, "interrupted")
            else:
                begun.settle(found.ending())
        return found

    def _stale(self, course: _Course, failed: Failed, raw: bytes, then_us: int) -> Inspected:
        """The last good answer in place of a new one."""
        ticket = course.ticket
        age_s = max(0, self._clock.monotonic_us() - then_us) // _SECOND_US
        words = tool_result.failure_text(ticket.key.merged, failed.failure, "")
        note = f"{words} This is its last good answer to the same call, {age_s} seconds old"
        result = tool_result.read(raw)
        noted = tool_result.noted(raw, note)
        bounded = noted if result is None else self._path.inspections.bounded(ticket, noted, result)
        return _ended(course, failed, bounded, is_error=False)

    def _told(self, course: _Course, failed: Failed, remedy: Remedy | object) -> Inspected:
        """The end: the model is told, and whoever must know."""
        ticket = course.ticket
        live, agent = ticket.live, ticket.caller.runtime.agent
        name = ticket.key.merged
        words = tool_result.failure_text(name, failed.failure, failed.said)
        if remedy is Remedy.STOP:
            why = reason.tool_stopped(agent, name, words)
            self._path.end_run(live, why)
            return _ended(course, failed, _error(ticket, failed, why.message), is_error=True)
        if remedy is Remedy.ESCALATE:
            detail = {"tool": name, "failure": failed.failure.value}
            self._path.findings.found(live, "tool_failure", detail)
            words += f" {_HAND_OVER.format(reason.whom_to_ask(agent))}"
        elif failed.failure is ToolFailure.EMPTY:
            return _ended(course, failed, tool_result.EMPTY, is_error=False)
        else:
            words += f" {_ADVICE.get(failed.failure, _GO_ON)}"
        text = f"{words} {_tries(course)}".strip()
        return _ended(course, failed, _error(ticket, failed, text), is_error=True)

    async def _checked(self, course: _Course, found: Inspected) -> Inspected:
        """Check what must be so after a call; what is not holds the run's next serious action."""
        ticket = course.ticket
        wrong: list[str] = []
        for rule in self._path.postconditions(ticket):
            wrong += await self._mismatches(course, rule, found)
        if not wrong:
            found = await self._composed(course, found)
            return found if not course.attempts else _with_attempts(found, course)
        told = "; ".join(wrong)
        self._path.doubt(ticket, told)
        note = (
            f"the call was made, but a check of the state after it failed: {told}. The next "
            "action with consequences waits for a person. Do not repeat the call"
        )
        return msgspec.structs.replace(found, result=tool_result.noted(found.result, note))

    async def _composed(self, course: _Course, found: Inspected) -> Inspected:
        """Make the further calls of a view, and give all their results as one.

        The first that brings nothing ends it; what was done before stands, and the model is told.
        """
        tool = course.ticket.quote.tool
        view = None if tool is None else tool.view
        first = tool_result.read(found.result)
        if view is None or not view.steps or first is None:
            return found
        parts, before = {_FIRST: first.document}, first.document
        for step in view.steps:
            key = key_of(step.call.call, course.ticket.key.server)
            arguments = follow_up.arguments(step.call, course.knock.arguments, before)
            if isinstance(arguments, Missing):
                told = f"it needs `{arguments.path}`, which is not there"
                return _broken_off(course, parts, step.name, step.call.call, told)
            made = None if key is None else await self._follow(course, key, arguments)
            result = None if made is None or made.is_error else tool_result.read(made.result)
            if result is None:
                told = "it may not be made" if made is None else "it failed"
                return _broken_off(course, parts, step.name, step.call.call, told)
            before = parts[step.name] = result.document
        raw = tool_result.joined(parts)
        whole = tool_result.read(raw)
        if whole is not None:
            raw = self._path.inspections.bounded(course.ticket, raw, whole)
        return msgspec.structs.replace(found, result=raw)

    async def _mismatches(
        self, course: _Course, rule: Postcondition, found: Inspected
    ) -> tuple[str, ...]:
        ticket = course.ticket
        key = key_of(rule.check.call, ticket.key.server)
        arguments = _arguments(rule.check, ticket, found)
        if key is None or isinstance(arguments, Missing):
            path = arguments.path if isinstance(arguments, Missing) else "$"
            return (f"the check needs `{path}`, which is not there",)
        made = await self._follow(course, key, arguments)
        result = None if made is None or made.is_error else tool_result.read(made.result)
        if result is None:
            return (f"the check `{key.merged}` could not be made",)
        return follow_up.mismatches(rule, result.document)

    def _note(self, course: _Course, state: Inspected | Unfinished) -> None:
        """Remember an attempt that has failed."""
        if isinstance(state, Inspected) or isinstance(state.what, Inspected):
            return
        ticket, failed = course.ticket, state.what
        course.attempts.append(
            Attempt(
                provider=ticket.key.server,
                upstream=ticket.key.name,
                status=failed.http_status,
                error=failed.failure.value,
                duration_us=self._clock.monotonic_us() - ticket.started_us,
            )
        )


def failure(ticket: ToolTicket, failed: Failed) -> Inspected:
    """A failure as its action ends with it, where nothing more is tried."""
    words = tool_result.failure_text(ticket.key.merged, failed.failure, failed.said)
    return Inspected(
        result=_error(ticket, failed, words),
        is_error=True,
        error=failed.failure.value,
        status=_status(failed),
        http_status=failed.http_status,
        was_sent=failed.was_sent,
    )


_FIRST = "result"


def _broken_off(
    course: _Course, parts: dict[str, bytes], step: str, call: str, told: str
) -> Inspected:
    """What the model gets of several calls of which one was not made, or failed."""
    name = course.ticket.key.merged
    note = (
        f"step `{step}` (`{call}`) of `{name}` was not done: {told}. What stands before it was "
        "done. Do not repeat the whole call"
    )
    raw = tool_result.joined(parts, is_error=True)
    return Inspected(
        result=tool_result.noted(raw, note),
        is_error=True,
        error="step_failed",
        status=Status.UPSTREAM_ERROR,
        attempts=tuple(course.attempts),
    )


def _error(ticket: ToolTicket, failed: Failed, text: str) -> bytes:
    told = {
        "code": Code.TOOL_UNAVAILABLE.value,
        "tool": ticket.key.merged,
        "failure": failed.failure.value,
        "action": ticket.action,
    }
    return tool_result.error(text, told)


def _status(failed: Failed) -> Status:
    if failed.failure is ToolFailure.EMPTY:
        return Status.OK
    return Status.UPSTREAM_ERROR if failed.http_status >= _FIRST_ERROR else Status.FAILED


def _arguments(check: FollowUp, ticket: ToolTicket, found: Inspected) -> bytes | Missing:
    result = tool_result.read(found.result)
    document = b"null" if result is None else result.document
    return follow_up.arguments(check, ticket.arguments, document)


def _ended(course: _Course, failed: Failed, result: bytes, *, is_error: bool) -> Inspected:
    return Inspected(
        result=result,
        is_error=is_error,
        error=failed.failure.value,
        status=_status(failed),
        http_status=failed.http_status,
        attempts=tuple(course.attempts),
        was_sent=failed.was_sent or course.tries > 1,
    )


_NOTHING = Inspected(result=b"")


def _with_attempts(found: Inspected, course: _Course) -> Inspected:
    return msgspec.structs.replace(found, attempts=tuple(course.attempts))


def _tries(course: _Course) -> str:
    return f"It was tried {course.tries} times." if course.tries > 1 else ""


_GO_ON = "Go on without it if you can; other tools are not affected."
_HAND_OVER = "You cannot mend this, and no retry can succeed. Hand the task over, or ask {}."
_ADVICE = {
    ToolFailure.FORBIDDEN: "No retry can succeed. Go on without it, or say what you need.",
    ToolFailure.NOT_FOUND: "Check what you asked for.",
    ToolFailure.RATE_LIMITED: "Wait before you call it again.",
}
