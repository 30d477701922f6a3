"""The workers of a plane as the plane sees them: within its own process, or as processes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ringfence.api.context import Workers
from ringfence.app.sharing import Sharing
from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.agent import AgentState
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration
from ringfence.domain.tool_source import ToolSource
from ringfence.enforcement.allowance import AllowanceLimits
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.proof import UserRegistry
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.tool_custody import Archive, ToolCustody
from ringfence.enforcement.tool_grant import Grants
from ringfence.stores.ledger import Recovered
from ringfence.stores.secret import Secrets
from ringfence.stores.state.grant import Grant


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where agents connect, and with which certificate (PEM files; empty for none)."""

    host: str
    port: int
    tls_cert: str = ""
    tls_key: str = ""
    console_port: int = 0
    """Where people connect, so that no sandbox does."""

    @classmethod
    def of(cls, settings: Settings) -> "Place":
        """What the settings say."""
        return cls(
            host=settings.host,
            port=settings.port,
            tls_cert=str(settings.tls_cert) if settings.tls_cert is not None else "",
            tls_key=str(settings.tls_key) if settings.tls_key is not None else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A configuration to be taken whole: with the states of its agents, by id, and its secrets."""

    configuration: Configuration
    states: Mapping[str, AgentState]
    secrets: Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What workers begin with: the first epoch, all that people have given out, and the record.

    `users`, `ledger` and `approvals` are the plane's own. The rest is for workers that are
    processes: `logs`, one for each, `signing_key`, the file they sign them with (empty for the data
    folder's own), and `database`, as the settings name it.
    """

    epoch: Epoch
    credentials: tuple[AgentCredential, ...]
    grants: tuple[Grant, ...]
    recovered: Recovered
    users: UserRegistry
    ledger: Ledger
    tool_archive: Archive
    approvals: Approvals
    granted: Grants
    """Whoever has what people have granted of tool servers."""
    tools: tuple[ToolSource, ...] = ()
    """Every source of tools that the state store knows."""
    logs: tuple[str, ...] = ()
    signing_key: str = ""
    database: str = field(default=SQLITE, repr=False)
    sharing: Sharing | None = None
    """The plane's place among other planes, if there can be any."""
    allowance: AllowanceLimits = field(default_factory=AllowanceLimits)
    """What calls may hold of each worker's memory."""
    token_refused: Callable[[str], None] = lambda _key: None
    """Told of a token, by its name in `Secrets`, that was not taken."""


class Group(Workers, Protocol):
    """All workers of one plane, from their start to their drained end."""

    def install(self, beginning: Beginning) -> None:
        """Take what to begin with, before anybody can change it."""

    @property
    def tools(self) -> ToolCustody:
        """What is accepted of tools; after `install`."""

    async def listen(self, place: Place) -> int:
        """Let agents in; gives the port.

        Raises UsageError `port_taken`, `tls_unusable`, UnavailableError.
        """

    async def configuration_changed(self, epoch: Epoch) -> None:
        """Take a new epoch on every live worker; a worker that cannot is ended.

        INVARIANT: it has been sent, in order with every other change, before this first waits.
        """

    def secrets_changed(self, secrets: Secrets) -> Awaitable[None]:
        """Use these secrets from now on, on every live worker.

        INVARIANT: it has been sent when this returns; what it gives ends when all obey.
        """

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Let running answers end for so long, or until `hurry`; what is left is cut."""

    async def close(self) -> None:
        """End what is left of the workers; after `drain`, or when the start failed."""

    async def catch_up(self) -> None:
        """Return when what workers have recorded so far can be read, or after a moment."""

    async def tidy(self) -> None:
        """Look after what needs no answer; called every few seconds."""

    def flush_bodies(self) -> None:
        """The same for bodies; blocks, and is called from a thread."""

    def readiness(self) -> str:
        """Empty if every worker can do its work, else which cannot and why."""
