"""A server connection that clients take for a proxy, or for the server that they meant.

Beside what `Connection` reads, it reads CONNECT and the absolute form where a proxy is spoken to,
and shows its handler the offer of a WebSocket. Any other offer is refused, where an ordinary server
may ignore it: what comes after must not be read in two ways.
"""

import asyncio
from collections.abc import Callable
from typing import Final, final

from ringfence.transport import framing
from ringfence.transport.connection import Connection
from ringfence.transport.framing import Malformed
from ringfence.transport.http import Handle
from ringfence.transport.reply import HandedOver
from ringfence.transport.service import Service

_EARLY_BYTES: Final = 64 * 1024
"""How much a client may say in the next protocol before it is answered."""
_ONLY_WEB_SOCKET: Final = "only a WebSocket may be offered here: ask again without `Upgrade`"
_FORBIDDEN: Final = 403

HandleAt = Callable[[asyncio.BaseTransport], Handle]
"""Who answers the requests of a connection."""


@final
class InterceptedConnection(Connection):
    """Serves one sandbox. The offer of a protocol, and CONNECT, are the last request on it."""

    __slots__ = ("_early", "_handle_at", "_is_changing", "_is_known", "_is_proxy")

    def __init__(
        self, service: Service, handle_at: HandleAt, *, is_proxy: bool, is_known: bool = False
    ) -> None:
        """`is_proxy` is whether the client knows that it speaks to a proxy.

        One that `is_known` goes on where another was spoken on, which was admitted: that is asked
        once for each connection.
        """
        super().__init__(service)
        self._handle_at = handle_at
        self._is_proxy = is_proxy
        self._is_changing = False
        self._is_known = is_known
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection; who answers may depend on where it was going."""
        self._handle = self._handle_at(transport)
        super().connection_made(transport)

    def _is_admitted(self, name: object) -> bool:
        return self._is_known or super()._is_admitted(name)

    def data_received(self, data: bytes) -> None:
        """What comes after a last request belongs to whatever follows HTTP."""
        if not self._is_changing:
            super().data_received(data)
            return
        self._early += data
        if len(self._early) > _EARLY_BYTES:
            self.cut()

    def hand_over(self, opening: bytes) -> HandedOver:
        """Give the connection away, with what the client has said already."""
        transport, _ = super().hand_over(opening)
        return HandedOver(transport, self._early)

    def _check_target(self, method: bytes, target: bytes) -> None:
        if method == b"CONNECT":
            if not self._is_proxy:
                raise Malformed("CONNECT is for proxies, and this is none", status=_FORBIDDEN)
            return
        if not self._is_proxy:
            framing.check_target(target)
        elif not target.lower().startswith(b"http://") or b"#" in target:
            raise Malformed("a proxy needs a target that begins with `http://`")

    def _keeps_offer(self, method: bytes, index: dict[bytes, bytes]) -> bool:
        is_framed = bool(self._length) or self._is_chunked
        if method != b"CONNECT":
            offer = index.get(b"upgrade", b"").lower()
            if offer != b"websocket" or method != b"GET":
                raise Malformed(_ONLY_WEB_SOCKET, status=_FORBIDDEN)
        if is_framed:
            raise Malformed("a request that ends HTTP has no body")
        self._is_changing = True
        return True

    def _changed(self, rest: bytes) -> bytes:
        """Keep what follows for whoever takes the connection over."""
        if not self._is_changing:
            return super()._changed(rest)
        if self._incoming is not None:
            self.on_message_complete()
        if self._queue:
            self._queue[-1].keep_alive = False
        self._is_last = True
        self._early = rest
        return b""
