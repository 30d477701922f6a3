"""A call that a door carries from its intent to its end by callbacks, whatever it asks for.

Design note 007. What it waits for (the ledger, the upstream, authority) calls the next step.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from ringfence.domain.verdict import Reason
from ringfence.enforcement.authority import LAPSED, SHUTTING_DOWN, Authority
from ringfence.enforcement.live import state_reason
from ringfence.enforcement.ticket import ActionTicket
from ringfence.stores.ledger.durable import when_ended
from ringfence.transport.http import Work


class CarriedCall(ABC):
    """Implements `transport.http.Work`.

    INVARIANT (I3): however it ends, `end` comes last, and sees that its ticket is settled.
    INVARIANT (I4): what is unexpected in any step ends it, with a refusal or a cut.
    """

    __slots__ = ("_authority", "_is_cancelled", "_tell", "is_over", "ticket")

    ticket: ActionTicket

    def __init__(self, authority: Authority, ticket: ActionTicket) -> None:
        """Begun: the intent is on its way to the ledger."""
        self.ticket = ticket
        self.is_over = False
        self._authority = authority
        self._is_cancelled = False
        self._tell: Callable[[Work], None] | None = None
        ticket.on_check = self.check
        durable = ticket.durable
        if durable.done():  # whoever begins this is not ready for its end
            durable.add_done_callback(lambda _: self._written())
        else:
            when_ended(durable, self._written)

    # As work of the server

    def when_over(self, tell: Callable[[Work], None]) -> None:
        """Tell once when it has ended."""
        self._tell = tell

    def cancel(self) -> None:
        """The plane or the sandbox ends: end now. An intent on its way is waited for."""
        if self.is_over or self._is_cancelled:
            return
        self._is_cancelled = True
        if self.ticket.durable.done():
            self.interrupt()

    def interrupt(self) -> None:
        """End now: its plane or its sandbox ends."""
        self.stop(SHUTTING_DOWN)

    def told(self) -> None:
        """It has ended: say so to whoever waits for that."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(self)

    # Its steps

    def _written(self) -> None:
        """The intent is durable, or will never be."""
        self.take(self.forsake if self._is_cancelled else self.dispatch)

    def act(self, step: Callable[..., None], *facts: object) -> None:
        """Within a step, take one that acts for the agent or writes to it.

        Only with authority (design note 012); what is not fresh waits for its renewal.
        """
        if not self._authority.is_fresh:
            self._authority.when_fresh(lambda is_fresh: self._renewed(is_fresh, step, facts))
            return
        why = state_reason(self.ticket.caller.runtime)
        if why is None:
            step(*facts)
        else:
            self.withhold(why)

    def go_on(self, step: Callable[..., None], *facts: object) -> None:
        """The same where no step is being taken."""
        self.take(self.act, step, *facts)

    def _renewed(
        self,
        is_fresh: bool,  # noqa: FBT001 (what a renewal says)
        step: Callable[..., None],
        facts: tuple[object, ...],
    ) -> None:
        if self.is_over:
            return
        if is_fresh and self._authority.is_fresh:
            self.go_on(step, *facts)
        else:
            self.take(self.withhold, LAPSED)

    @abstractmethod
    def take(self, step: Callable[..., None], *facts: object) -> None:
        """Take a step; whatever it raises ends the call."""

    @abstractmethod
    def check(self, now_us: int) -> None:
        """End what has taken too long; `now_us` is monotonic."""

    @abstractmethod
    def stop(self, why: Reason) -> None:
        """End it from outside."""

    @abstractmethod
    def withhold(self, why: Reason) -> None:
        """End it: nothing more may be done for its agent."""

    @abstractmethod
    def forsake(self) -> None:
        """Its intent is durable, and nobody wants it any more."""

    @abstractmethod
    def dispatch(self) -> None:
        """Its intent is durable, or could not be written: send it, or say why not."""
