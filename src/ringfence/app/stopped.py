"""The control plane's functions on a plane that is not running, for the command line."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager

from starlette.applications import Starlette

from ringfence import __version__
from ringfence.api.application import create_app
from ringfence.api.context import ChangeNote, ControlContext, WorkerStatus
from ringfence.app.change import change_of
from ringfence.app.configuration import prepare, register
from ringfence.app.readers import readers
from ringfence.app.stores import take_log
from ringfence.config.settings import Settings
from ringfence.decisions.budget import Line
from ringfence.domain.agent import AgentState
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration
from ringfence.stores.body import BodyReader
from ringfence.stores.ledger import LedgerReader, LedgerWriter
from ringfence.stores.state.grant import Grant
from ringfence.stores.state.store import StateStore, open_state
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds


class _NoWorkers:
    """Nobody is running who would have to be told; a plane that starts reads the stores."""

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        """Nothing to tell."""

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        """Nothing to tell."""

    async def grant_added(self, grant: Grant) -> None:
        """Nothing to tell."""

    async def budgets(self, organisation: str) -> Sequence[Line]:
        """No books are open."""
        del organisation
        return ()

    async def status(self) -> Sequence[WorkerStatus]:
        """No worker is running."""
        return ()


@asynccontextmanager
async def stopped_app(
    settings: Settings, environment: Mapping[str, str]
) -> AsyncIterator[Starlette]:
    """The same application as a running plane's, on the stores alone.

    Raises RingfenceError if the configuration or a store cannot be used.
    """
    clock = SystemClock()
    ids = RandomIds(clock)
    now_us = clock.now_us()
    prepared = prepare(settings, environment, now_us)
    state: StateStore = open_state(settings.data)
    actor = f"cli:uid={os.geteuid()}"
    try:
        current = register(state, prepared.configuration, clock=clock, ids=ids, actor=actor)

        async def reload(_actor: str) -> Configuration:
            return current

        async def record(note: ChangeNote) -> None:
            fence = take_log(settings.data, ids)
            with ExitStack() as undo:
                undo.callback(fence.release)
                writer = LedgerWriter.open(fence)
                undo.pop_all()
            try:
                await writer.append(change_of(note, current, clock.now_us()))
            finally:
                await writer.close()

        yield create_app(
            ControlContext(
                state=state,
                workers=_NoWorkers(),
                configuration=lambda: current,
                reload=reload,
                record=record,
                open_ledger=lambda: LedgerReader(settings.data),
                open_bodies=lambda: BodyReader(settings.data),
                readers=readers(),
                clock=clock,
                ids=ids,
                version=__version__,
                started_us=now_us,
                is_serving=False,
            )
        )
    finally:
        state.close()
