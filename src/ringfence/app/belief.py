"""What the workers of a plane believe, so that one started later begins with what all have."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import msgspec

from ringfence.app.change_message import (
    Configure,
    CredentialsChange,
    SecretsChange,
    StateChange,
)
from ringfence.app.group import Beginning, Epoch, Place
from ringfence.app.message import Learned, Start
from ringfence.domain.agent import AgentState
from ringfence.domain.credential import AgentCredential
from ringfence.domain.registry import Card
from ringfence.domain.tool_source import ToolSource
from ringfence.protocols.mcp.sealing import KEY_BYTES
from ringfence.stores.secret import Secrets
from ringfence.transport.entropy import random_bytes


@final
class Belief:
    """Makes each change, which its maker sends in the same turn, and knows what it leads to.

    `change` is the number of the last one.
    """

    def __init__(self, beginning: Beginning, folder: Path) -> None:
        """Believe what the plane begins with."""
        self.change = 0
        self._beginning = beginning
        self._folder = folder
        self._seal_key = random_bytes(KEY_BYTES)
        self._credentials = {each.id: each for each in beginning.credentials}
        self._configure = self.configured(beginning.epoch)

    def configured(self, epoch: Epoch) -> Configure:
        """A new epoch, whole."""
        self._configure = Configure(
            change=self._next(),
            configuration=epoch.configuration,
            states=dict(epoch.states),
            secrets=epoch.secrets.variables(),
            values=epoch.secrets.others(),
        )
        return self._configure

    def secrets_changed(self, secrets: Secrets) -> SecretsChange:
        """Other values of secrets."""
        change = SecretsChange(
            change=self._next(), secrets=secrets.variables(), values=secrets.others()
        )
        self._configure = msgspec.structs.replace(
            self._configure, secrets=change.secrets, values=change.values
        )
        return change

    def credentials_changed(self, credentials: Sequence[AgentCredential]) -> CredentialsChange:
        """New credentials, or others with the same ids."""
        self._credentials.update({each.id: each for each in credentials})
        return CredentialsChange(change=self._next(), credentials=tuple(credentials))

    def state_changed(self, organisation: str, agent: str, state: AgentState) -> StateChange:
        """Whether an agent is admitted."""
        self._configure.states[agent] = state
        return StateChange(change=self._next(), organisation=organisation, agent=agent, state=state)

    def start(  # noqa: PLR0913 (what one worker differs in, and what the plane has learned since)
        self,
        *,
        worker: int,
        workers: int,
        log: str,
        place: Place,
        learned: Learned,
        opened: tuple[Card, ...],
        tools: tuple[ToolSource, ...],
    ) -> Start:
        """Everything that a worker needs, as it is now."""
        known = self._beginning.recovered
        return Start(
            worker=worker,
            workers=workers,
            data=str(self._folder),
            log=log,
            signing_key=self._beginning.signing_key,
            database=self._beginning.database,
            allowance=self._beginning.allowance,
            place=place,
            configure=msgspec.structs.replace(self._configure, change=self.change),
            credentials=tuple(self._credentials.values()),
            evidence=tuple((*key, seen) for key, seen in known.evidence.items()),
            objects=tuple(known.objects),
            learned=learned,
            opened=opened,
            tools=tools,
            seal_key=self._seal_key,
        )

    def _next(self) -> int:
        self.change += 1
        return self.change
