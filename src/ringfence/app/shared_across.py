"""What `app.shared` is for a plane alone, for one that shares runs and limits with others."""

import contextlib
from collections.abc import Awaitable, Callable, Container, Sequence
from functools import partial
from typing import final

import msgspec

from ringfence.app.change_message import Change, Configure
from ringfence.app.group import Beginning
from ringfence.app.message import Learned, Message
from ringfence.app.shared import Shared, is_new
from ringfence.app.sharing import Sharing
from ringfence.app.spreading import Peer, Workers
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.budget import AccountKey, Unit
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Charged, Holder
from ringfence.domain.money import Money
from ringfence.domain.registry import Card, Declare, End, Heard, Opened, Resolve, Resolved
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.replica import Replica
from ringfence.enforcement.shared_broker import SharedBroker
from ringfence.enforcement.shared_invocations import SharedInvocations
from ringfence.enforcement.shared_lending import CallBack, CalledBack, SharedLending
from ringfence.stores.ledger.charged import Totals
from ringfence.stores.ledger.invocation import InvocationRecord
from ringfence.stores.state.grant import Grant
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """A plane tells others what its workers have seen of providers."""

    plane: str
    learned: Learned


@final
class SharedAcross(Shared):
    """Answers workers once what they are answered holds on every plane.

    Implements `enforcement.shared_lending.Elsewhere`.
    """

    def __init__(
        self, beginning: Beginning, clock: Clock, ids: Ids, workers: Workers, sharing: Sharing
    ) -> None:
        """Know what the record knows; `join` learns what other planes do."""
        self._sharing = sharing
        super().__init__(beginning, clock, ids, workers)
        self.replica = Replica(
            registry=self.registry,
            invocations=self._runs,
            runs=sharing.shares.runs,
            plane=sharing.plane,
            in_thread=partial(sharing.in_thread, "runs"),
            on_learnt=self._learnt,
        )

    def _open(self, beginning: Beginning, ids: Ids) -> Invocations:
        """The books and the runs are in the database."""
        sharing = self._sharing
        self._limits = SharedBroker(sharing.shares.limits, partial(sharing.in_thread, "limits"))
        self._lends = SharedLending(self._limits, self._clock, self._ask_back, self, sharing.plane)
        self.lending = self._lends
        self._runs = SharedInvocations(
            directory=self._directory,
            book=_Kept(self._limits),
            ledger=beginning.ledger,
            clock=self._clock,
            ids=ids,
        )
        self._runs.restore_closed(beginning.recovered.closed)
        for grant in beginning.grants:
            self.grant(grant)
        return self._runs

    async def join(self, open_runs: Sequence[InvocationRecord]) -> None:
        """Know every run of all planes, and tell them of those that only the record knows.

        Raises UnavailableError.
        """
        await self.replica.load()
        self._runs.restore(
            record for record in open_runs if self._runs.find(record.invocation.id) is None
        )
        await self.replica.decide(lambda: None)

    async def prove_log(self, log: str, charged: Totals, *, begins: bool = False) -> None:
        """A log that nobody writes was made whole, and has charged this in all.

        `begins` as `SharedLending.prove`. Raises UnavailableError.
        """
        told = tuple(Charged(key, start_us, amount) for (key, start_us), amount in charged.items())
        await self._lends.prove(Holder(log), told, begins=begins)

    async def lose_planes(self, is_gone: Callable[[str], bool]) -> None:
        """Planes have ended without a word, and their sandboxes with them.

        Everybody knows and the record says so when this returns. Raises UnavailableError.
        """
        await self.replica.decide(
            lambda: self.lost_sandboxes.end(self.replica.sandboxes_of(is_gone))
        )
        await self._ledger.flush()

    def lose(self, sandboxes: Container[str]) -> None:
        """The other planes are told, too."""
        super().lose(sandboxes)
        self.replica.soon()

    async def prove(self, worker: Peer, before: Totals, after: Totals) -> None:
        """What the log of a dead worker has charged, in all its lives."""
        del before
        await self.prove_log(worker.holder, after)

    def take(self, change: Change) -> None:
        """What workers are told of holds here too."""
        super().take(change)
        if isinstance(change, Configure):
            self.replica.configured()

    def told(self, worker: Peer, message: Message, /) -> None:
        """What a worker has seen; how far conversations have gone is told on at once."""
        super().told(worker, message)
        if isinstance(message, Learned) and (message.kept or message.seen):
            learned = msgspec.structs.replace(message, breakers=())  # timed by this machine's clock
            self.say(msgspec.json.encode(Seen(self._sharing.plane, learned)))
        if isinstance(message, End) or (isinstance(message, Heard) and message.tips):
            self.replica.soon()

    async def tidy(self) -> None:
        """End what is over."""
        await self.replica.decide(self.registry.tidy)
        await self._sharing.tidy()

    def grant(self, grant: Grant) -> None:
        """Raise the limit of one account in one window."""
        self._limits.broker.grant(grant.account, grant.window_start_us, grant.amount)

    async def standing(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of an organisation; other planes' workers report every second."""
        await self._have_reported()
        await self._lends.rest()
        return await self._lends.standing(organisation, units)

    async def obeyed(self) -> None:
        """Return when workers know the runs that they were told of."""
        await self._told(Resolved())

    def hear(self, words: bytes) -> None:
        """Another plane asks for idle slabs, has given some back, or has seen something."""
        said = msgspec.json.decode(words, type=CallBack | CalledBack | Seen)
        if not isinstance(said, Seen):
            self._lends.hear(said)
        elif said.plane != self._sharing.plane:
            self.learning.add(said.learned)
            for worker in self._workers():
                worker.tell(said.learned)

    async def close(self) -> None:
        """Write what must be known to others."""
        with contextlib.suppress(UnavailableError):
            await self.replica.close()
        await self._lends.close()

    # `Elsewhere`

    def is_own(self, holder: Holder, /) -> bool:
        """Whether it is a worker of this plane."""
        return any(worker.holder == holder for worker in self._workers())

    def is_live(self, holder: Holder, /) -> bool:
        """Whether it is a worker of another plane that was heard of just now."""
        return self._sharing.is_live(holder)

    def say(self, words: bytes, /) -> None:
        """Send words to all planes."""
        self._sharing.say(words)

    # Within

    def _decide(
        self, worker: Peer, asked: Resolve | Declare | End, /
    ) -> Message | Awaitable[Message]:
        match asked:
            case Resolve():
                return self._resolve(worker, asked)
            case Declare():
                return self._declare(worker, asked)
            case End():
                return self._end(asked)

    async def _resolve(self, worker: Peer, asked: Resolve) -> Message:
        asked_us = self._clock.now_us()
        resolved = await self.replica.decide(partial(self.registry.resolve, worker.number, asked))
        return await (self._recorded if is_new(resolved, asked_us) else self._told)(resolved)

    async def _declare(self, worker: Peer, asked: Declare) -> Message:
        resolved = await self.replica.decide(partial(self.registry.declare, worker.number, asked))
        answer = self._declared(worker, resolved)
        if resolved.cards:
            await self._sharing.settle()
        return await answer

    async def _end(self, asked: End) -> Message:
        await self.replica.decide(partial(self.registry.end, asked))
        await self._sharing.settle()
        return await self._told(Resolved())

    def _learnt(self, cards: Sequence[Card]) -> None:
        for worker in self._workers():
            self.registry.known_to(worker.number, [card.identity.id for card in cards])
            self._spreading.spread(worker, Opened(tuple(cards)))


@final
class _Kept:
    """Implements `enforcement.invocation.Accounts` where the rows know what runs were charged."""

    def __init__(self, limits: SharedBroker) -> None:
        self._limits = limits

    def load(self, key: AccountKey, window_start_us: int, spent: Money, /) -> None:
        """The rows know."""

    def forget(self, holder: str, /) -> None:
        """Its rows end with the run's."""
        self._limits.forget(holder)
