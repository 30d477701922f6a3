"""What only one process may know, for workers that ask it: every run, and where it stands."""

import asyncio
import contextlib
from collections.abc import Awaitable, Container, Sequence
from typing import Final, Protocol

import msgspec

from ringfence.app.approval_message import (
    ConsumeApproval,
    ConsumedApproval,
    FindApproval,
    FoundApproval,
    HeldCall,
    HoldCall,
)
from ringfence.app.change_message import (
    Change,
    Configure,
    CredentialsChange,
    SecretsChange,
    StateChange,
)
from ringfence.app.group import Beginning
from ringfence.app.learning import Learning
from ringfence.app.message import (
    ActionTaken,
    GetToken,
    GotToken,
    Identified,
    Identify,
    Learned,
    Message,
    ReportAction,
)
from ringfence.app.remote_worker import unexpected
from ringfence.app.spreading import Peer, Spreading, Workers
from ringfence.app.standing import in_turns
from ringfence.decisions.budget import MONEY
from ringfence.decisions.lease import Broker
from ringfence.decisions.period import Line
from ringfence.domain.budget import Unit
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Holder, Need, Recall, Report, Take, Taken
from ringfence.domain.pacing import Enter, Entered, Left
from ringfence.domain.registry import (
    Card,
    Declare,
    End,
    Heard,
    Marked,
    Opened,
    Resolve,
    Resolved,
)
from ringfence.domain.tool_source import ToolListing, ToolSource
from ringfence.domain.verdict import Deny
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.lending import Lending
from ringfence.enforcement.observation import Observations
from ringfence.enforcement.queueing import Queueing
from ringfence.enforcement.registry import Registry
from ringfence.enforcement.sandbox_recovery import LostSandboxes
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.stores.ledger.charged import Totals, charged_since
from ringfence.stores.state.grant import Grant
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids


class Lends(Protocol):
    """Whoever lends slabs of limits: `Lending`, or `SharedLending` where planes share them."""

    def take(self, holder: Holder, take: Take, /) -> Awaitable[Taken]:
        """Answer a worker that asks for slabs."""

    def report(self, holder: Holder, report: Report, /) -> None:
        """Count what a worker has spent and gives back."""

    def died(self, holder: Holder, /) -> None:
        """A worker has ended: what it held counts as spent until that is proven."""

    def totals(self) -> dict[str, int]:
        """The traffic of leases, by the names that metrics have."""


_REPORT_S: Final = 0.5
"""How long workers are waited for that are asked what they have spent."""


