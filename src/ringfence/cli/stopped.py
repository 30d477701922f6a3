"""The control plane's application in this process, on the stores of a plane that is stopped."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from ringfence.api.access import LISTENER, LocalListener
from ringfence.app.stopped import stopped_app
from ringfence.cli.carrier import Begin, Order, Write
from ringfence.config.settings import Settings

_DISCONNECTED: Message = {"type": "http.disconnect"}


class StoppedCarrier:
    """Calls an application without a network between."""

    def __init__(self, runner: asyncio.Runner, app: ASGIApp) -> None:
        """Every request runs in the runner's loop."""
        self._runner = runner
        self._app = app

    def carry(self, order: Order, begin: Begin) -> None:
        """One request, from its first to its last byte."""
        self._runner.run(self._call(order, begin))

    async def _call(self, order: Order, begin: Begin) -> None:
        asked: list[Message] = [{"type": "http.request", "body": order.body, "more_body": False}]
        write: Write = bytearray().extend
        done = asyncio.Event()

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await done.wait()  # whoever streams waits here for the caller to go away
            return _DISCONNECTED

        async def send(message: Message) -> None:
            nonlocal write
            if message["type"] == "http.response.start":
                write = begin(message["status"])
                return
            write(message.get("body", b""))
            if not message.get("more_body", False):
                done.set()

        await self._app(_scope(order), receive, send)


@contextmanager
def open_stopped(settings: Settings) -> Iterator[StoppedCarrier]:
    """Open the stores for as long as the context lasts. Raises RingfenceError."""
    with asyncio.Runner() as runner:
        context = stopped_app(settings, os.environ)
        app = runner.run(context.__aenter__())
        try:
            yield StoppedCarrier(runner, app)
        finally:
            runner.run(context.__aexit__(None, None, None))


def _scope(order: Order) -> Scope:
    path, _, query = order.target.partition("?")
    headers = [(b"host", b"localhost")]
    if order.body:
        headers.append((b"content-type", b"application/json"))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": order.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "server": ("localhost", None),
        LISTENER: LocalListener(os.geteuid()),
    }
