"""What enforcement needs of the ledger, and the words every event of an agent begins with."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

from ringfence.domain.event import FORMAT, AnyEvent, Intent
from ringfence.enforcement.directory import Caller, Directory
from ringfence.stores.body import Body


class Ledger(Protocol):
    """Where events go; `stores.ledger` implements it."""

    def intend(
        self, intent: Intent, body: Body | None, *, is_open: bool = False
    ) -> asyncio.Future[None]:
        """Write an intent; the future ends when it is durable, or with UnavailableError.

        With `is_open` a journal of this machine will do while a shared store is away.
        """

    def record(self, event: AnyEvent, body: Body | None = None) -> None:
        """Write any other event with the next batch; never holds back an answer."""

    def listen(self, written: Callable[[Sequence[AnyEvent]], None]) -> None:
        """Tell from now on which events have become durable, before those are told who wait."""

    async def flush(self) -> None:
        """Wait until all that was recorded so far is durable. Raises UnavailableError."""


class Heading(TypedDict):
    """The fields that every event of an agent has in common."""

    format: int
    organisation: str
    time_us: str
    epoch: int
    configuration: str
    policy: str
    agent: str
    agent_name: str
    agent_version: str
    credential: str
    chain: list[str]
    tier: str


def heading(caller: Caller, directory: Directory, now_us: int) -> Heading:
    """Who did it, when, and under which configuration."""
    runtime = caller.runtime
    agent = runtime.agent
    configuration = directory.configuration
    return {
        "format": FORMAT,
        "organisation": runtime.organisation.id,
        "time_us": str(now_us),
        "epoch": configuration.epoch if configuration else 0,
        "configuration": runtime.organisation.digest,
        "policy": runtime.organisation.policy_digest,
        "agent": agent.id,
        "agent_name": agent.name,
        "agent_version": agent.version,
        "credential": caller.credential,
        "chain": list(caller.chain),
        "tier": caller.tier.value,
    }