class Shared:
    """Answers workers as `remote_worker.Asked` says; used by the supervisor's loop alone.

    INVARIANT: what a worker is answered has been durably recorded, where a crash must not forget
    it, and every other worker that could be asked about it has been told.
    """

    lending: Lends

    def __init__(self, beginning: Beginning, clock: Clock, ids: Ids, workers: Workers) -> None:
        """Take up what the record has left open."""
        self._users = beginning.users
        self._token_refused = beginning.token_refused
        self._approvals = beginning.approvals
        self._granted = beginning.granted
        self._ledger = beginning.ledger
        self._workers = workers
        self._clock = clock
        self.learning = Learning()
        self.queueing = Queueing(clock, self._entered)
        self.queueing.install(beginning.epoch.configuration)
        self._spreading = Spreading(workers)
        self._directory = Directory()
        epoch = beginning.epoch
        self._directory.install(epoch.configuration, epoch.states)
        self._directory.put_credentials(beginning.credentials)
        self.tools = ToolCustody(
            configuration=lambda: self._directory.configuration,
            sources=beginning.tools,
            archive=beginning.tool_archive,
            note=FindingLog(
                ledger=beginning.ledger, directory=self._directory, clock=clock
            ).changed,
        )
        self.tools.on_known = self._known_tools
        invocations = self._open(beginning, ids)
        self.registry = Registry(
            directory=self._directory,
            invocations=invocations,
            clock=clock,
            tell=self._spreading.tell,
        )
        observations = Observations(
            ledger=beginning.ledger,
            directory=self._directory,
            invocations=invocations,
            clock=clock,
            ids=ids,
        )
        self.lost_sandboxes = LostSandboxes(observations, invocations, clock)
        if beginning.sharing is None:  # else some may be another plane's, which lives
            self.lost_sandboxes.end()

    def _open(self, beginning: Beginning, ids: Ids) -> Invocations:
        """The books and the runs as the record has left them."""
        self._broker = Broker()
        self._alone = Lending(self._broker, self._clock, self._ask_back)
        self.lending = self._alone
        invocations = Invocations(
            directory=self._directory,
            book=self._broker,
            ledger=beginning.ledger,
            clock=self._clock,
            ids=ids,
        )
        invocations.restore_closed(beginning.recovered.closed)
        invocations.restore(beginning.recovered.invocations)
        for key, start_us, spent in beginning.recovered.spent:
            self._broker.load(key, start_us, spent)
        for grant in beginning.grants:
            self._broker.grant(grant.account, grant.window_start_us, grant.amount)
        return invocations

    def take(self, change: Change) -> None:
        """What workers are told of holds here too."""
        match change:
            case Configure():
                self._directory.install(change.configuration, change.states)
                self.queueing.install(change.configuration)
                self.learning.reloaded()
            case CredentialsChange():
                self._directory.put_credentials(change.credentials)
            case SecretsChange():
                self.learning.reloaded()
            case StateChange():
                runtime = self._directory.agent(change.agent)
                if runtime is not None and runtime.organisation.id == change.organisation:
                    runtime.state = change.state

    def begin(self, worker: Peer) -> tuple[Card, ...]:
        """What a worker that starts must know of runs that are open."""
        opened = self.registry.with_tokens()
        self.registry.known_to(worker.number, [card.identity.id for card in opened.cards])
        return opened.cards

    def died(self, worker: Peer) -> None:
        """A worker is no more; what it was lent counts as spent until `prove`."""
        self.registry.gone(worker.number)
        self.lending.died(worker.holder)
        self.queueing.died(worker.holder)

    def lose(self, sandboxes: Container[str]) -> None:
        """These have ended with the worker that served them: the record is to say so."""
        self.lost_sandboxes.end(sandboxes)

    async def prove(self, worker: Peer, before: Totals, after: Totals) -> None:
        """The log of a dead worker has been made whole: what it had charged, and has now.

        Raises UnavailableError if that cannot be kept.
        """
        self._alone.prove(worker.holder, charged_since(before, after))

    async def tidy(self) -> None:
        """End what is over. Raises UnavailableError."""
        self.registry.tidy()
        self._alone.tidy()

    def grant(self, grant: Grant) -> None:
        """Raise the limit of one account in one window."""
        self._broker.grant(grant.account, grant.window_start_us, grant.amount)

    async def standing(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of an organisation, with what workers have spent until now."""
        await self._have_reported()
        turns = self._broker.standing_in_turns(organisation, self._clock.now_us(), units)
        return await in_turns(turns)

    async def _have_reported(self) -> None:
        asking = [self._reported(worker) for worker in self._workers()]
        if asking:
            await asyncio.wait(map(asyncio.ensure_future, asking), timeout=_REPORT_S)

    async def _reported(self, worker: Peer) -> None:
        with contextlib.suppress(UnavailableError):
            self.lending.report(worker.holder, await self._asked_back(worker, Recall(())))

    async def _ask_back(self, holder: Holder, recall: Recall) -> Report:
        for worker in self._workers():
            if worker.holder == holder:
                return await self._asked_back(worker, recall)
        raise UnavailableError("link_closed", "that worker has gone")

    @staticmethod
    async def _asked_back(worker: Peer, recall: Recall) -> Report:
        report = await worker.ask(recall)
        if not isinstance(report, Report):
            raise unexpected(report)
        return report

    # `remote_worker.Asked`

    def told(self, worker: Peer, message: Message, /) -> None:
        """What a worker has seen and spent."""
        match message:
            case Report():
                self.lending.report(worker.holder, message)
            case Heard():
                self.registry.hear(message)
            case Marked():
                self.registry.mark(worker.number, message)
            case End():
                self.registry.end(message)
            case Learned():
                self._learn(worker, message)
            case Enter():
                self.queueing.enter(worker.holder, message)
            case Left():
                self.queueing.left(worker.holder, message)
            case ToolListing():
                worker.tell(self.tools.seen(message))
            case _:
                raise unexpected(message)

    def _learn(self, worker: Peer, learned: Learned) -> None:
        self.learning.add(learned)
        for paused in learned.paused:
            self.queueing.paused(paused)
        for key in learned.refused:
            self._token_refused(key)
        for other in self._workers():
            if other is not worker:
                other.tell(learned)

    def _known_tools(self, source: ToolSource) -> None:
        for worker in self._workers():
            worker.tell(source)

    def _entered(self, holder: Holder, entered: Entered) -> None:
        for worker in self._workers():
            if worker.holder == holder:
                worker.tell(entered)

    def asked(self, worker: Peer, message: Message, /) -> Message | Awaitable[Message]:
        """What a worker does not know; what it changes has changed when this returns."""
        match message:
            case Resolve() | Declare() | End():
                return self._decide(worker, message)
            case Take():
                return self.lending.take(worker.holder, message)
            case Identify():
                return self._identify(message)
            case HoldCall() | FindApproval() | ConsumeApproval() | ReportAction():
                return self._of_action(worker, message)
            case GetToken():
                return self._granted_token(message)
            case _:
                raise unexpected(message)

    def _with_slabs(self, worker: Peer, need: Need | None, resolved: Resolved) -> Resolved:
        """What the worker would ask for next comes along."""
        if need is None or resolved.refusal is not None or not resolved.cards:
            return resolved
        wants = self.registry.wants(resolved.cards[-1].identity.id, need)
        configuration = self._directory.configuration
        epoch = configuration.epoch if configuration is not None else 0
        slabs = self._alone.lend_ahead(worker.holder, wants, epoch)
        return msgspec.structs.replace(resolved, slabs=slabs)

    def _decide(
        self, worker: Peer, asked: Resolve | Declare | End, /
    ) -> Message | Awaitable[Message]:
        """Decide about runs, and see to it that all who must know do before this is answered."""
        if isinstance(asked, End):
            self.registry.end(asked)
            return self._told(Resolved())
        if isinstance(asked, Declare):
            return self._declared(worker, self.registry.declare(worker.number, asked))
        asked_us = self._clock.now_us()
        resolved = self.registry.resolve(worker.number, asked)
        resolved = self._with_slabs(worker, asked.need, resolved)
        return self._recorded(resolved) if is_new(resolved, asked_us) else resolved

    def _declared(self, worker: Peer, resolved: Resolved) -> Awaitable[Message]:
        """A token is given out when it is on record and every worker knows it."""
        others = [each for each in self._workers() if each is not worker]
        for other in others if resolved.cards else ():
            self.registry.known_to(other.number, [card.identity.id for card in resolved.cards])
            self._spreading.spread(other, Opened(resolved.cards))
        return self._recorded(resolved)

    async def _recorded(self, resolved: Resolved) -> Message:
        """INVARIANT: a run that a crash would forget could begin again with a fresh budget."""
        await self._ledger.flush()
        return await self._told(resolved)

    async def _told(self, resolved: Resolved) -> Message:
        """Return when every worker that must know does, or can do nothing without knowing."""
        await self._spreading.settled()
        return resolved

    async def _reported_elsewhere(self, worker: Peer, asked: ReportAction) -> Message:
        """The worker that keeps an action takes its outcome; the others know nothing of it."""
        for other in self._workers():
            if other is not worker:
                with contextlib.suppress(UnavailableError):
                    answer = await other.ask(asked)
                    if isinstance(answer, ActionTaken) and answer.is_taken:
                        return answer
        return ActionTaken(is_taken=False)

    async def _of_action(
        self, worker: Peer, asked: HoldCall | FindApproval | ConsumeApproval | ReportAction
    ) -> Message:
        approvals = self._approvals
        match asked:
            case ReportAction():
                return await self._reported_elsewhere(worker, asked)
            case HoldCall(asking):
                held = await approvals.hold(asking)
                if isinstance(held, Deny):
                    return HeldCall(refused=held.reason)
                return HeldCall(held=held)
            case FindApproval(organisation=organisation, approval=approval, wait_s=wait_s):
                return FoundApproval(await approvals.wait(organisation, approval, wait_s))
            case ConsumeApproval(approval=approval, binding=binding, action=action):
                used = await approvals.consume(approval, binding, action)
                if isinstance(used, Deny):
                    return ConsumedApproval(refused=used.reason)
                return ConsumedApproval(approval=used)

    async def _granted_token(self, asked: GetToken) -> Message:
        token = await self._granted.granted(asked.organisation, asked.server, asked.refused)
        return GotToken(token)

    async def _identify(self, asked: Identify) -> Message:
        return Identified(await self._users.user_id(asked.organisation, asked.name))


def is_new(resolved: Resolved, asked_us: int) -> bool:
    """Whether a run was opened by that question."""
    return bool(resolved.cards) and resolved.cards[-1].identity.opened_us >= asked_us
