"""What the record has of invocations besides their actions: that they were opened, and ended."""

from ringfence.domain.event import FORMAT, Change
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.narrowing import Narrowing, written
from ringfence.enforcement.record import Ledger
from ringfence.stores.body import Body
from ringfence.stores.ledger import opening_detail
from ringfence.transport.clock import Clock


class InvocationLog:
    """Writes these events for whoever opens and ends invocations."""

    def __init__(self, *, ledger: Ledger, directory: Directory, clock: Clock) -> None:
        """Join the parts."""
        self._ledger = ledger
        self._directory = directory
        self._clock = clock

    def opened(
        self, live: LiveInvocation, narrowing: Narrowing | None = None, task: str = ""
    ) -> None:
        """One was opened that no intent has opened; the ledger knows it from now on.

        What the agent says of its task is a message like any other: it can be masked and erased.
        """
        text, principal = written(narrowing, live), live.runtime.principal
        detail = opening_detail(live.identity, token_digest=live.token_digest, narrowing=text)
        if principal is not None:
            detail["user"] = principal.id
        said = Body(task.encode("utf-8", "replace")) if task else None
        self._write(live, "invocation.opened", detail, said)
        live.is_recorded = True

    def ended(self, live: LiveInvocation) -> None:
        """One has ended: how, and why if that was not its own doing."""
        cause = live.stopped
        detail = {"cause": cause.code.value, "message": cause.message} if cause is not None else {}
        self._write(live, f"invocation.{live.state.value}", detail)

    def _write(
        self, live: LiveInvocation, what: str, detail: dict[str, str], said: Body | None = None
    ) -> None:
        configuration = self._directory.configuration
        self._ledger.record(
            Change(
                format=FORMAT,
                organisation=live.identity.organisation,
                time_us=str(self._clock.now_us()),
                epoch=configuration.epoch if configuration is not None else 0,
                configuration=live.runtime.organisation.digest,
                policy=live.runtime.organisation.policy_digest,
                actor=f"agent:{live.runtime.id}",
                what=what,
                subject=live.id,
                detail=detail,
                invocation=live.id,
                root=live.root,
            ),
            said,
        )
