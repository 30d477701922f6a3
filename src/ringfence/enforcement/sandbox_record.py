"""The life of a sandbox on the record, in the trace of its invocation."""

import hashlib
from typing import Final, final

from ringfence.decisions.command import signal_name
from ringfence.domain.agent import SandboxTier
from ringfence.domain.monitoring import Ended, Join
from ringfence.domain.observation import Seen
from ringfence.domain.sandbox import SandboxEnd
from ringfence.enforcement.observation import Observations, Sighting
from ringfence.enforcement.refusal import Refusals
from ringfence.enforcement.sandbox import LiveSandbox
from ringfence.enforcement.shell import Shell
from ringfence.enforcement.shell_call import ShellPath

_WRITABLE: Final = "rw "
"""How a bind begins that the agent may write to (`domain.monitoring.Join`)."""


@final
class SandboxLog:
    """Implements `sandbox_registry.SandboxRecord`; one for each worker."""

    def __init__(self, observations: Observations, refusals: Refusals, path: ShellPath) -> None:
        """Join the parts."""
        self._observations = observations
        self._refusals = refusals
        self._path = path

    def started(self, sandbox: LiveSandbox, join: Join) -> None:
        """It begins, and with it its commands."""
        box, order = sandbox.sandbox, sandbox.order
        detail = {
            "tier": box.tier.value,
            "policy": box.policy,
            "ca_fingerprint": box.ca_fingerprint,
            "workspace": box.workspace,
            "directory": order.directory,
            "binds": ", ".join(join.binds),
            "bounds": ", ".join(join.bounds),
            "uninspected": ", ".join(sandbox.passes),
            "listeners": " ".join(kind.value for kind in join.kinds),
            "plan": join.plan,
            "neighbours": " ".join(join.neighbours),
            "command_sha256": hashlib.sha256("\0".join(order.command).encode()).hexdigest(),
            "monitor_pid": str(join.pid),
            "actor": order.actor,
            "is_interactive": "true" if order.is_interactive else "",
        }
        given = {name: value for name, value in detail.items() if value}
        command = " ".join(order.command)
        sighting = Sighting(what=Seen.SANDBOX_STARTED, subject=command, detail=given)
        self._observations.see(sandbox.caller, box, sighting)
        bound = [each.removeprefix(_WRITABLE) for each in join.binds if each.startswith(_WRITABLE)]
        words_bytes = sandbox.caller.runtime.agent.sandbox_rules.words_bytes
        self._path.opened(sandbox.id, Shell((*bound, box.workspace), words_bytes))

    def ended(self, sandbox: LiveSandbox, why: SandboxEnd, ended: Ended | None) -> None:
        """It is over: what still ran is settled first, so that its end is the last word."""
        self._path.ended(sandbox.id)
        if ended is None and not sandbox.is_seen:
            self._unseen(sandbox)
        self._refusals.end(sandbox.caller.credential)
        self._observations.end(sandbox.id)
        detail: dict[str, str] = {}
        if ended is not None:
            how = {"signal": signal_name(ended.signal)} if ended.signal else {}
            how = how or {"exit_code": str(ended.exit_code)}
            used = {"cpu_us": str(ended.cpu_us), "memory_bytes": str(ended.memory_bytes)}
            reached = {
                "killed_for_memory": ended.killed_for_memory,
                "processes_refused": ended.processes_refused,
            }
            detail = how | used | {name: str(count) for name, count in reached.items() if count}
        sighting = Sighting(what=Seen.SANDBOX_ENDED, subject=why.value, detail=detail)
        self._observations.see(sandbox.caller, sandbox.sandbox, sighting)

    def _unseen(self, sandbox: LiveSandbox) -> None:
        """Its monitor has gone without a look: what it left may run later on the host."""
        if sandbox.sandbox.tier is SandboxTier.NONE or sandbox.end is SandboxEnd.NOT_STARTED:
            return
        detail = {"trouble": "nobody has looked at it after the run"}
        folder = sandbox.sandbox.workspace
        sighting = Sighting(what=Seen.WORKSPACE, subject=folder, detail=detail)
        self._observations.see(sandbox.caller, sandbox.sandbox, sighting)
