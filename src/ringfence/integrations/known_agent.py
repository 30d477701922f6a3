"""Which known agent a command is, and how it is set up to work behind the gateways.

Every file that is written lies in the sandbox's own home: what the user has is not touched, and
nothing of it is read.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final

from ringfence.domain.sandbox import SandboxGrant
from ringfence.integrations import claude_code, codex, copilot, opencode
from ringfence.sandbox.assembly import Scene, Setup

Make = Callable[[SandboxGrant, Scene, tuple[str, ...]], Setup]

_KNOWN: Final[Mapping[str, Make]] = {
    "claude": claude_code.setup,
    "codex": codex.setup,
    "copilot": copilot.setup,
    "opencode": opencode.setup,
}
"""By the name of their program."""


def setup(grant: SandboxGrant, where: Scene, command: tuple[str, ...]) -> Setup:
    """What a command needs; nothing if it is no known agent."""
    make = _KNOWN.get(os.path.basename(command[0]))  # noqa: PTH119 (text)
    return Setup() if make is None else make(grant, where, command)
