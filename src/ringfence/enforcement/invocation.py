"""Invocations while they are open: joining, opening, narrowing, ending."""

from collections.abc import Callable, Iterable
from typing import Protocol

from ringfence.decisions import limit, rate, reason
from ringfence.decisions.clue import Clues
from ringfence.decisions.grouping import Groups, Join, Open
from ringfence.decisions.rate import Rate
from ringfence.domain.budget import AccountKey
from ringfence.domain.credential import INVOCATION_TOKEN_PREFIX
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.money import Money
from ringfence.domain.user import Principal
from ringfence.domain.verdict import Deny, Reason, Refused, Stop
from ringfence.enforcement import opening
from ringfence.enforcement.directory import (
    PROOF_REVOKED,
    REVOKED,
    Caller,
    Directory,
    digest_of,
)
from ringfence.enforcement.invocation_log import InvocationLog
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.narrowing import (
    Narrowing,
    group_of,
    narrowing_of,
    principal_of,
    restored_runtime,
)
from ringfence.enforcement.opening import Asked, clues_of
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.stores.ledger import InvocationRecord
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids, secret

_SECOND_US = 1_000_000
_CLOSED_KEPT = 4_096


Watch = Callable[[LiveInvocation], None]


class Accounts(Protocol):
    """Whoever keeps what runs are charged: a worker's book, or the broker of many workers."""

    def load(self, key: AccountKey, window_start_us: int, spent: Money, /) -> None:
        """Take what the record knows of a run that is taken up again."""

    def forget(self, holder: str, /) -> None:
        """Drop the accounts of a run that has ended."""


