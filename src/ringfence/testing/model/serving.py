"""The scripted model server as it listens: in a test's own loop, or as a process of its own."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ringfence.testing.model.journal import Journal
from ringfence.testing.model.script import Script
from ringfence.testing.model.server import ScriptedModel
from ringfence.transport.clock import Clock, SystemClock
from ringfence.transport.server import Server


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    url: str
    """The base URL for Anthropic's dialect; OpenAI's is under `/v1`, Gemini's under `/v1beta`."""
    model: ScriptedModel

    @property
    def journal(self) -> Journal:
        """What was received."""
        return self.model.journal


@asynccontextmanager
async def serving(
    script: Script, *, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None
) -> AsyncIterator[Running]:
    """Listen while the context lasts; port 0 picks one. Raises OSError."""
    model = ScriptedModel(script, clock or SystemClock())
    server = Server(model.handle)
    bound = await server.listen(host, port)
    try:
        yield Running(f"http://{host}:{bound}", model)
    finally:
        await server.close()


async def serve(script: Script, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Listen until SIGINT or SIGTERM; `ready` gets the URL. Raises OSError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serving(script, host=host, port=port) as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        ready(running.url)
        await stop.wait()
