"""Every sandbox of one worker: granted, joined by its monitor, watched, and ended on the record."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, final

import msgspec

from ringfence.decisions import sandbox as rule
from ringfence.domain.agent import AgentState
from ringfence.domain.caller import CallerTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.domain.monitoring import Close, Ended, Join
from ringfence.domain.sandbox import Sandbox, SandboxEnd, SandboxGrant, SandboxOrder
from ringfence.enforcement.directory import Caller, Directory, digest_of
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.enforcement.sandbox import (
    Authority,
    Holders,
    Listeners,
    LiveSandbox,
    Monitor,
    SandboxDoor,
    usable_servers,
)
from ringfence.transport import entropy
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

_LOG = logging.getLogger(__name__)

TICKET_S: Final = 60.0
"""How long a grant waits for its monitor: making a sandbox takes far less than a second."""
_TASK_CHARACTERS: Final = 2000
_TICKET_PREFIX: Final = "rf_tkt_"


class SandboxRecord(Protocol):
    """Puts the life of a sandbox on the record, under its invocation."""

    def started(self, sandbox: LiveSandbox, join: Join, /) -> None:
        """It begins; not durable before the ledger says so."""

    def ended(self, sandbox: LiveSandbox, why: SandboxEnd, ended: Ended | None, /) -> None:
        """It is over, as its monitor says, or nobody does; what was open in it is settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxParts:
    """What sandboxes are made of and served with.

    `doors` serve listeners, and are stopped in this order. `authority` makes the certificate
    authority of a sandbox, None where nothing is intercepted; `holders` its placeholders.
    """

    directory: Directory
    invocations: Invocations
    ledger: Ledger
    clock: Clock
    ids: Ids
    record: SandboxRecord
    doors: Sequence[SandboxDoor] = ()
    authority: Callable[[], Authority | None] = lambda: None
    holders: Callable[[AgentRuntime], Holders | None] = lambda _: None


@dataclass(slots=True)
class _Waiting:
    """A grant that no monitor has taken up."""

    box: LiveSandbox
    until_us: int


@dataclass(slots=True)
class _Kept:
    box: LiveSandbox
    closing: asyncio.Task[None] | None = field(default=None)


