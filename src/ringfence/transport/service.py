"""What all connections of one server share: its handler, its hooks and who is at work."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from ringfence.transport.deadline import Member, Sweeper
from ringfence.transport.http import Handle, Headers, Request, Work
from ringfence.transport.limits import ServerLimits

Admits = Callable[[int], bool]
"""Whether a connection from this port of its peer is taken; any other is dropped unheard."""
RenderRefusal = Callable[[int, str, str], tuple[Headers, bytes]]
OnError = Callable[[Request | None, Exception], None]


class OpenConnection(Member, Protocol):
    """A connection, as its server sees it."""

    def drain(self) -> None:
        """Close if nothing is going on; else the answer in progress is the last."""

    def cut(self) -> None:
        """Close at once."""


@dataclass(slots=True, kw_only=True)
class Service:
    """What all connections of one server share."""

    handle: Handle
    render_refusal: RenderRefusal
    on_error: OnError
    limits: ServerLimits
    loop: asyncio.AbstractEventLoop
    sweeper: Sweeper
    admits: Admits | None = None
    connections: set[OpenConnection] = field(default_factory=set)
    works: set[Work | asyncio.Task[None]] = field(default_factory=set)
    """What handlers have begun and not ended."""
    is_draining: bool = False
    awaited: set[OpenConnection] = field(default_factory=set)
    """While draining: the connections that are waited for."""
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def drain(self) -> None:
        """From now on wait for what there is; who comes later is answered and not waited for."""
        self.is_draining = True
        self.awaited |= self.connections
        self.emptied.clear()
        self._tell()

    def takes(self, transport: asyncio.BaseTransport, *, is_known: bool = False) -> bool:
        """Whether one more connection is taken; from where it comes is asked unless `is_known`."""
        if len(self.connections) >= self.limits.connections or self.is_draining:
            return False
        if is_known:
            return True
        name = transport.get_extra_info("peername")
        return self.admits is None or (isinstance(name, tuple) and self.admits(name[1]))

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a handler that waits; it tells by `ended`."""
        task = self.loop.create_task(work, name="request")
        self.works.add(task)
        return task

    def began(self, work: Work) -> None:
        """A handler has left something going on."""
        if not work.is_over:
            self.works.add(work)
            work.when_over(self.ended)

    def ended(self, work: Work | asyncio.Task[None]) -> None:
        """Something that a handler began is over."""
        self.works.discard(work)
        if self.is_draining:
            self._tell()

    def left(self, connection: OpenConnection) -> None:
        """A connection is closed."""
        self.sweeper.discard(connection)
        self.connections.discard(connection)
        self.awaited.discard(connection)
        if self.is_draining:
            self._tell()

    def _tell(self) -> None:
        if not self.awaited and not self.works:
            self.emptied.set()
