"""A request through egress between its intent and its outcome."""

import asyncio
from collections.abc import Callable
from typing import final

import msgspec

from ringfence.decisions import destination as rule
from ringfence.decisions.reservation import Reservation
from ringfence.domain.destination import Destination
from ringfence.domain.event import Intent, Status
from ringfence.domain.verdict import Reason
from ringfence.enforcement.credential_injection import Injection
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.ticket import ActionTicket
from ringfence.stores.body import Body


class HttpEnding(msgspec.Struct, kw_only=True):
    """How a request ended, as the door saw it.

    `body` is as much of the answer as is kept, as the agent got it. `address` is where it was sent
    to; empty if it was not. `redactions` is how often a secret was taken out of the answer.
    """

    status: Status
    http_status: int = 0
    error: str = ""
    body: bytes = b""
    address: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    redactions: int = 0
    first_byte_us: int = 0
    """On the monotonic clock; 0 if nothing came."""


@final
class HttpTicket(ActionTicket):
    """A request that may be dispatched once `durable` is done."""

    __slots__ = (
        "_settle",
        "allowed_bytes",
        "destination",
        "injection",
        "is_probe",
        "kept",
        "resource",
        "secrets",
        "uninspected",
    )

    def __init__(  # noqa: PLR0913, PLR0917 (an action has these parts; by name they cost more)
        self,
        caller: Caller,
        live: LiveInvocation,
        destination: Destination,
        injection: Injection | None,
        intent: Intent,
        kept: bytes,
        reservation: Reservation,
        allowed_bytes: int,
        durable: asyncio.Future[None],
        started_us: int,
        settle: Callable[["HttpTicket", HttpEnding], None],
    ) -> None:
        """Made by `http_call.HttpPath` alone."""
        self.caller = caller
        self.live = live
        self.destination = destination
        self.injection = injection
        """What is done to it because of secrets; None if its host has none."""
        self.secrets = () if injection is None else injection.names
        """The names of the secrets that are added to it."""
        self.resource = intent.resource
        """`host:port`, as the record has it."""
        self.intent = intent
        self.kept = kept
        """As much of its body as the record keeps."""
        self.reservation = reservation
        self.allowed_bytes = allowed_bytes
        """How much it and its answer may move."""
        self.durable = durable
        self.started_us = started_us
        self.is_probe = False
        self.uninspected = False
        self.is_open = True
        self.on_stop = None
        self.on_check = None
        self.places = None
        self._settle = settle

    def settle(self, ending: HttpEnding) -> None:
        """Record the outcome of the request; later calls do nothing."""
        if self.is_open:
            self.is_open = False
            self.on_stop = self.on_check = None
            self._settle(self, ending)

    def undo(self, status: Status, error: str) -> None:
        """Settle what was never dispatched."""
        self.settle(HttpEnding(status=status, error=error))

    def barred(self) -> Reason | None:
        """Why its host may not be reached any more."""
        live = self.live
        return rule.in_scope(live.runtime.agent, self.destination, live.hosts)

    def body(self) -> Body:
        """What is kept of what was asked."""
        return Body(self.kept)

    def guard(self) -> Reason | None:
        """Whether it must end now, and why."""
        return self.live.stream_stop(0, 0)
