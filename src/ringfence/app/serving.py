"""A worker process that serves: what its supervisor asks of it, and what it hears of others."""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from typing import Final, assert_never, final

from ringfence.app.change_message import (
    Change,
    Configure,
    CredentialsChange,
    SecretsChange,
    StateChange,
)
from ringfence.app.data_port import DataPort
from ringfence.app.health import LedgerHealth
from ringfence.app.message import (
    Carried,
    CarryOut,
    CatchUp,
    Done,
    Learned,
    Measure,
    Measurement,
    Message,
    Standings,
    Watched,
)
from ringfence.app.sandbox_message import (
    EndSandbox,
    ListSandboxes,
    OpenedSandbox,
    OpenSandbox,
    SandboxList,
    SandboxTaken,
)
from ringfence.app.worker import Worker
from ringfence.domain.errand import Errand
from ringfence.domain.error import UnavailableError
from ringfence.domain.lease import Recall, Report
from ringfence.domain.registry import Ended, Marked, Opened
from ringfence.stores.body import BodyStore
from ringfence.stores.ledger import LedgerWriter
from ringfence.stores.secret import EnvironmentSecrets, Secrets

_CATCH_UP_S: Final = 1.0

AnyChange = Change | Opened | Ended | Marked
"""What is told to every worker, and of which runs one that serves must know."""


@final
class Serving:
    """What there is once a worker has started."""

    def __init__(
        self, worker: Worker, ledger: LedgerWriter, bodies: BodyStore, port: DataPort
    ) -> None:
        """Serve with these, which whoever made them closes."""
        self.worker = worker
        self.ledger = ledger
        self.port = port
        self.health = LedgerHealth(ledger)
        self._bodies = bodies

    def hear(self, learned: Learned) -> None:
        """Know what other workers have seen of providers."""
        for kept in learned.kept:
            self.worker.objects.keep(kept)
        for organisation, model, evidence in learned.seen:
            self.worker.bounds.hear(organisation, model, evidence)
        for key, breaker in learned.breakers:
            self.worker.watch.breakers.hear(key, breaker)
        for paused in learned.paused:
            self.worker.watch.pacing.paused(paused)
        for retried in learned.retried:
            self.worker.hear_retried(retried)

    def take(self, change: AnyChange, environment: Mapping[str, str]) -> None:
        """Take a change whole, or raise."""
        worker, view = self.worker, self.worker.view
        if view is None:
            raise TypeError("a worker process views its runs through the registry")
        match change:
            case Configure():
                worker.replace_secrets(secrets_of(change, environment))
                worker.take_configuration(change.configuration, change.states)
            case CredentialsChange():
                worker.take_credentials(change.credentials)
            case StateChange():
                worker.take_state(change.organisation, change.agent, change.state)
            case SecretsChange():
                worker.replace_secrets(secrets_of(change, environment))
            case Opened():
                view.learn(change.cards)
            case Ended():
                view.ended(change)
            case Marked():
                view.marked(change)
            case _ as never:
                assert_never(never)

    def asked(
        self, message: Recall | CatchUp | Measure | Watched | CarryOut
    ) -> Message | Awaitable[Message]:
        """What its supervisor wants to know, or to be done."""
        match message:
            case CarryOut(errand):
                return self._carried(errand)
            case Recall():
                return self._recalled(message)
            case CatchUp(with_bodies):
                return self._catch_up(with_bodies=with_bodies)
            case Measure():
                return self._measure()
            case Watched(organisation=organisation):
                return Standings(upstreams=self.worker.watch.standing(organisation))
            case _ as never:
                assert_never(never)

    async def of_sandboxes(self, message: OpenSandbox | ListSandboxes | EndSandbox) -> Message:
        """The same about sandboxes."""
        match message:
            case OpenSandbox(order):
                return OpenedSandbox(await self.worker.open_sandbox(order))
            case ListSandboxes(organisation):
                return SandboxList(tuple(await self.worker.sandboxes(organisation)))
            case EndSandbox(organisation=organisation, sandbox=sandbox, message=words):
                return SandboxTaken(await self.worker.end_sandbox(organisation, sandbox, words))
            case _ as never:
                assert_never(never)

    async def _carried(self, errand: Errand) -> Message:
        return Carried(await self.worker.carry_out(errand))

    async def _catch_up(self, *, with_bodies: bool) -> Message:
        with contextlib.suppress(UnavailableError, TimeoutError):
            await asyncio.wait_for(self.ledger.settle(), _CATCH_UP_S)
        if with_bodies:
            await asyncio.to_thread(self._bodies.flush, _CATCH_UP_S)
        return Done()

    async def _recalled(self, recall: Recall) -> Message:
        slabs = self.worker.slabs
        return Report() if slabs is None else await slabs.recalled(recall)

    async def _measure(self) -> Message:
        return Measurement(await self.worker.metrics())


def secrets_of(told: Configure | SecretsChange, environment: Mapping[str, str]) -> Secrets:
    """The secrets that a change names, with the values that it has or the environment gives."""
    return EnvironmentSecrets(told.secrets, environment, told.values)
