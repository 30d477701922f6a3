"""The scripted tool server as it listens: in a test's own loop, or as a process of its own."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ringfence.testing.tools.dialogue import Offer
from ringfence.testing.tools.plan import Journal, Plan
from ringfence.testing.tools.web import WebTools
from ringfence.transport.server import Server


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    url: str
    """Where its endpoint is."""
    web: WebTools

    @property
    def journal(self) -> Journal:
        """What was executed."""
        return self.web.offer.journal


@asynccontextmanager
async def serving(
    plan: Plan | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Running]:
    """Listen while the context lasts; port 0 picks one. Raises OSError."""
    web = WebTools(Offer(plan or Plan()))
    server = Server(web.handle)
    bound = await server.listen(host, port)
    try:
        yield Running(f"http://{host}:{bound}/mcp", web)
    finally:
        await server.close()


async def serve(plan: Plan, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Listen until SIGINT or SIGTERM; `ready` gets the URL. Raises OSError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serving(plan, host=host, port=port) as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        ready(running.url)
        await stop.wait()
