"""The data plane on the listener that was made inside a sandbox, for its invocation alone."""

import contextlib
import socket
from typing import Final, final

from ringfence.domain.sandbox import ListenerKind
from ringfence.enforcement.sandbox import Listeners, LiveSandbox
from ringfence.gateways.data_plane import DataPlane
from ringfence.transport.limits import ServerLimits
from ringfence.transport.server import Server

_CUT_S: Final = 0.0
CONNECTIONS: Final = 256
"""How many a sandbox may have open here: each is one of the files that the plane may have."""


@final
class GatewayDoor:
    """Serves the gateway listeners of every sandbox of one worker, each with a server of its own.

    A server of its own, so that cutting one sandbox off cuts no other.
    """

    def __init__(self, data_plane: DataPlane) -> None:
        """Nobody is served yet."""
        self._data_plane = data_plane
        self._servers: dict[str, Server] = {}

    async def serve(self, sandbox: LiveSandbox, listeners: Listeners) -> None:
        """Accept on the gateway listeners; a connection that is not the sandbox's is dropped."""
        own = [each for kind, each in listeners if kind is ListenerKind.GATEWAY]
        if not own:
            return
        server = Server(
            self._data_plane.within(sandbox),
            limits=ServerLimits(connections=CONNECTIONS),
            render_refusal=self._data_plane.refusal_within(sandbox),
            admits=lambda peer: sandbox.is_open and sandbox.owns(peer),
        )
        self._servers[sandbox.id] = server
        for each in own:
            await server.listen_on(_ours(each))

    async def stop(self, sandbox: LiveSandbox) -> None:
        """Accept no more and cut what is open."""
        server = self._servers.pop(sandbox.id, None)
        if server is not None:
            with contextlib.suppress(OSError):
                await server.drain(_CUT_S)


def _ours(listener: socket.socket) -> socket.socket:
    listener.settimeout(0)
    return listener
