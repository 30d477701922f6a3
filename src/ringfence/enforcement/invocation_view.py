"""A worker's view of invocations: those in which it acts; the registry knows them all.

What is known here is joined without a word; what is not makes `begin` lack it, once for each run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, final

import msgspec

from ringfence.decisions.budget import Book
from ringfence.decisions.clue import Clues
from ringfence.domain.credential import INVOCATION_TOKEN_PREFIX
from ringfence.domain.error import UnavailableError
from ringfence.domain.invocation import Grouping, InvocationState
from ringfence.domain.registry import (
    Card,
    Clue,
    Declare,
    End,
    Ended,
    Heard,
    Marked,
    Resolve,
    Resolved,
    Who,
)
from ringfence.domain.verdict import Reason
from ringfence.enforcement.directory import Caller, Directory, digest_of
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.lack import Lack, Lacking, Supplied
from ringfence.enforcement.lease import Slabs
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.record import Ledger
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids, secret

Ask = Callable[[Resolve | Declare | End], Awaitable[Resolved]]
"""Asks the registry; raises UnavailableError if it does not answer in time."""
Tell = Callable[[Heard | End | Marked], None]
"""Tells the registry; in order, never waits."""


class RegistryWire(NamedTuple):
    """A worker's two ways to the registry."""

    ask: Ask
    tell: Tell


