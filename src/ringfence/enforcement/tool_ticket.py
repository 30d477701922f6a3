"""A tool call between its intent and its outcome."""

import asyncio
from collections.abc import Callable
from typing import final

import msgspec

from ringfence.decisions import scope
from ringfence.decisions.failure_rule import is_idempotent, labels_of
from ringfence.decisions.reservation import Reservation
from ringfence.domain.event import Attempt, Intent, Status
from ringfence.domain.tool import PermissionTier, ToolKey
from ringfence.domain.verdict import Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.ticket import ActionTicket
from ringfence.enforcement.tool_quote import ToolQuote
from ringfence.stores.body import Body


class ToolEnding(msgspec.Struct, kw_only=True):
    """How a tool call ended, as the door saw it.

    `result` is the raw JSON of the result as the agent gets it; empty if there is none. `is_error`
    is what it says of itself (`isError`). `was_sent` is false only if the server saw nothing.
    """

    status: Status
    result: bytes = b""
    is_error: bool = False
    error: str = ""
    """Error class, where there was no usable result."""
    http_status: int = 0
    attempts: list[Attempt] = []
    was_sent: bool = True


@final
class ToolTicket(ActionTicket):
    """A tool call that may be dispatched once `durable` is done."""

    __slots__ = ("_settle", "answer", "arguments", "deadline_s", "is_probe", "key", "quote")

    def __init__(  # noqa: PLR0913 (an action has these parts)
        self,
        *,
        caller: Caller,
        live: LiveInvocation,
        key: ToolKey,
        quote: ToolQuote,
        intent: Intent,
        reservation: Reservation,
        durable: asyncio.Future[None],
        started_us: int,
        deadline_s: float,
        settle: Callable[["ToolTicket", ToolEnding], None],
    ) -> None:
        """Made by `tool_call.ToolPath` alone."""
        self.caller = caller
        self.live = live
        self.key = key
        self.arguments = quote.arguments
        """The bytes to dispatch: a JSON object."""
        self.quote = quote
        self.intent = intent
        self.reservation = reservation
        self.durable = durable
        self.started_us = started_us
        self.deadline_s = deadline_s
        """How long the call may take, from its dispatch."""
        self.answer = ""
        """What the person said who approved it."""
        self.is_probe = False
        """Whether it goes out to see if what failed works again."""
        self.is_open = True
        self.on_stop = None
        self.on_check = None
        self.places = None
        self._settle = settle

    @property
    def is_repeatable(self) -> bool:
        """Whether it changes something and may be sent more than once all the same."""
        quote = self.quote
        tier, rules = quote.tier, quote.server.rules
        return tier is not PermissionTier.READ and is_idempotent(rules, tier, self.key.name)

    @property
    def labels(self) -> frozenset[str]:
        """What is said of its result, for example `untrusted`."""
        quote = self.quote
        own = labels_of(quote.server.rules, self.key.name)
        return own if quote.tool is None else own | quote.tool.labels

    def settle(self, ending: ToolEnding) -> None:
        """Record the outcome of the call; later calls do nothing."""
        if self.is_open:
            self.is_open = False
            self.on_stop = self.on_check = None
            self._settle(self, ending)

    def undo(self, status: Status, error: str) -> None:
        """Settle what was never dispatched: it costs nothing."""
        self.settle(ToolEnding(status=status, error=error, was_sent=False))

    def barred(self) -> Reason | None:
        """Why its tool may not be asked any more."""
        live = self.live
        runtime = live.runtime
        bounds = (*runtime.tools, *live.tools)
        found = scope.tool_in_scope(runtime.agent, runtime.organisation, self.key, bounds)
        return found if isinstance(found, Reason) else None

    def body(self) -> Body:
        """The arguments, in one piece."""
        return Body(self.arguments)

    def guard(self) -> Reason | None:
        """Whether the call must end now, and why."""
        return self.live.stream_stop(0, 0)
