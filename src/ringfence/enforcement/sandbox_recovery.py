"""Sandboxes whose worker is no more: they ended with it, and the record says so afterwards."""

from collections.abc import Container
from typing import Final, final

from ringfence.domain.observation import Seen
from ringfence.domain.sandbox import Sandbox, SandboxEnd, is_sandbox
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.observation import Observations, Sighting
from ringfence.transport.clock import Clock

_LOST: Final = Reason(
    code=Code.INVOCATION_STOPPED,
    message="The plane that this run's sandbox was tied to ended, and the sandbox with it.",
)


@final
class LostSandboxes:
    """Ends the invocations of sandboxes that nobody serves; whoever keeps the runs has one."""

    def __init__(self, observations: Observations, invocations: Invocations, clock: Clock) -> None:
        """Join the parts."""
        self._observations = observations
        self._invocations = invocations
        self._clock = clock

    def end(self, sandboxes: Container[str] | None = None) -> None:
        """End those with these ids, or all: their network, monitor and token are gone already."""
        for live in list(self._invocations.open()):
            sandbox = live.identity.credential
            is_whole = is_sandbox(sandbox) and live.parent is None
            if is_whole and (sandboxes is None or sandbox in sandboxes):
                self._end(live)

    def _end(self, live: LiveInvocation) -> None:
        identity = live.identity
        caller = Caller(
            runtime=live.runtime,
            credential=identity.credential,
            invocation=live.id,
            chain=live.chain,
            tier=live.runtime.tiers[-1],
        )
        lost = Sandbox(
            id=identity.credential,
            organisation=identity.organisation,
            agent=identity.agent,
            invocation=live.id,
            tier=live.runtime.agent.sandbox,
            started_us=identity.opened_us,
            monitor_pid=0,
            workspace="",
            ca_fingerprint="",
            policy="",
        )
        sighting = Sighting(what=Seen.SANDBOX_ENDED, subject=SandboxEnd.PLANE_STOPPED.value)
        self._observations.see(caller, lost, sighting)
        self._invocations.stop(live, _LOST, self._clock.now_us())