@final
class InvocationView(Invocations):
    """The invocations that one of several workers knows; opens, closes and records none itself.

    INVARIANT: what a worker tells of a conversation leaves before the call that brought it is
    dispatched, so that another worker which gets the next call of the client finds its run.
    """

    def __init__(  # noqa: PLR0913 (those of `Invocations`, and the way to the registry)
        self,
        *,
        directory: Directory,
        book: Book,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        wire: RegistryWire,
        slabs: Slabs | None = None,
    ) -> None:
        """Nothing is known yet; `learn` what has a token. `slabs` are of shared limits."""
        super().__init__(directory=directory, book=book, ledger=ledger, clock=clock, ids=ids)
        self._ask, self._tell = wire
        self._slabs = slabs
        self._touched: dict[str, int] = {}
        self._asking: dict[_Name, asyncio.Task[Resolved]] = {}

    def of_token(self, caller: Caller, now_us: int) -> LiveInvocation | None:
        """The invocation of a caller's own token, if it is known here and open."""
        live = None if caller.invocation is None else self.find(caller.invocation)
        if live is None or live.closed_reason(now_us) is not None:
            return None
        self._touched[live.root] = now_us
        self._refresh(live)
        return live

    def join_by(
        self, caller: Caller, clues: Clues, now_us: int
    ) -> LiveInvocation | Refusable | Lacking:
        """The invocation that a call surely belongs to; else the registry must be asked."""
        clues = clues.hashed()
        runtime = caller.runtime
        known = self._groups.known(runtime.organisation.id, runtime.agent, clues, now_us)
        live = None if known is None else self.find(known.invocation)
        if known is None or live is None:
            return self._lacking(caller, clues)
        if known.grouping is Grouping.CONVERSATION and self._groups.advance(
            live.id, clues.chain[-1]
        ):
            self._tell(Heard(tips=((live.id, clues.chain[-1]),)))
        self._touched[live.root] = now_us
        return self._entered(live, now_us)

    async def supply(self, lacking: Lacking) -> Refusable | Supplied:
        """Ask which invocation a call belongs to. Raises UnavailableError.

        Calls that name the same run at the same time ask once: the others wait, and begin again.
        """
        question = lacking.question
        if not isinstance(question, Resolve):
            raise TypeError("this is not about an invocation")
        name = _name(question)
        asking = self._asking.get(name) if name is not None else None
        if asking is not None:
            await asyncio.wait((asking,))
            return Supplied.MORE
        # A task of its own: others may wait for it, whatever becomes of this call.
        asking = asyncio.ensure_future(self._resolve(question, name))
        if name is not None:
            self._asking[name] = asking
            asking.add_done_callback(_look)
        answer = await asyncio.shield(asking)
        if answer.refusal is not None:
            live = self.find(answer.refusal.invocation)
            return Refusable(verdict=answer.refusal.refused(), live=live)
        live = self.find(answer.cards[-1].identity.id) if answer.cards else None
        if live is None:
            raise UnavailableError("worker_behind", "this worker does not know the agent yet")
        if question.clue.chain:
            self._groups.advance(live.id, question.clue.chain[-1])
        return Supplied.MORE

    async def _resolve(self, question: Resolve, name: "_Name | None") -> Resolved:
        try:
            answer = await self._ask(question)
        finally:
            if name is not None:
                del self._asking[name]
        self.learn(answer.cards)
        if self._slabs is not None:
            self._slabs.book.receive(answer.slabs)
        return answer

    def _lacking(self, caller: Caller, clues: Clues) -> Lacking:
        clue = Clue(
            header=clues.header,
            trace=clues.trace,
            client=clues.client,
            chain=clues.chain,
            is_tool=clues.is_tool,
        )
        need = None if self._slabs is None else self._slabs.needs.get(caller.runtime.id)
        return Lacking(
            lack=Lack.INVOCATION,
            organisation=caller.runtime.organisation.id,
            names=(clues.invocation,) if clues.invocation else (),
            question=Resolve(who=who_of(caller), clue=clue, need=need),
        )

    async def declare(
        self, caller: Caller, task: str, narrowing: Narrowing, now_us: int
    ) -> tuple[LiveInvocation, str] | Refusable:
        """Have the registry open a run; when it answers, every worker knows its token."""
        del now_us
        token = secret(INVOCATION_TOKEN_PREFIX)
        answer = await self._ask(
            Declare(
                who=who_of(caller),
                task=task,
                narrowing=msgspec.json.encode(narrowing).decode(),
                digest=digest_of(token.encode()),
            )
        )
        self.learn(answer.cards)
        if answer.refusal is not None:
            live = self.find(answer.refusal.invocation)
            return Refusable(verdict=answer.refusal.refused(), live=live)
        opened = self.find(answer.cards[-1].identity.id) if answer.cards else None
        if opened is None:
            raise UnavailableError("worker_behind", "this worker does not know the agent yet")
        return opened, token

    async def end(self, live: LiveInvocation, now_us: int) -> None:
        """Have the registry finish a run; when it answers, every worker knows."""
        await self._ask(End(invocation=live.id))
        self.finish(live, now_us)

    def stop(self, live: LiveInvocation, cause: Reason, now_us: int) -> None:
        """End an invocation for good, here at once, and everywhere."""
        if live.state is InvocationState.OPEN:
            self._tell(End(invocation=live.id, cause=cause))
        super().stop(live, cause, now_us)

    def expire(self, now_us: int) -> None:
        """Tell the registry what was not idle; it decides what is."""
        for live in self._open.values():
            if live.running or live.waiting:
                self._touched[live.root] = now_us
        if self._touched:
            self._tell(Heard(touched=tuple(self._touched.items())))
            self._touched = {}

    def mark(self, live: LiveInvocation, *, is_cleared: bool = False) -> None:
        """Tell the registry, which tells every worker that knows the tree."""
        tree = live.tree
        self._tell(
            Marked(
                root=live.root,
                seen=tuple(sorted(tree.seen)),
                doubts=tuple(tree.doubts.items()),
                is_cleared=is_cleared,
            )
        )

    def marked(self, told: Marked) -> None:
        """Another worker has noticed something of a tree."""
        live = self.find(told.root)
        if live is not None:
            live.tree.mark(told.seen, dict(told.doubts), is_cleared=told.is_cleared)

    def touch(self, live: LiveInvocation, now_us: int) -> None:
        """A call of this invocation has just ended: it was not idle while the call ran."""
        super().touch(live, now_us)
        self._touched[live.root] = now_us

    def learn(self, cards: Iterable[Card]) -> None:
        """Take what the registry says of invocations; what each is part of comes before it."""
        for card in cards:
            identity = card.identity
            runtime = self._directory.agent(identity.agent)
            if self.find(identity.id) is not None or runtime is None:
                continue
            narrowing = (
                msgspec.json.decode(card.narrowing, type=Narrowing)
                if card.narrowing
                else Narrowing()
            )
            live = self._revive(identity, runtime, narrowing, card.last_us, card.principal)
            live.tree.mark(card.seen, dict(card.doubts), is_cleared=False)
            live.token_digest = card.token_digest
            self._install_token(live)
            if card.state is not InvocationState.OPEN:
                self.ended(Ended(invocation=live.id, state=card.state, cause=card.stopped))

    def ended(self, told: Ended) -> None:
        """An invocation is over; what is below it is, too."""
        live = self._open.get(told.invocation)
        if live is not None:
            self._end(live, told.state, told.cause, self._clock.now_us())

    def record_opening(
        self, live: LiveInvocation, narrowing: Narrowing | None = None, task: str = ""
    ) -> None:
        """The registry has recorded it."""

    def _ended(self, live: LiveInvocation) -> None:
        """The registry records it; who watches here is told."""
        self._touched.pop(live.id, None)
        if self.on_end is not None:
            self.on_end(live)

    def _found_by(self, grouping: Grouping) -> Grouping:
        """As it was opened: whoever asked knows its conversation."""
        return grouping


def who_of(caller: Caller) -> Who:
    """A caller as the registry is told of them."""
    return Who(
        agent=caller.runtime.id,
        credential=caller.credential,
        invocation=caller.invocation or "",
        tier=caller.tier,
        principal=caller.runtime.principal,
        proof=caller.proof,
        ends_us=caller.ends_us,
    )


_Name = tuple[Who, str, str, str]


def _name(question: Resolve) -> _Name | None:
    """What a call names its run by; None if only its conversation or its time tells."""
    who, clue = question.who, question.clue
    if not (who.invocation or clue.header or clue.trace or clue.client):
        return None
    return who, clue.header, clue.trace, clue.client


def _look(asking: asyncio.Task[Resolved]) -> None:
    """A failure is known, also if nobody waits for it any longer."""
    if not asking.cancelled():
        asking.exception()