class Invocations:
    """Every open invocation of this process, and the last closed ones.

    Where several workers serve, the registry has all of them and each worker those in which it
    acts (`enforcement.registry`, `enforcement.invocation_view`).
    """

    def __init__(
        self, *, directory: Directory, book: Accounts, ledger: Ledger, clock: Clock, ids: Ids
    ) -> None:
        """Nothing is open yet; `restore` brings back what a restart left open."""
        self._directory = directory
        self._book = book
        self._log = InvocationLog(ledger=ledger, directory=directory, clock=clock)
        self._clock = clock
        self._ids = ids
        self._groups = Groups()
        self._open: dict[str, LiveInvocation] = {}
        self._closed: dict[str, LiveInvocation] = {}
        self._rates: dict[str, Rate] = {}
        self.on_end: Watch | None = None
        """Told of each invocation that has ended."""

    def __len__(self) -> int:
        """How many invocations are open."""
        return len(self._open)

    def join(
        self, caller: Caller, request: ModelRequest, hints: tuple[tuple[str, str], ...], now_us: int
    ) -> LiveInvocation | Refusable | Lacking:
        """The invocation that a call belongs to, opened if it is new, and open still.

        `Lacking` if only another process knows; one that holds all invocations never lacks any.
        """
        live = self.of_token(caller, now_us)
        if live is not None:
            return live
        hints = (*hints, *request.client_ids)
        return self.join_by(caller, clues_of(caller, hints, request.messages), now_us)

    def join_tool(
        self, caller: Caller, hints: tuple[tuple[str, str], ...], now_us: int
    ) -> LiveInvocation | Refusable | Lacking:
        """The same for a call that shows no conversation."""
        live = self.of_token(caller, now_us)
        if live is not None:
            return live
        return self.join_by(caller, clues_of(caller, hints, is_tool=True), now_us)

    def of_token(self, caller: Caller, now_us: int) -> LiveInvocation | None:
        """The root of a caller's own token, where nothing stands against it; `join_by` says what.

        A token outweighs every other clue (`decisions.grouping`), so these are not looked for.
        """
        invocation = caller.invocation
        live = None if invocation is None else self._open.get(invocation)
        if live is None or not self._groups.holds(live.id, caller.runtime.agent, now_us):
            return None
        if live.closed_reason(now_us) is not None:
            return None
        self._refresh(live)
        return live

    def rejoin(self, caller: Caller, invocation: str, now_us: int) -> LiveInvocation | Refusable:
        """An invocation in which a call of this caller was held, if it is open still."""
        live = self.find(invocation)
        if live is None:
            closed = reason.invocation_closed(caller.runtime.agent, invocation)
            return Refusable(verdict=Stop(reason=closed))
        self.touch(live, now_us)
        return self._entered(live, now_us)

    def join_by(
        self, caller: Caller, clues: Clues, now_us: int
    ) -> LiveInvocation | Refusable | Lacking:
        """The same by what the call shows."""
        agent = caller.runtime.agent
        organisation = caller.runtime.organisation.id
        found = self._groups.find(organisation, agent, clues, now_us)
        if isinstance(found, Join):
            live = self._open.get(found.invocation) or self._closed.get(found.invocation)
            if live is None:
                return Refusable(
                    verdict=Deny(reason=reason.invocation_unknown(agent, found.invocation))
                )
        elif isinstance(found, Open):
            throttle = rate.new_invocation(agent, self._rate(agent.id), now_us)
            if throttle is not None:
                return Refusable(verdict=throttle)
            live = self._add(opening.root(caller, found, self._ids.make("inv"), now_us))
            self._groups.open(organisation, agent, clues, found, invocation=live.id, now_us=now_us)
            if live.runtime.principal is not None:
                # An intent that opens an invocation says who acts, not what the proof was.
                self.record_opening(live)
        else:
            return self._turned_away(found)
        return self._entered(live, now_us)

    def _entered(self, live: LiveInvocation, now_us: int) -> LiveInvocation | Refusable:
        """An invocation that a call belongs to, if it is still open."""
        closed = live.closed_reason(now_us)
        if closed is not None:
            return Refusable(verdict=Stop(reason=closed), live=live)
        self._refresh(live)
        return live

    async def declare(
        self, caller: Caller, task: str, narrowing: Narrowing, now_us: int
    ) -> tuple[LiveInvocation, str] | Refusable:
        """Open an invocation that was asked for, and make its token.

        An agent token opens a root, an invocation token a child of its invocation.
        Raises UnavailableError if whoever knows them all does not answer.
        """
        token = secret(INVOCATION_TOKEN_PREFIX)
        opened = self.open_declared(caller, task, narrowing, digest_of(token.encode()), now_us)
        return opened if isinstance(opened, Refusable) else (opened, token)

    async def end(self, live: LiveInvocation, now_us: int) -> None:
        """Finish an invocation because its agent asks for it."""
        self.finish(live, now_us)

    def open_declared(
        self, caller: Caller, task: str, narrowing: Narrowing, digest: bytes, now_us: int
    ) -> LiveInvocation | Refusable:
        """Open an invocation whose token has this digest."""
        runtime = caller.runtime
        agent = runtime.agent
        parent: LiveInvocation | None = None
        if caller.invocation is not None:
            parent = self.find(caller.invocation)
            if parent is None:
                return Refusable(
                    verdict=Stop(reason=reason.invocation_closed(agent, caller.invocation))
                )
            closed = parent.closed_reason(now_us)
            if closed is not None:
                return Refusable(verdict=Stop(reason=closed), live=parent)
            over = limit.sub_agent(agent, parent.tree, parent.identity.depth + 1)
            if over is not None:
                return Refusable(verdict=Deny(reason=over), live=parent)
        else:
            throttle = self._groups.room(
                runtime.organisation.id, agent, now_us
            ) or rate.new_invocation(agent, self._rate(agent.id), now_us)
            if throttle is not None:
                return Refusable(verdict=throttle)
        live = self._declared(caller, parent, narrowing, now_us)
        live.token_digest = digest
        self._install_token(live)
        self.record_opening(live, narrowing, task)
        return live

    def record_opening(
        self, live: LiveInvocation, narrowing: Narrowing | None = None, task: str = ""
    ) -> None:
        """Tell the ledger of an invocation that no intent has opened."""
        self._log.opened(live, narrowing, task)

    def find(self, invocation: str) -> LiveInvocation | None:
        """An open invocation, or one that was closed lately."""
        return self._open.get(invocation) or self._closed.get(invocation)

    def open(self) -> Iterable[LiveInvocation]:
        """Every open invocation, parents before children."""
        return self._open.values()

    def advance(self, invocation: str, tip: int) -> None:
        """A conversation of this invocation was continued elsewhere, up to this hash."""
        self._groups.advance(invocation, tip)

    def touch(self, live: LiveInvocation, now_us: int) -> None:
        """A call of this invocation has just ended: it was not idle while the call ran."""
        live.last_us = now_us
        self._groups.touch(live.root, now_us)

    def mark(self, live: LiveInvocation, *, is_cleared: bool = False) -> None:
        """What a tree has read or is in doubt has changed: tell whoever else must know."""

    def finish(self, live: LiveInvocation, now_us: int) -> None:
        """The agent says that it is done; everything below it ends too."""
        self._end(live, InvocationState.FINISHED, None, now_us)

    def stop(self, live: LiveInvocation, cause: Reason, now_us: int) -> None:
        """End an invocation for good; later calls are told the cause."""
        self._end(live, InvocationState.STOPPED, cause, now_us)

    def expire(self, now_us: int) -> None:
        """Close what was left idle or has passed its deadline; call every few seconds.

        What has a call running, or one that waits for a person, is not idle.
        """
        for live in self._open.values():
            if live.running or live.waiting:
                self.touch(live, now_us)
        for invocation in self._groups.expire(now_us):
            idle = self._open.get(invocation)
            if idle is not None:
                self._end(idle, InvocationState.EXPIRED, None, now_us)
        overdue = [
            live
            for live in self._open.values()
            if live.identity.deadline_us is not None and now_us >= live.identity.deadline_us
        ]
        for live in overdue:
            self._end(live, InvocationState.EXPIRED, live.closed_reason(now_us), now_us)

    def check_calls(self, now_us: int) -> None:
        """End the calls that have taken too long; `now_us` is monotonic. Ask every few seconds."""
        for live in list(self._open.values()):
            for call in tuple(live.running):
                call.check(now_us)

    def end_calls(self, now_us: int) -> None:
        """Stop the calls that nobody could begin now: by agent, credential and model."""
        for live in list(self._open.values()):
            if not live.running:
                continue
            why = live.barred_reason()
            if why is None and self._directory.is_revoked(live.identity.credential, now_us):
                why = REVOKED.reason
            if why is None and live.proof and self._directory.is_revoked(live.proof, now_us):
                why = PROOF_REVOKED.reason
            if why is not None:
                live.end_calls(why)
            else:
                live.end_calls_out_of_scope()

    def restore(self, records: Iterable[InvocationRecord]) -> None:
        """Take up what a restart left open, parents before children, the longest idle first.

        A child whose parent is gone stays closed: it would escape the budgets of its tree.
        """
        for record in sorted(records, key=lambda each: (each.invocation.depth, each.last_us)):
            identity = record.invocation
            runtime = self._directory.agent(identity.agent)
            if runtime is None or not record.is_identified:
                continue
            parent = self._open.get(identity.parent) if identity.parent else None
            if identity.parent and parent is None:
                continue
            live = self._revive(identity, runtime, narrowing_of(record), record.last_us)
            live.steps = record.steps
            live.tree.mark(record.seen, dict(record.doubts), is_cleared=False)
            calls = limit.model_calls_key(identity.organisation, live.root)
            self._book.load(calls, 0, Money(record.steps))
            live.tree.sub_agents += parent is not None
            live.tree.alive += parent is not None
            live.token_digest = record.token_digest
            self._install_token(live)

    def _revive(
        self,
        identity: Invocation,
        runtime: AgentRuntime,
        narrowing: Narrowing,
        last_us: int,
        principal: Principal | None = None,
    ) -> LiveInvocation:
        """An invocation that was opened elsewhere or before; its parent is known."""
        parent = self._open.get(identity.parent) if identity.parent else None
        tier = self._directory.tier_of(identity.credential)
        acting = restored_runtime(runtime, parent, tier, principal or principal_of(narrowing))
        live = self._add(opening.revived(identity, acting, parent, narrowing, last_us))
        if parent is None:
            how = Open(self._found_by(identity.grouping), identity.external_id)
            self._group(live, how, last_us)
        return live

    def _found_by(self, grouping: Grouping) -> Grouping:
        """What finds it after a restart: its conversation is not kept, only its time."""
        return Grouping.TIME if grouping is Grouping.CONVERSATION else grouping

    def restore_closed(self, records: Iterable[InvocationRecord]) -> None:
        """Know again what was finished or stopped before a restart, the latest last."""
        for record in records:
            identity = record.invocation
            runtime = self._directory.agent(identity.agent)
            if runtime is not None and record.is_identified:
                self._groups.know_closed(
                    identity.organisation,
                    runtime.agent,
                    group_of(identity.credential, principal_of(narrowing_of(record))),
                    Open(identity.grouping, identity.external_id),
                    invocation=identity.id,
                )

    def _declared(
        self,
        caller: Caller,
        parent: LiveInvocation | None,
        narrowing: Narrowing,
        now_us: int,
    ) -> LiveInvocation:
        asked = Asked(id=self._ids.make("inv"), narrowing=narrowing)
        live = self._add(opening.declared(caller, parent, asked, now_us))
        if parent is None:
            self._group(live, Open(Grouping.TOKEN), now_us)
        return live

    def _group(self, live: LiveInvocation, how: Open, now_us: int) -> None:
        """Let later calls find a root."""
        runtime, identity = live.runtime, live.identity
        self._groups.open(
            identity.organisation,
            runtime.agent,
            Clues(credential=group_of(identity.credential, runtime.principal)),
            how,
            invocation=live.id,
            now_us=now_us,
        )

    def _add(self, live: LiveInvocation) -> LiveInvocation:
        self._open[live.id] = live
        return live

    def _refresh(self, live: LiveInvocation) -> None:
        """Know what an invocation draws on in the epoch of now."""
        configuration = self._directory.configuration
        epoch = configuration.epoch if configuration is not None else 0
        if live.demands_epoch != epoch:
            live.know_accounts(epoch)

    def _install_token(self, live: LiveInvocation) -> None:
        if live.token_digest is None:
            return
        self._directory.put_invocation_token(
            live.token_digest,
            Caller(
                runtime=live.runtime,
                credential=live.identity.credential,
                invocation=live.id,
                chain=live.chain,
                tier=live.runtime.tiers[-1],
                proof=live.proof,
            ),
        )

    def _end(
        self, live: LiveInvocation, state: InvocationState, cause: Reason | None, now_us: int
    ) -> None:
        if live.state is not InvocationState.OPEN:
            return
        for child in live.children:
            self._end(child, state, cause, now_us)
        live.state = state
        live.stopped = cause
        live.tree.alive -= live.parent is not None
        live.end_calls(cause or reason.invocation_closed(live.runtime.agent, live.id))
        self._groups.close(live.id, now_us)
        self._open.pop(live.id, None)
        self._closed[live.id] = live
        self._book.forget(live.id)
        self._ended(live)
        live.rest()
        while len(self._closed) > _CLOSED_KEPT:
            old = self._closed.pop(next(iter(self._closed)))
            if old.token_digest is not None:
                self._directory.drop_invocation_token(old.token_digest, now_us)

    def _ended(self, live: LiveInvocation) -> None:
        """Put an end on the record, and tell who watches."""
        if live.is_recorded:
            self._log.ended(live)
        if self.on_end is not None:
            self.on_end(live)

    def _turned_away(self, found: Refused) -> Refusable:
        """Say which invocation was stopped and why, where grouping only knows that it is closed."""
        closed = self._closed.get(dict(found.reason.facts).get("invocation", ""))
        if closed is None or not isinstance(found, Stop):
            return Refusable(verdict=found)
        verdict = found if closed.stopped is None else Stop(reason=closed.stopped)
        return Refusable(verdict=verdict, live=closed)

    def _rate(self, agent: str) -> Rate:
        known = self._rates.get(agent)
        if known is None:
            known = self._rates[agent] = Rate()
        return known
