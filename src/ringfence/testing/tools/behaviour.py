"""What the tools of the scripted tool server do when they are called."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from ringfence.testing.tools.plan import Json

_ASK: Json = {
    "mode": "form",
    "message": "What is your name?",
    "requestedSchema": {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    },
}
ERRORS: Mapping[str, Json] = {
    "rpc": {"code": -32050, "message": "a failure of the protocol"},
    "visit": {
        "code": -32042,
        "message": "URL elicitation required",
        "data": {
            "elicitations": [
                {
                    "mode": "url",
                    "elicitationId": "visit-1",
                    "url": "https://tools.example/login",
                    "message": "Log in first.",
                }
            ]
        },
    },
}
"""Errors of JSON-RPC that `fail` orders; `visit` is of 2025-11-25 alone."""
_LONGEST_S = 600.0


class FaultError(Exception):
    """A failure that was ordered; `how` is as `fail` takes it."""

    def __init__(self, how: str) -> None:
        """Carried out by the transport, where it is no failure of the tool itself."""
        super().__init__(how)
        self.how = how


class Caller(Protocol):
    """Whoever calls a tool, as its behaviour sees them."""

    async def tell(self, method: str, params: Json) -> None:
        """Send a notification on the request's own stream."""

    async def ask(self, key: str, method: str, params: Json) -> Json:
        """Ask the client something, in the way of its era, and wait for the answer."""

    def count(self) -> int:
        """How often this session has called the counter, this time included."""

    def change_tools(self) -> None:
        """Add the extra tool, or take it away, and tell everybody who listens."""

    def touch(self, uri: str) -> None:
        """Tell everybody who listens that a resource has changed."""


def text(said: str, **more: object) -> Json:
    """A result that says something."""
    return {"content": [{"type": "text", "text": said, "x-vendor": True}], **more}


async def call(  # noqa: C901, PLR0911 (a case for each tool)
    caller: Caller, tool: str, given: Json, meta: Json
) -> Json:
    """Do what a tool does. Raises FaultError."""
    match tool:
        case "add":
            total = given["a"] + given["b"]
            return text(str(total), structuredContent={"sum": total})
        case "counter":
            return text(str(caller.count()))
        case "slow":
            await asyncio.sleep(min(float(given["seconds"]), _LONGEST_S))
            return text("done")
        case "fail":
            return await _fail(str(given["how"]))
        case "progress":
            return await _progress(caller, int(given["steps"]), meta)
        case "big":
            return text("x" * int(given["bytes"]))
        case "change_tools":
            caller.change_tools()
            return text("changed")
        case "touch":
            caller.touch(str(given["uri"]))
            return text("touched")
        case "log":
            entry = {"level": "info", "logger": "scripted", "data": given["text"]}
            await caller.tell("notifications/message", entry)
            return text("logged")
        case "ask" | "sample" | "roots":
            return await _ask(caller, tool, given)
        case _:
            return text(str(given.get("text", tool)), vendorField="kept")


async def _ask(caller: Caller, tool: str, given: Json) -> Json:
    match tool:
        case "ask":
            answer = await caller.ask("name", "elicitation/create", _ASK)
            content = answer.get("content") or {}
            return text(f"{answer.get('action')}: {content.get('name', '')}")
        case "sample":
            said = {"role": "user", "content": {"type": "text", "text": given["prompt"]}}
            params = {"messages": [said], "maxTokens": 100}
            answer = await caller.ask("answer", "sampling/createMessage", params)
            return text(f"model said: {answer['content']['text']}")
        case _:
            answer = await caller.ask("roots", "roots/list", {})
            return text(f"{len(answer['roots'])} roots")


async def _progress(caller: Caller, steps: int, meta: Json) -> Json:
    token = meta.get("progressToken")
    for at in range(1, steps + 1):
        if token is not None:
            step = {"progressToken": token, "progress": at, "total": steps}
            await caller.tell("notifications/progress", step)
        await asyncio.sleep(0.01)
    return text(f"{steps} steps")


async def _fail(how: str) -> Json:
    if how == "error":
        return text("it did not work", isError=True)
    if how == "hang":
        await asyncio.sleep(_LONGEST_S)
    raise FaultError(how)
