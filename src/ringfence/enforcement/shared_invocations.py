"""The invocations of a plane that shares them: its own, and those that other planes have opened."""

from typing import final

import msgspec

from ringfence.decisions import rate
from ringfence.decisions.clue import Clues
from ringfence.decisions.grouping import Open
from ringfence.decisions.period import MINUTE_US
from ringfence.domain.invocation import Grouping, InvocationState
from ringfence.domain.registry import Card
from ringfence.enforcement.directory import Caller, Directory
from ringfence.enforcement.invocation import Accounts, Invocations
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.live import LiveInvocation, Refusable
from ringfence.enforcement.narrowing import Narrowing, group_of
from ringfence.enforcement.record import Ledger
from ringfence.stores.plane import Run
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids


@final
class SharedInvocations(Invocations):
    """Remembers what other planes must be told, and takes what they tell.

    INVARIANT: what is learnt is neither recorded nor told again: whoever did it has done both.
    """

    def __init__(
        self, *, directory: Directory, book: Accounts, ledger: Ledger, clock: Clock, ids: Ids
    ) -> None:
        """Nothing is open yet."""
        super().__init__(directory=directory, book=book, ledger=ledger, clock=clock, ids=ids)
        self._is_learning = False
        self.changed: dict[str, LiveInvocation] = {}
        """What other planes must be told of."""
        self.opened: list[LiveInvocation] = []
        """What was opened since this was emptied."""

    def is_known(self, agent: str) -> bool:
        """Whether this plane's configuration has that agent."""
        return self._directory.agent(agent) is not None

    def of_token(self, caller: Caller, now_us: int) -> LiveInvocation | None:
        """None: other planes are told of each call, which `join_by` sees to."""
        del caller, now_us
        return None

    def join_by(
        self, caller: Caller, clues: Clues, now_us: int
    ) -> LiveInvocation | Refusable | Lacking:
        """As it is for one plane, once what the others did is known."""
        found = super().join_by(caller, clues, now_us)
        if isinstance(found, LiveInvocation):
            self.changed[found.root] = found.top
        return found

    def touch(self, live: LiveInvocation, now_us: int) -> None:
        """A call of this invocation has just ended."""
        super().touch(live, now_us)
        if not self._is_learning:
            self.changed[live.root] = live.top

    def advance(self, invocation: str, tip: int) -> None:
        """A conversation of this invocation was continued, up to this hash."""
        super().advance(invocation, tip)
        live = self.find(invocation)
        if live is not None and not self._is_learning:
            self.changed[live.id] = live

    def learn(self, run: Run) -> LiveInvocation | None:
        """Take what another plane says of a run; gives it if it is new here."""
        self._is_learning = True
        try:
            live = self.find(run.card.identity.id)
            if live is None:
                return self._learn(run)
            if run.card.state is not InvocationState.OPEN:
                self._learn_end(live, run.card)
            else:
                self._learn_touch(live, run)
        finally:
            self._is_learning = False
        return None

    def undo(self, live: LiveInvocation) -> None:
        """What was opened could not be told to the other planes: nobody was told of it at all."""
        self._groups.drop(live.id)
        self._end(live, InvocationState.EXPIRED, None, self._clock.now_us())

    def run(self, live: LiveInvocation, card: Card) -> Run:
        """An invocation as other planes are told of it."""
        return Run(card=card, tips=self._groups.tips(live.id))

    def _learn(self, run: Run) -> LiveInvocation | None:
        card, identity = run.card, run.card.identity
        runtime = self._directory.agent(identity.agent)
        if runtime is None:
            return None
        if card.state is not InvocationState.OPEN:
            if not _is_forgotten(card):
                self._groups.know_closed(
                    identity.organisation,
                    runtime.agent,
                    group_of(identity.credential, card.principal),
                    Open(identity.grouping, identity.external_id),
                    invocation=identity.id,
                )
            return None
        if identity.parent and identity.parent not in self._open:
            return None
        narrowing = (
            msgspec.json.decode(card.narrowing, type=Narrowing) if card.narrowing else Narrowing()
        )
        live = self._revive(identity, runtime, narrowing, card.last_us, card.principal)
        live.token_digest = card.token_digest
        self._install_token(live)
        if live.parent is not None:
            live.tree.sub_agents += 1
            live.tree.alive += 1
        elif identity.opened_us > self._clock.now_us() - MINUTE_US:
            rate.new_invocation(runtime.agent, self._rate(identity.agent), identity.opened_us)
        for tip in run.tips:
            self._groups.advance(live.id, tip)
        return live

    def _learn_end(self, live: LiveInvocation, card: Card) -> None:
        if live.state is InvocationState.OPEN:
            if _is_forgotten(card):
                self._groups.drop(live.id)
            self._end(live, card.state, card.stopped, self._clock.now_us())

    def _learn_touch(self, live: LiveInvocation, run: Run) -> None:
        if run.card.last_us > live.last_us:
            super().touch(live, run.card.last_us)
        for tip in run.tips:
            self._groups.advance(live.id, tip)

    def _add(self, live: LiveInvocation) -> LiveInvocation:
        if not self._is_learning:
            self.changed[live.id] = live
            self.opened.append(live)
        return super()._add(live)

    def _ended(self, live: LiveInvocation) -> None:
        if not self._is_learning:
            self.changed[live.id] = live
            super()._ended(live)
        elif self.on_end is not None:
            self.on_end(live)

    def _found_by(self, grouping: Grouping) -> Grouping:
        """As it was opened: how far its conversations have gone is shared."""
        return grouping


def _is_forgotten(card: Card) -> bool:
    """Whether it was only left idle: what it was known by may open another."""
    return card.state is InvocationState.EXPIRED and card.stopped is None
