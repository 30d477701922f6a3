"""Held calls: where they wait for a person, what they are told, and that each is used once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

from ringfence.decisions import approval as rule
from ringfence.decisions.approval import ApprovalEvent, Objection
from ringfence.domain.approval import Approval, ApprovalState, Binding, Vote
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.stores.state.approval import ApprovalRecords
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids

LOOK_S: Final = 2.0
"""How often a waiting call looks by itself: whoever answers may do so at another plane."""
_HANDED_OUT_US: Final = 2_000_000
"""How long a held call counts as waited for before somebody begins to wait."""

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A call that needs a person, as the path asks for it to be held."""

    binding: Binding
    agent_name: str
    reasons: tuple[str, ...]
    seconds: int
    quorum: int = 1
    escalate_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A held call as the path gets it; `is_new` tells whether it is held for the first time."""

    approval: Approval
    is_new: bool


class Approvals(Protocol):
    """What the path needs of approvals; raises UnavailableError where they cannot be had."""

    async def hold(self, asking: Asking) -> Held | Deny:
        """Hold a call, durably; a `Deny` if it is not put before people at all.

        The same call again takes up the one that is held and that nobody waits for any more; while
        somebody does, it is another call of its own.
        """

    async def wait(self, organisation: str, approval: str, timeout_s: float) -> Approval | None:
        """The held call when it is no longer pending, or as it is after that time."""

    async def find(self, organisation: str, approval: str) -> Approval | None:
        """The held call as it is."""

    async def consume(self, approval: str, binding: Binding, action: str) -> Approval | Deny:
        """Use it for this action, once and for exactly what was approved."""


Approvers = Callable[[str], AbstractSet[str]]
"""The users, as `user:<id>`, who may approve in an organisation now."""
Tell = Callable[[str, Approval], Awaitable[None]]
"""Puts on record, and tells whoever must know, what has become of a held call (`approval.…`)."""


@final
class ApprovalDesk:
    """Implements `Approvals` on the state store; one for each plane, used by one event loop.

    INVARIANT: nothing is approved from memory alone; the store's transaction decides.
    """

    def __init__(
        self,
        records: ApprovalRecords,
        *,
        clock: Clock,
        ids: Ids,
        approvers: Approvers,
        tell: Tell,
    ) -> None:
        """Take up what is open with `begin`."""
        self._records = records
        self._clock = clock
        self._ids = ids
        self._approvers = approvers
        self._tell = tell
        self._open: dict[tuple[str, str], Approval] = {}
        self._waiting: dict[str, int] = {}
        self._handed_out: dict[str, int] = {}
        self._changed = asyncio.Condition()

    async def begin(self) -> None:
        """Read what an earlier run left open. Raises UnavailableError."""
        for each in await asyncio.to_thread(self._records.open):
            self._open[each.binding.organisation, each.id] = each

    # `Approvals`

    async def hold(self, asking: Asking) -> Held | Deny:
        """Hold a call; see `Approvals`."""
        print_ = rule.fingerprint(asking.binding)
        known = self._unattended(asking.binding.organisation, print_)
        if known is not None:
            self._handed_out[known.id] = self._clock.monotonic_us()
            return Held(approval=known, is_new=False)
        now_us = self._clock.now_us()
        approval = Approval(
            id=self._ids.make("apr"),
            binding=asking.binding,
            fingerprint=print_,
            agent_name=asking.agent_name,
            reasons=asking.reasons,
            created_us=now_us,
            expires_us=now_us + min(asking.seconds, rule.LONGEST_S) * _SECOND_US,
            quorum=asking.quorum,
            escalate_to=asking.escalate_to,
        )
        refused = await asyncio.to_thread(self._records.add, approval, rule.unholdable)
        if refused is not None:
            return Deny(reason=refused)
        self._handed_out[approval.id] = self._clock.monotonic_us()
        self._open[approval.binding.organisation, approval.id] = approval
        await self._tell("approval.requested", approval)
        return Held(approval=approval, is_new=True)

    async def wait(self, organisation: str, approval: str, timeout_s: float) -> Approval | None:
        """Wait for an answer; see `Approvals`."""
        until_us = self._clock.monotonic_us() + int(timeout_s * _SECOND_US)
        self._waiting[approval] = self._waiting.get(approval, 0) + 1
        try:
            while True:
                found = await self.find(organisation, approval)
                left_s = (until_us - self._clock.monotonic_us()) / _SECOND_US
                if found is None or found.state is not ApprovalState.PENDING or left_s <= 0:
                    return found
                await self._change_within(min(left_s, LOOK_S))
        finally:
            self._leave(approval)

    async def find(self, organisation: str, approval: str) -> Approval | None:
        """The held call as it is; one whose time is over has expired."""
        found = await asyncio.to_thread(self._records.find, organisation, approval)
        if found is not None and rule.is_over(found, self._clock.now_us()):
            return await self._happen(found, ApprovalEvent.EXPIRE, "approval.expired")
        if found is None or found.state not in rule.OPEN:
            await self._ended((organisation, approval))  # elsewhere, perhaps at another plane
        return found

    async def consume(self, approval: str, binding: Binding, action: str) -> Approval | Deny:
        """Use an approval; see `Approvals`."""
        now_us, organisation = self._clock.now_us(), binding.organisation
        approvers = self._approvers(organisation)
        said: list[Approval | Deny] = []

        def use(found: Approval) -> Approval | None:
            used = rule.consume(found, binding, action, approvers, now_us)
            said[:] = [used]
            return used if isinstance(used, Approval) else None

        await asyncio.to_thread(self._records.change, organisation, approval, use)
        if not said:
            return _unknown(approval)
        if isinstance(said[0], Approval):
            await self._ended((organisation, approval))
        return said[0]

    # For people

    async def decide(self, organisation: str, approval: str, ballot: Vote) -> Approval | Objection:
        """Take somebody's vote, which is already on record. Raises KeyError if there is no such."""
        said: list[Approval | Objection] = []
        voter = ballot.user.removeprefix("user:") if ballot.user.startswith("user:") else ""

        def cast(found: Approval) -> Approval | None:
            voted = rule.vote(found, ballot, voter)
            said[:] = [voted]
            return voted if isinstance(voted, Approval) else None

        await asyncio.to_thread(self._records.change, organisation, approval, cast)
        if not said:
            raise KeyError(approval)
        if isinstance(said[0], Approval):
            await self._moved(said[0])
        return said[0]

    async def withdraw(self, is_void: Callable[[Approval], bool]) -> None:
        """End every open one that rests on something which is gone."""
        for each in [each for each in self._open.values() if is_void(each)]:
            await self._happen(each, ApprovalEvent.WITHDRAW, "approval.withdrawn")

    async def forget(self, approvals: Collection[Approval]) -> int:
        """Drop held calls for good, whatever has become of them; how many there were.

        Those that are open are withdrawn first, so that whoever waits is told.
        """
        kept: dict[str, list[str]] = {}
        for each in approvals:
            if each.state in rule.OPEN:
                await self._happen(each, ApprovalEvent.WITHDRAW, "approval.withdrawn")
            kept.setdefault(each.binding.organisation, []).append(each.id)
        found = 0
        for organisation, ids in kept.items():
            found += await asyncio.to_thread(self._records.forget, organisation, ids)
        return found

    async def tidy(self) -> None:
        """Let expire what nobody has answered, and ask the next one to answer what is left."""
        now_us = self._clock.now_us()
        for each in list(self._open.values()):
            if rule.is_over(each, now_us):
                await self._happen(each, ApprovalEvent.EXPIRE, "approval.expired")
            elif rule.is_due(each, now_us):
                await self._escalate(each, now_us)

    # Within

    def _unattended(self, organisation: str, print_: str) -> Approval | None:
        """The oldest open one for exactly this call that nobody waits for."""
        now_us = self._clock.now_us()
        for each in self._open.values():
            is_it = each.binding.organisation == organisation and each.fingerprint == print_
            if is_it and not rule.is_over(each, now_us) and not self._is_attended(each.id):
                return each
        return None

    def _is_attended(self, approval: str) -> bool:
        given_us = self._handed_out.get(approval)
        is_fresh = given_us is not None and (self._clock.monotonic_us() - given_us < _HANDED_OUT_US)
        return is_fresh or approval in self._waiting

    def _leave(self, approval: str) -> None:
        left = self._waiting[approval] - 1
        self._handed_out.pop(approval, None)
        if left:
            self._waiting[approval] = left
        else:
            del self._waiting[approval]

    async def _change_within(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait()

    async def _happen(self, approval: Approval, event: ApprovalEvent, what: str) -> Approval:
        """Let it happen if it still can; tell of it if it did."""
        happened: list[Approval] = []

        def advance(found: Approval) -> Approval | None:
            is_early = event is ApprovalEvent.EXPIRE and not rule.is_over(
                found, self._clock.now_us()
            )
            changed = None if is_early else rule.advance(found, event)
            happened[:] = [] if changed is None else [changed]
            return changed

        key = (approval.binding.organisation, approval.id)
        now = await asyncio.to_thread(self._records.change, *key, advance)
        found = now or replace(approval, state=ApprovalState.WITHDRAWN)
        await self._moved(found)
        if happened:
            await self._tell(what, found)
        return found

    async def _escalate(self, approval: Approval, now_us: int) -> None:
        marked = replace(approval, escalated_us=now_us)
        key = (approval.binding.organisation, approval.id)

        def mark(found: Approval) -> Approval | None:
            return replace(found, escalated_us=now_us) if rule.is_due(found, now_us) else None

        now = await asyncio.to_thread(self._records.change, *key, mark)
        if now is not None:
            await self._moved(now)
        if now == marked:
            await self._tell("approval.escalated", marked)

    async def _moved(self, approval: Approval) -> None:
        key = (approval.binding.organisation, approval.id)
        if approval.state in rule.OPEN:
            self._open[key] = approval
            async with self._changed:
                self._changed.notify_all()
        else:
            await self._ended(key)

    async def _ended(self, key: tuple[str, str]) -> None:
        """Know it as open no more; whoever waits for it looks."""
        self._handed_out.pop(key[1], None)
        if self._open.pop(key, None) is None:
            return
        async with self._changed:
            self._changed.notify_all()


def _unknown(approval: str) -> Deny:
    return Deny(
        reason=Reason(
            code=Code.APPROVAL_MISMATCH,
            message="Ringfence knows no approval with that id for this agent. Make the call again "
            "without it.",
            facts=(("approval", approval),),
        )
    )
