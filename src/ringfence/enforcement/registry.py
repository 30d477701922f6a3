"""The registry of invocations: the one place that knows every run, for workers that know some.

It runs where the supervisor runs. Workers ask it which run a call belongs to, and it tells all who
know a run when that has ended. INVARIANT: only it opens, closes and records invocations.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import final

import msgspec

from ringfence.decisions.clue import Clues
from ringfence.decisions.slab import wants_of_run
from ringfence.domain.invocation import InvocationState
from ringfence.domain.lease import Need, Want
from ringfence.domain.registry import (
    Card,
    Declare,
    End,
    Ended,
    Heard,
    Marked,
    Opened,
    Refusal,
    Resolve,
    Resolved,
    Who,
)
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.narrowing import Narrowing, group_of, written
from ringfence.transport.clock import Clock

Worker = int
Tell = Callable[[Worker, Ended | Marked], None]
"""Sends a message to one worker; never waits."""

_UNKNOWN = Reason(
    code=Code.CREDENTIAL_UNKNOWN,
    message="Ringfence does not know this agent any more. Do not retry.",
)


@final
class Registry:
    """Answers workers and remembers who knows what; used by one event loop."""

    def __init__(
        self, *, directory: Directory, invocations: Invocations, clock: Clock, tell: Tell
    ) -> None:
        """`invocations` holds every run; `tell` reaches a worker."""
        self._directory = directory
        self._invocations = invocations
        self._clock = clock
        self._tell = tell
        self._knowing: dict[str, set[Worker]] = {}
        self._narrowing: dict[str, str] = {}
        invocations.on_end = self._spread

    def __len__(self) -> int:
        """How many invocations are open."""
        return len(self._invocations)

    def is_open(self, invocation: str) -> bool:
        """Whether an invocation has not ended."""
        live = self._invocations.find(invocation)
        return live is not None and live.state is InvocationState.OPEN

    def resolve(self, worker: Worker, asked: Resolve) -> Resolved:
        """Which invocation a call belongs to, opened if it is new."""
        caller = self._caller(asked.who)
        if caller is None:
            return Resolved(refusal=Refusal.of(Deny(reason=_UNKNOWN)))
        barred = state_reason(caller.runtime)
        if barred is not None:
            return Resolved(refusal=Refusal.of(Deny(reason=barred)))
        clue = asked.clue
        clues = Clues(
            credential=group_of(caller.credential, caller.runtime.principal),
            invocation=asked.who.invocation,
            header=clue.header,
            trace=clue.trace,
            client=clue.client,
            chain=clue.chain,
            is_tool=clue.is_tool,
        )
        return self._answer(worker, self._invocations.join_by(caller, clues, self._clock.now_us()))

    def wants(self, invocation: str, need: Need) -> list[Want]:
        """What a call that needs so much draws on in the accounts of this run."""
        live = self._invocations.find(invocation)
        if live is None:
            return []
        return wants_of_run(live.demands, live.counted.of(need.tokens), need.amount)

    def declare(self, worker: Worker, asked: Declare) -> Resolved:
        """Open a run that an agent asks for.

        Every other worker is told (`Opened`) before this answer is sent: the token may come to it.
        """
        caller = self._caller(asked.who)
        if caller is None:
            return Resolved(refusal=Refusal.of(Deny(reason=_UNKNOWN)))
        narrowing = (
            msgspec.json.decode(asked.narrowing, type=Narrowing) if asked.narrowing else Narrowing()
        )
        opened = self._invocations.open_declared(
            caller, asked.task, narrowing, asked.digest, self._clock.now_us()
        )
        if isinstance(opened, LiveInvocation):
            self._narrowing[opened.id] = written(narrowing, opened)
        return self._answer(worker, opened)

    def end(self, asked: End) -> None:
        """Finish or stop an invocation with all that is below it."""
        live = self._invocations.find(asked.invocation)
        if live is None:
            return
        now_us = self._clock.now_us()
        if asked.cause is None:
            self._invocations.finish(live, now_us)
        else:
            self._invocations.stop(live, asked.cause, now_us)

    def hear(self, heard: Heard) -> None:
        """Take note of what a worker has seen; in the order in which it says so."""
        for invocation, time_us in heard.touched:
            live = self._invocations.find(invocation)
            if live is not None and time_us > live.last_us:
                self._invocations.touch(live, time_us)
        for invocation, tip in heard.tips:
            self._invocations.advance(invocation, tip)

    def mark(self, worker: Worker, marked: Marked) -> None:
        """A worker has noticed something of a tree: every other one that knows it is told."""
        live = self._invocations.find(marked.root)
        if live is None:
            return
        live.tree.mark(marked.seen, dict(marked.doubts), is_cleared=marked.is_cleared)
        for other in self._knowing.get(marked.root, ()):
            if other != worker:
                self._tell(other, marked)

    def known_to(self, worker: Worker, invocations: Iterable[str]) -> None:
        """A worker has been told of these, with all that is above them."""
        for invocation in invocations:
            self._knowing.setdefault(invocation, set()).add(worker)

    def with_tokens(self) -> Opened:
        """Every open run that has a token: what a worker that starts must know."""
        cards: dict[str, Card] = {}
        for live in self._invocations.open():
            if live.token_digest is not None:
                cards.update({card.identity.id: card for card in self.cards(live)})
        return Opened(tuple(cards.values()))

    def card(self, live: LiveInvocation) -> Card:
        """All there is to know of one invocation."""
        return Card(
            identity=live.identity,
            narrowing=self._narrowing.get(live.id) or written(None, live),
            principal=live.runtime.principal,
            token_digest=live.token_digest,
            last_us=live.last_us,
            state=live.state,
            stopped=live.stopped,
            seen=tuple(sorted(live.tree.seen)),
            doubts=tuple(live.tree.doubts.items()),
        )

    def learned(self, card: Card) -> None:
        """Another plane has opened an invocation; how it is narrower is told on as it was said."""
        if card.narrowing:
            self._narrowing[card.identity.id] = card.narrowing

    def gone(self, worker: Worker) -> None:
        """A worker is no more; whoever takes its place knows nothing."""
        for knowing in self._knowing.values():
            knowing.discard(worker)

    def tidy(self) -> None:
        """End what is over; call every few seconds."""
        self._invocations.expire(self._clock.now_us())

    def _answer(self, worker: Worker, found: LiveInvocation | Refusable | Lacking) -> Resolved:
        if isinstance(found, Lacking):
            raise TypeError("the registry lacks nothing")
        live = found.live if isinstance(found, Refusable) else found
        refusal = None
        if isinstance(found, Refusable):
            refusal = Refusal.of(found.verdict, live.id if live is not None else "")
        elif not found.is_recorded:
            self._invocations.record_opening(found)
        cards = () if live is None else self.cards(live)
        self.known_to(worker, [card.identity.id for card in cards])
        return Resolved(cards=tuple(cards), refusal=refusal)

    def cards(self, live: LiveInvocation) -> Sequence[Card]:
        """An invocation after everything that it is part of."""
        above = [] if live.parent is None else list(self.cards(live.parent))
        return [*above, self.card(live)]

    def _caller(self, who: Who) -> Caller | None:
        runtime = self._directory.agent(who.agent)
        if runtime is None:
            return None
        return Caller(
            runtime=runtime.used_by((who.tier,), who.principal),
            credential=who.credential,
            invocation=who.invocation or None,
            tier=who.tier,
            proof=who.proof,
            ends_us=who.ends_us,
        )

    def _spread(self, live: LiveInvocation) -> None:
        """Tell all who know an invocation that it has ended."""
        self._narrowing.pop(live.id, None)
        ended = Ended(invocation=live.id, state=live.state, cause=live.stopped)
        for worker in self._knowing.pop(live.id, ()):
            self._tell(worker, ended)
