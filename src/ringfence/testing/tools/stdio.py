"""The scripted tool server over its standard streams: one peer, one line for each message."""

import asyncio
import sys
from typing import final

import msgspec

from ringfence.testing.tools import behaviour
from ringfence.testing.tools.behaviour import FaultError
from ringfence.testing.tools.dialogue import Dialogue, Offer, RpcError
from ringfence.testing.tools.plan import Json

_LINE_BYTES = 16 * 1024 * 1024


@final
class StdioTools:
    """One peer on a pair of streams. Modern requests and a legacy session may both come."""

    def __init__(
        self, offer: Offer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """The streams are open."""
        self._offer = offer
        self._reader = reader
        self._writer = writer
        self._session = Dialogue(offer, "stdio", is_modern=False)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until the peer closes its side."""
        self._offer.listeners.add(self._announced)
        while line := await self._reader.readline():
            message: Json = msgspec.json.decode(line)
            dialogue = self._dialogue(message)
            if "method" not in message or message.get("id") is None:
                dialogue.take(message)
                continue
            task = asyncio.create_task(self._answer(dialogue, message))
            self._session.running[message["id"]] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _dialogue(self, message: Json) -> Dialogue:
        meta = (message.get("params") or {}).get("_meta") or {}
        is_modern = "io.modelcontextprotocol/protocolVersion" in meta
        if not is_modern and message.get("method") != "server/discover":
            return self._session
        dialogue = Dialogue(self._offer, "", is_modern=self._offer.plan.eras != "legacy")
        dialogue.counted = self._session.counted
        return dialogue

    async def _answer(self, dialogue: Dialogue, message: Json) -> None:
        number = message["id"]
        try:
            document = await dialogue.answer(message, self._send)
        except FaultError as fault:
            await self._carry_out(fault.how, number)
            return
        except RpcError as error:
            document = {"jsonrpc": "2.0", "id": number, "error": error.error}
        finally:
            self._session.running.pop(number, None)
        await self._send(document)

    async def _carry_out(self, how: str, number: object) -> None:
        if how == "drop":
            sys.stderr.write("ordered to die\n")
            sys.exit(3)
        if how == "malformed":
            self._writer.write(b"this is no JSON\n")
        elif how != "empty":
            error = behaviour.ERRORS.get(how, behaviour.ERRORS["rpc"])
            await self._send({"jsonrpc": "2.0", "id": number, "error": error})

    async def _send(self, message: Json) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")
        await self._writer.drain()

    def _announced(self, method: str, params: Json) -> None:
        if method != "notifications/resources/updated" or params["uri"] in self._session.subscribed:
            message = {"jsonrpc": "2.0", "method": method, "params": params}
            self._writer.write(msgspec.json.encode(message) + b"\n")


async def serve_stdio(offer: Offer) -> None:
    """Serve the process's own standard streams until its peer closes them."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout
    )
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    await StdioTools(offer, reader, writer).run()
