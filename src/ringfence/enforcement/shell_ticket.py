"""A command between its intent and its outcome: a process that runs a program."""

import asyncio
from collections.abc import Callable
from typing import final

import msgspec

from ringfence.decisions.reservation import Reservation
from ringfence.domain.event import Intent, Status
from ringfence.domain.verdict import Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.ticket import ActionTicket
from ringfence.stores.body import Body


class ExecEnding(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended. `exit_code` is below 0 for a signal, None if it is not known.

    `result` is what an agent tells of a command that passes no door: raw JSON.
    """

    status: Status
    exit_code: int | None = None
    error: str = ""
    result: bytes = b""


@final
class ExecTicket(ActionTicket):
    """A command that may begin once `durable` is done."""

    __slots__ = ("_settle", "arguments", "print_", "process", "sandbox")

    def __init__(  # noqa: PLR0913 (an action has these parts)
        self,
        *,
        caller: Caller,
        live: LiveInvocation,
        intent: Intent,
        arguments: bytes,
        print_: int,
        reservation: Reservation,
        durable: asyncio.Future[None],
        started_us: int,
        settle: Callable[["ExecTicket", ExecEnding], None],
    ) -> None:
        """Made by `shell_call.ShellPath` alone."""
        self.caller = caller
        self.live = live
        self.intent = intent
        self.arguments = arguments
        """As much as is kept of what was decided on, as JSON: path, line, argv and directory."""
        self.print_ = print_
        """A hash of the whole of that, for this process alone."""
        self.reservation = reservation
        self.durable = durable
        self.started_us = started_us
        self.sandbox = intent.sandbox
        self.process = intent.process
        self.is_open = True
        self.on_stop = None
        self.on_check = None
        self.places = None
        self._settle = settle

    def settle(self, ending: ExecEnding) -> None:
        """Record the outcome of the command; later calls do nothing."""
        if self.is_open:
            self.is_open = False
            self._settle(self, ending)

    def undo(self, status: Status, error: str) -> None:
        """Settle what never began."""
        self.settle(ExecEnding(status=status, error=error))

    def barred(self) -> Reason | None:
        """What runs goes on when a reload takes its program away; it cannot be begun again."""
        return None

    def body(self) -> Body:
        """What is kept of what was asked, in one piece."""
        return Body(self.arguments)
