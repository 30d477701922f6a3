"""A body on its way in: kept until it is taken, with back-pressure towards the sender."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Protocol

HIGH_WATER_BYTES = 64 * 1024
"""How much may wait for a reader before the sender is held; asyncio's own default."""


class Source(Protocol):
    """The connection that a body comes from."""

    def hold_body(self) -> None:
        """Read no more for now."""

    def release_body(self) -> None:
        """Read on."""

    def want_body(self) -> None:
        """Somebody waits for the body (a server then sends `100 Continue`)."""


class Body(ABC):
    """What a request and an upstream's answer have in common."""

    __slots__ = (
        "_error",
        "_is_held",
        "_parts",
        "_size",
        "_source",
        "_waiter",
        "_wake_above",
        "is_complete",
        "length",
    )

    def __init__(self, source: Source, length: int | None) -> None:
        """Empty, and nobody waits. `length` is what Content-Length said."""
        self._source = source
        self.length = length
        self.is_complete = False
        self._parts: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._is_held = False
        self._waiter: asyncio.Future[None] | None = None
        self._wake_above = HIGH_WATER_BYTES

    @abstractmethod
    def too_large(self, limit_bytes: int) -> Exception:
        """The error for a body over its reader's limit."""

    # From the connection

    def complete(self, data: bytes) -> None:
        """Take in the whole body at once; nothing came before."""
        if data:
            self._parts.append(data)
            self._size = len(data)
        self.is_complete = True

    def arrive(self, data: bytes) -> None:
        """Take in some bytes."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._wake_above:
            if self._waiter is None:
                self._hold()
            else:
                self._wake()

    def finish(self) -> None:
        """No more will come; the body is complete, and what follows it may be read."""
        self.is_complete = True
        self._release()
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more will come; the body broke off. The first error stays."""
        if not self.is_complete and self._error is None:
            self._error = error
            self._wake()

    # For the reader

    def whole(self, limit_bytes: int) -> bytes | None:
        """The whole body if it has arrived; None if it has not."""
        if self._size > limit_bytes or (self.length is not None and self.length > limit_bytes):
            self._hold()
            raise self.too_large(limit_bytes)
        return self._joined() if self.is_complete else None

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; without a wait if it has arrived."""
        whole = self.whole(limit_bytes)
        if whole is None:
            await self._collect(limit_bytes)
            whole = self._joined()
        return whole

    async def _collect(self, limit_bytes: int) -> None:
        self._wake_above = limit_bytes
        while not self.is_complete:
            if self._error is not None:
                raise self._error
            await self._wait()
            if self._size > limit_bytes:
                self._hold()
                raise self.too_large(limit_bytes)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        self._wake_above = 0
        while True:
            if self._parts:
                data = self._take()
                self._release()
                yield data
            elif self.is_complete:
                return
            elif self._error is not None:
                raise self._error
            else:
                await self._wait()

    def _joined(self) -> bytes:
        """What has arrived, in one piece that stays here too."""
        parts = self._parts
        if len(parts) > 1:
            parts[:] = [b"".join(parts)]
        return parts[0] if parts else b""

    def _take(self) -> bytes:
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return data

    async def _wait(self) -> None:
        self._release()
        self._source.want_body()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _hold(self) -> None:
        if not self._is_held and not self.is_complete:
            self._is_held = True
            self._source.hold_body()

    def _release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._source.release_body()
