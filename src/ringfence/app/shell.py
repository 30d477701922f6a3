"""What commands of one worker's sandboxes meet: their path, their door, and the record of both."""

from typing import final

from ringfence.enforcement.action_path import PathParts
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.observation import Observations
from ringfence.enforcement.policy import Policies
from ringfence.enforcement.sandbox_record import SandboxLog
from ringfence.enforcement.shell_call import ShellPath
from ringfence.enforcement.tool_secret import SecretScans
from ringfence.gateways.shell import ShellDoor


@final
class ShellParts:
    """Joined once for each worker."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        parts: PathParts,
        *,
        policies: Policies,
        approvals: Approvals | None,
        observations: Observations,
        secrets: SecretScans,
        authority: Authority,
    ) -> None:
        """Nothing runs yet."""
        self.path = ShellPath(parts, policies=policies, approvals=approvals)
        self.door = ShellDoor(
            self.path, observations, parts.findings, secrets, approvals, authority
        )
        self.record = SandboxLog(observations, parts.refusals, self.path)
