"""An action between its intent and its outcome: the money set aside and the duty to settle once."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import msgspec

from ringfence.decisions import reason
from ringfence.decisions.output_limit import OutputLimit
from ringfence.decisions.reservation import Reservation
from ringfence.decisions.settlement import Billing
from ringfence.domain.event import Attempt, Intent, Status
from ringfence.domain.exchange import Answer, ModelRequest
from ringfence.domain.verdict import Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.pacing import Places
from ringfence.enforcement.route import Leg, Route
from ringfence.stores.body import Body

_NOTHING = Answer()


class Ending(msgspec.Struct, kw_only=True):
    """How an action ended, as the door saw it."""

    status: Status
    billing: Billing
    leg: Leg
    http_status: int = 0
    error: str = ""
    answer: Answer = _NOTHING
    body: bytes = b""
    attempts: list[Attempt] = []
    first_byte_us: int = 0
    """On the monotonic clock; 0 if nothing came."""


class ActionTicket(ABC):
    """An action of any kind that may be dispatched once `durable` is done.

    INVARIANT (I3): it is settled exactly once; whatever happens to the door's task, the path
    settles an abandoned ticket as uncertain.
    """

    __slots__ = (
        "caller",
        "durable",
        "intent",
        "is_open",
        "live",
        "on_check",
        "on_stop",
        "places",
        "reservation",
        "started_us",
    )

    # Filled in by each kind itself: a call of `super` for each would cost.
    caller: Caller
    live: LiveInvocation
    intent: Intent
    reservation: Reservation
    durable: asyncio.Future[None]
    started_us: int
    """On the monotonic clock."""
    is_open: bool
    on_stop: Callable[[Reason], None] | None
    """How the door ends this call; set once it has begun to dispatch."""
    on_check: Callable[[int], None] | None
    """How the door looks whether the call has taken too long."""
    places: Places | None
    """What it holds at upstreams whose calls are paced."""

    @property
    def action(self) -> str:
        """The action's id."""
        return self.intent.action

    @abstractmethod
    def undo(self, status: Status, error: str) -> None:
        """Settle what was never dispatched."""

    @abstractmethod
    def barred(self) -> Reason | None:
        """Why what it asked for may not be asked for any more."""

    @abstractmethod
    def body(self) -> Body:
        """What was asked, as it is kept."""

    def stop(self, why: Reason) -> None:
        """End the call from outside, for example because its agent was suspended."""
        if self.is_open and self.on_stop is not None:
            self.on_stop(why)

    def check(self, now_us: int) -> None:
        """End the call if one of its stages has taken too long; `now_us` is monotonic."""
        if self.on_check is not None:
            self.on_check(now_us)


@final
class Ticket(ActionTicket):
    """A model call that may be dispatched once `durable` is done."""

    __slots__ = ("_settle", "output", "request", "route", "sent")

    def __init__(  # noqa: PLR0913 (an action has these parts)
        self,
        *,
        caller: Caller,
        live: LiveInvocation,
        route: Route,
        intent: Intent,
        request: ModelRequest,
        output: OutputLimit,
        reservation: Reservation,
        durable: asyncio.Future[None],
        started_us: int,
        settle: Callable[["Ticket", Ending], None],
    ) -> None:
        """Made by `model_call.ModelPath.begin` alone."""
        self.caller = caller
        self.live = live
        self.route = route
        self.intent = intent
        self.request = request
        self.output = output
        self.reservation = reservation
        self.durable = durable
        self.started_us = started_us
        self.is_open = True
        self.on_stop = None
        self.on_check = None
        self.places = None
        self.sent = request
        """The request to dispatch: as it was asked, or with a hint for the model."""
        self._settle = settle

    @property
    def output_tokens_reserved(self) -> int:
        """Output tokens over all answers that the reservation covers."""
        return self.output.tokens * self.request.answers

    def settle(self, ending: Ending) -> None:
        """Charge what the action cost and record its outcome; later calls do nothing."""
        if self.is_open:
            self.is_open = False
            self.on_stop = self.on_check = (
                None  # it leads back here: no cycle may keep a call's bodies alive
            )
            self._settle(self, ending)

    def undo(self, status: Status, error: str) -> None:
        """Settle what was never dispatched: it costs nothing."""
        leg = self.route.legs[0]
        self.settle(Ending(status=status, billing=Billing.NONE, leg=leg, error=error))

    def barred(self) -> Reason | None:
        """Why its model may not be asked any more."""
        runtime, name = self.live.runtime, self.route.model.name
        if name in runtime.routes:
            return None
        return reason.out_of_scope(runtime.agent, "model", name)

    def body(self) -> Body:
        """The request, cut at its messages."""
        return Body(self.request.body, self.request.message_spans)

    def guard(self, output_floor_tokens: int) -> Reason | None:
        """Whether a stream must end now, and why."""
        return self.live.stream_stop(output_floor_tokens, self.output_tokens_reserved)
