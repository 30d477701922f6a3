"""The beginning and the end of a sandbox on the record, under the invocation that it is."""

import hashlib
from collections.abc import Mapping
from typing import Final, final

from ringfence.domain.event import FORMAT, Change
from ringfence.domain.monitoring import Ended, Join
from ringfence.domain.sandbox import SandboxEnd
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.transport.clock import Clock

_COMMAND_CHARACTERS: Final = 2000


@final
class PlainRecord:
    """Writes `sandbox.started` and `sandbox.ended`."""

    def __init__(self, *, ledger: Ledger, directory: Directory, clock: Clock) -> None:
        """Join the parts."""
        self._ledger = ledger
        self._directory = directory
        self._clock = clock

    def started(self, sandbox: LiveSandbox, join: Join) -> None:
        """How it is made, for whom, and what is in it."""
        of, order = sandbox.sandbox, sandbox.order
        command = " ".join(order.command)
        detail = {
            "agent": of.agent,
            "agent_name": sandbox.live.runtime.agent.name,
            "tier": of.tier.value,
            "command": command[:_COMMAND_CHARACTERS],
            "command_sha256": hashlib.sha256("\0".join(order.command).encode()).hexdigest(),
            "workspace": of.workspace,
            "directory": order.directory,
            "policy": of.policy,
            "plan": join.plan,
            "binds": "\n".join(join.binds),
            "listeners": " ".join(kind.value for kind in join.kinds),
            "ca_fingerprint": of.ca_fingerprint,
            "uninspected": " ".join(sandbox.passes),
            "monitor_pid": str(of.monitor_pid),
        }
        self._write(sandbox, "sandbox.started", order.actor, detail)

    def ended(self, sandbox: LiveSandbox, why: SandboxEnd, ended: Ended | None) -> None:
        """Why, and how; nobody knows how where its monitor has not said so."""
        detail = {"agent": sandbox.sandbox.agent, "tier": sandbox.sandbox.tier.value, "why": why}
        if ended is not None:
            detail |= {
                "exit_code": str(ended.exit_code),
                "signal": str(ended.signal) if ended.signal else "",
                "cpu_us": str(ended.cpu_us),
                "memory_bytes": str(ended.memory_bytes),
            }
        self._write(sandbox, "sandbox.ended", "plane", detail)

    def _write(
        self, sandbox: LiveSandbox, what: str, actor: str, detail: Mapping[str, str]
    ) -> None:
        configuration = self._directory.configuration
        organisation = sandbox.live.runtime.organisation
        self._ledger.record(
            Change(
                format=FORMAT,
                organisation=organisation.id,
                time_us=str(self._clock.now_us()),
                epoch=configuration.epoch if configuration is not None else 0,
                configuration=organisation.digest,
                policy=organisation.policy_digest,
                actor=actor,
                what=what,
                subject=sandbox.id,
                detail={name: value for name, value in detail.items() if value},
                invocation=sandbox.live.id,
                root=sandbox.live.root,
            )
        )
