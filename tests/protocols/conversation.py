"""Conversations of an agent with one tool at a time, as each dialect writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ringfence.domain.model import Dialect
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.dialect import Codec
from ringfence.protocols.gemini import GeminiCodec
from ringfence.protocols.messages import MessagesCodec
from ringfence.protocols.responses import ResponsesCodec

CODECS: dict[Dialect, Codec] = {
    Dialect.CHAT: ChatCodec(),
    Dialect.RESPONSES: ResponsesCodec(),
    Dialect.MESSAGES: MessagesCodec(),
    Dialect.GEMINI: GeminiCodec(),
}


@dataclass(frozen=True)
class Call:
    """One call of a tool and its result."""

    name: str
    arguments: dict[str, object]
    result: str


Turn = str | Sequence[Call]
"""What a person says, or the calls of one turn of the model."""


def request(dialect: Dialect, turns: Sequence[Turn]) -> dict[str, Any]:
    """The request that follows these turns, with its tools declared."""
    match dialect:
        case Dialect.CHAT:
            return _chat(turns)
        case Dialect.RESPONSES:
            return _responses(turns)
        case Dialect.MESSAGES:
            return _messages(turns)
        case _:
            return _gemini(turns)


def body(dialect: Dialect, turns: Sequence[Turn]) -> bytes:
    return json.dumps(request(dialect, turns), ensure_ascii=False).encode()


def _names(turns: Sequence[Turn]) -> list[str]:
    return list(
        dict.fromkeys(call.name for turn in turns for call in turn if isinstance(call, Call))
    )


def _chat(turns: Sequence[Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are an agent."}]
    for at, turn in enumerate(turns):
        if isinstance(turn, str):
            messages.append({"role": "user", "content": turn})
            continue
        calls = [
            {
                "id": f"call_{at}_{n}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for n, call in enumerate(turn)
        ]
        messages.append({"role": "assistant", "content": f"Step {at}.", "tool_calls": calls})
        for n, call in reversed(list(enumerate(turn))):
            result = {"role": "tool", "tool_call_id": f"call_{at}_{n}", "content": call.result}
            messages.append(result)
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in _names(turns)
    ]
    return {"model": "small", "max_tokens": 50, "messages": messages, "tools": tools}


def _responses(turns: Sequence[Turn]) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for at, turn in enumerate(turns):
        if isinstance(turn, str):
            items.append({"role": "user", "content": turn, "type": "message"})
            continue
        items += [
            {
                "type": "function_call",
                "call_id": f"call_{at}_{n}",
                "name": call.name,
                "arguments": json.dumps(call.arguments),
            }
            for n, call in enumerate(turn)
        ]
        items += [
            {"type": "function_call_output", "call_id": f"call_{at}_{n}", "output": call.result}
            for n, call in enumerate(turn)
        ]
    tools = [{"type": "function", "name": name, "parameters": {}} for name in _names(turns)]
    return {"model": "small", "max_output_tokens": 50, "input": items, "tools": tools}


def _messages(turns: Sequence[Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for at, turn in enumerate(turns):
        if isinstance(turn, str):
            messages.append({"role": "user", "content": turn})
            continue
        calls: list[dict[str, Any]] = [{"type": "text", "text": f"Step {at}."}]
        calls += [
            {
                "type": "tool_use",
                "id": f"toolu_{at}_{n}",
                "name": call.name,
                "input": call.arguments,
            }
            for n, call in enumerate(turn)
        ]
        results: list[dict[str, Any]] = [
            {"type": "tool_result", "tool_use_id": f"toolu_{at}_{n}", "content": call.result}
            for n, call in enumerate(turn)
        ]
        messages.append({"role": "assistant", "content": calls})
        messages.append({"role": "user", "content": results})
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in _names(turns)]
    return {"model": "claude", "max_tokens": 50, "messages": messages, "tools": tools}


def _gemini(turns: Sequence[Turn]) -> dict[str, Any]:
    contents: list[dict[str, Any]] = []
    for turn in turns:
        if isinstance(turn, str):
            contents.append({"role": "user", "parts": [{"text": turn}]})
            continue
        calls = [{"functionCall": {"name": call.name, "args": call.arguments}} for call in turn]
        results = [
            {"functionResponse": {"name": call.name, "response": {"result": call.result}}}
            for call in turn
        ]
        contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    tools = [{"functionDeclarations": [{"name": name} for name in _names(turns)]}]
    return {"contents": contents, "tools": tools}