@final
class Sandboxes:
    """INVARIANT: used by one event loop. A sandbox is known from its grant to its recorded end."""

    def __init__(self, parts: SandboxParts, socket: str) -> None:
        """None yet; monitors join at the Unix socket `socket`."""
        self._parts = parts
        self._socket = socket
        self._waiting: dict[bytes, _Waiting] = {}
        self._kept: dict[str, _Kept] = {}
        parts.invocations.on_end = self._invocation_ended

    def find(self, sandbox: str) -> LiveSandbox | None:
        """The sandbox with that id, while it is known."""
        kept = self._kept.get(sandbox)
        return None if kept is None else kept.box

    def of(self, organisation: str) -> Sequence[Sandbox]:
        """What there is to know of those of an organisation."""
        return [each.sandbox for each in self.all() if each.sandbox.organisation == organisation]

    async def end(self, organisation: str, sandbox: str, message: str) -> bool:
        """End one because a person wants it; False if there is none of that id."""
        box = self.find(sandbox)
        if box is None or box.sandbox.organisation != organisation:
            return False
        await self.close(sandbox, SandboxEnd.STOPPED, message)
        return True

    def all(self) -> Iterable[LiveSandbox]:
        """Every one that is known, in the order of their grants."""
        return [kept.box for kept in self._kept.values()]

    async def open(self, order: SandboxOrder) -> SandboxGrant:
        """Make everything of a sandbox that the plane keeps.

        Raises UsageError `agent_state`, `sandbox_tier`, `allow_list_empty`, `sandbox_refused`;
        UnavailableError if it cannot be recorded.
        """
        runtime = self._runtime(order)
        rule.tier(runtime.agent, order.tier)
        rule.check_reach(runtime.agent)
        caller = self._credential(order, runtime)
        try:
            live, token = await self._declare(order, caller)
        except BaseException:
            self._parts.directory.drop_credential(caller.credential)
            raise
        box = self._box(order, live, token)
        self._kept[box.id] = _Kept(box)
        try:
            # A token that a crash would forget is never given out.
            await self._parts.ledger.flush()
        except UnavailableError:
            await self.close(box.id, SandboxEnd.NOT_STARTED)
            raise
        ticket = entropy.secret(_TICKET_PREFIX)
        until_us = self._parts.clock.monotonic_us() + int(TICKET_S * 1e6)
        self._waiting[digest_of(ticket.encode())] = _Waiting(box, until_us)
        return self._grant(box, ticket, token)

    async def join(self, join: Join, listeners: Listeners, monitor: Monitor) -> LiveSandbox:
        """Begin: on the record first, then its listeners are served.

        Raises UsageError `ticket_unknown`, or as `open`; then nothing of it has begun.
        """
        waiting = self._waiting.pop(digest_of(join.ticket.encode()), None)
        if waiting is None or waiting.box.end is not None:
            raise UsageError("ticket_unknown", "this sandbox was granted too long ago, or is over")
        box, parts = waiting.box, self._parts
        if join.tier is not box.sandbox.tier:
            await self.close(box.id, SandboxEnd.NOT_STARTED)
            raise UsageError("sandbox_tier", f"the sandbox is not of tier `{box.sandbox.tier}`")
        box.monitor, box.listeners = monitor, listeners
        box.sandbox = msgspec.structs.replace(
            box.sandbox, monitor_pid=join.pid, started_us=parts.clock.now_us()
        )
        try:
            self._check_open(box)
            parts.record.started(box, join)
            await parts.ledger.flush()
            self._check_open(box)
            box.is_open = True
            for door in parts.doors:
                await door.serve(box, listeners)
        except BaseException:
            await self.close(box.id, SandboxEnd.NOT_STARTED)
            raise
        return box

    async def close(
        self, sandbox: str, why: SandboxEnd, message: str = "", ended: Ended | None = None
    ) -> None:
        """End a sandbox, and return when that is recorded; harmless if it is over.

        It loses its network and its token at once, its processes after that. `ended` is how its
        monitor says that it has ended by itself.
        """
        kept = self._kept.get(sandbox)
        if kept is None:
            return
        if kept.closing is None:
            kept.closing = asyncio.create_task(self._close(kept.box, why, message, ended))
        await asyncio.shield(kept.closing)

    async def close_all(self, why: SandboxEnd, message: str) -> None:
        """End every one at the same time."""
        await asyncio.gather(*(self.close(each, why, message) for each in tuple(self._kept)))

    def check(self) -> None:
        """End those whose agent may not act any more or whose monitor never came.

        Called when agents change, and every few seconds. While one is open, it is not idle.
        """
        now_us = self._parts.clock.now_us()
        monotonic_us = self._parts.clock.monotonic_us()
        for digest, waiting in tuple(self._waiting.items()):
            if monotonic_us >= waiting.until_us:
                del self._waiting[digest]
                self._end_soon(waiting.box, SandboxEnd.NOT_STARTED, "")
        for box in self.all():
            barred = box.live.barred_reason()
            if barred is not None:
                self._end_soon(box, SandboxEnd.AGENT_NOT_ACTIVE, barred.message)
            elif box.is_open:
                self._parts.invocations.touch(box.live, now_us)

    # Within

    def _runtime(self, order: SandboxOrder) -> AgentRuntime:
        runtime = self._parts.directory.agent(order.agent)
        if runtime is None or runtime.organisation.id != order.organisation:
            raise UnavailableError("worker_behind", "this worker does not know the agent yet")
        if runtime.state is not AgentState.ACTIVE:
            name, state = runtime.agent.name, runtime.state.value
            raise UsageError("agent_state", f"agent `{name}` is {state}")
        return runtime

    def _credential(self, order: SandboxOrder, runtime: AgentRuntime) -> Caller:
        """A credential that nobody holds and only this worker knows: it bears the sandbox's id."""
        digest = digest_of(entropy.random_bytes(32))
        now_us = self._parts.clock.now_us()
        tier = CallerTier.INTERACTIVE if order.is_interactive else CallerTier.API
        credential = AgentCredential(
            id=self._parts.ids.make("sbx"),
            organisation=order.organisation,
            agent=runtime.id,
            digest=digest,
            created_us=now_us,
            tier=tier,
        )
        directory = self._parts.directory
        directory.put_credentials([credential])
        found = directory.identify(digest, now_us)
        if not isinstance(found, Caller):
            raise UnavailableError("worker_behind", "this worker does not know the agent yet")
        return found

    async def _declare(self, order: SandboxOrder, caller: Caller) -> tuple[LiveInvocation, str]:
        task = " ".join(order.command)[:_TASK_CHARACTERS]
        now_us = self._parts.clock.now_us()
        narrowing = Narrowing(seconds=order.seconds)
        opened = await self._parts.invocations.declare(caller, task, narrowing, now_us)
        if isinstance(opened, Refusable):
            raise UsageError("sandbox_refused", _lowered(opened.verdict.reason.message))
        return opened

    def _box(self, order: SandboxOrder, live: LiveInvocation, token: str) -> LiveSandbox:
        parts, runtime = self._parts, live.runtime
        authority = parts.authority()
        found = parts.directory.identify(digest_of(token.encode()), parts.clock.now_us())
        if not isinstance(found, Caller):
            raise UnavailableError("worker_behind", "the sandbox's token is not known yet")
        box = LiveSandbox(
            Sandbox(
                id=live.identity.credential,
                organisation=order.organisation,
                agent=runtime.id,
                invocation=live.id,
                tier=order.tier,
                started_us=live.identity.opened_us,
                monitor_pid=0,
                workspace=order.workspace,
                ca_fingerprint=authority.fingerprint if authority is not None else "",
                policy=runtime.organisation.policy_digest,
            ),
            order,
            found,
            live,
        )
        box.authority = authority
        box.placeholders = parts.holders(runtime)
        box.passes = runtime.organisation.egress.uninspected
        return box

    def _grant(self, box: LiveSandbox, ticket: str, token: str) -> SandboxGrant:
        runtime, deadline_us = box.live.runtime, box.live.identity.deadline_us
        left_us = None if deadline_us is None else deadline_us - self._parts.clock.now_us()
        return SandboxGrant(
            id=box.id,
            ticket=ticket,
            socket=self._socket,
            invocation=box.live.id,
            token=token,
            tier=box.sandbox.tier,
            environment=box.placeholders.variables if box.placeholders is not None else {},
            ca_pem=box.authority.pem.decode() if box.authority is not None else "",
            passes=box.passes,
            models={name: route.protocol.value for name, route in sorted(runtime.routes.items())},
            servers=usable_servers(runtime, own=False),
            own_tools=usable_servers(runtime, own=True),
            seconds=None if left_us is None else max(1, left_us // 1_000_000),
            rules=runtime.agent.sandbox_rules,
        )

    @staticmethod
    def _check_open(box: LiveSandbox) -> None:
        why = state_reason(box.live.runtime)
        if why is not None or box.end is not None:
            message = "it is over" if why is None else _lowered(why.message)
            raise UsageError("sandbox_refused", message)

    def _end_soon(self, box: LiveSandbox, why: SandboxEnd, message: str) -> None:
        kept = self._kept.get(box.id)
        if kept is not None and kept.closing is None:
            kept.closing = asyncio.create_task(self._close(box, why, message, None))

    def _invocation_ended(self, live: LiveInvocation) -> None:
        """Nothing more may be done in it, so that its sandbox is over too."""
        kept = self._kept.get(live.identity.credential)
        if kept is not None and live.parent is None:
            message = live.stopped.message if live.stopped is not None else ""
            self._end_soon(kept.box, SandboxEnd.INVOCATION_ENDED, message)

    async def _close(
        self, box: LiveSandbox, why: SandboxEnd, message: str, ended: Ended | None
    ) -> None:
        parts = self._parts
        had_begun = box.is_open
        box.is_open, box.end = False, why
        parts.directory.drop_credential(box.id)
        for door in parts.doors:
            try:
                await door.stop(box)
            except Exception:  # noqa: BLE001 (the others must be stopped all the same)
                _LOG.exception("a door of a sandbox could not be closed in order")
        for _, listener in box.listeners:
            listener.close()
        if ended is None and box.monitor is not None and had_begun:
            ended = await box.monitor.end(Close(why=why, message=message))
        parts.record.ended(box, why, ended)
        with contextlib.suppress(RingfenceError):
            await parts.invocations.end(box.live, parts.clock.now_us())
        with contextlib.suppress(RingfenceError):
            await parts.ledger.flush()
        self._kept.pop(box.id, None)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")
