"""The tool gateway of one worker: what its door needs, put together."""

from collections.abc import Callable, Mapping
from typing import final

from ringfence.enforcement.allowance import Allowance
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_dispatch import ToolDispatcher
from ringfence.enforcement.tool_finish import ToolFinish
from ringfence.enforcement.tool_grant import Grants
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.gateways.tool.door import ToolDoor
from ringfence.gateways.tool.neighbour import ALONE, Forwarder, Neighbours
from ringfence.gateways.tool.server import ToolLinks
from ringfence.protocols.mcp.sealing import NONCE_BYTES, Sealer
from ringfence.stores.secret import Secrets
from ringfence.transport import entropy
from ringfence.transport.clock import Clock
from ringfence.transport.http import Client


@final
class Tooling:
    """The door to tools, and what stands behind it."""

    def __init__(  # noqa: PLR0913 (the parts that it joins)
        self,
        *,
        path: ToolPath,
        registry: ToolRegistry,
        finish: ToolFinish,
        client: Client,
        secrets: Secrets,
        environment: Mapping[str, str],
        clock: Clock,
        authority: Authority,
        seal_key: bytes,
        neighbours: Neighbours = ALONE,
        approvals: Approvals | None,
        granted: Grants | None = None,
        got: Callable[[str, str], None],
        token_refused: Callable[[str, str], None],
        allowance: Allowance | None = None,
    ) -> None:
        """`seal_key` is shared by all workers of a plane; `got` is told of servers' tokens.

        `token_refused` of those, by their names in `secrets`, that were not taken.
        """
        self.dispatcher = ToolDispatcher(client, secrets, environment, granted, got)
        self.dispatcher.token_refused = token_refused
        self.links = ToolLinks(self.dispatcher)
        self.door = ToolDoor(
            path=path,
            registry=registry,
            links=self.links,
            finish=finish,
            clock=clock,
            approvals=approvals,
            allowance=allowance,
            authority=authority,
            forwarder=Forwarder(client, neighbours),
            sealer=Sealer(seal_key),
            secret=entropy.secret,
            nonce=lambda: entropy.random_bytes(NONCE_BYTES),
        )
