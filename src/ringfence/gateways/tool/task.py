"""Tasks of servers, by names that only the agent can use for whom they were begun.

All agents share one credential at a server, so that the server's own id of a task would be good for
whoever has heard of it. INVARIANT (I6): what an agent names is its own.
"""

import hashlib
from typing import Final, final

from ringfence.enforcement.directory import Caller
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import task
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.sealing import NONCE_BYTES, Sealer

_NEVER_US: Final = 253_402_300_799_000_000
"""The end of the year 9999: how long a task is kept is its server's to say."""


@final
class Tasks:
    """Names of tasks; one for each door."""

    def __init__(self, sealer: Sealer) -> None:
        """The key is one for all workers of a plane."""
        self._sealer = sealer

    def shown(self, caller: Caller, server: str, own: str) -> str:
        """What the agent calls a task: the same each time, and of no use to anybody else."""
        bound, content = _bound(caller), task.joined(server, own)
        # A nonce made of what is sealed is used for nothing else, and gives the same name again.
        nonce = hashlib.sha256(bound + b"\n" + content).digest()[:NONCE_BYTES]
        return self._sealer.seal(content, bound, _NEVER_US, nonce)

    def own(self, caller: Caller, shown: str) -> tuple[str, str]:
        """The server of a task and its name there. Raises McpError for what is not this agent's."""
        content = self._sealer.open(shown, _bound(caller), 0)
        if content is None:
            raise McpError(errors.INVALID_PARAMS, "there is no such task")
        return task.split(content)


def _bound(caller: Caller) -> bytes:
    principal = caller.runtime.principal
    whose = "" if principal is None else principal.id
    return f"task\n{caller.runtime.organisation.id}\n{caller.runtime.id}\n{whose}".encode()
