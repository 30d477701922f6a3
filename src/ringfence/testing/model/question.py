"""What the scripted model reads of a request: the same few facts from every dialect.

Written apart from `ringfence.protocols` on purpose: a double that shared the product's parsers
would share their mistakes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from ringfence.domain.model import Dialect

Json = Mapping[str, Any]
Role = Literal["user", "assistant", "tool", "other"]

# Claude Code adds text of its own to the user's message between these tags.
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


class MalformedError(Exception):
    """The request is not a request of its dialect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the request declares."""

    name: str
    schema: Json = field(default_factory=dict)
    is_custom: bool = False
    """Responses only: takes free text and no JSON."""
    namespace: str = ""
    """Responses only: the common name under which it is declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Where a conversation stands."""

    user: str = ""
    """The last text that a user wrote."""
    tool_results: tuple[str, ...] = ()
    """Tool results that came since that text."""
    turn: int = 1
    """1 + the number of answers the conversation already holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request, in the words that rules are written in."""

    dialect: Dialect
    model: str
    conversation: Conversation
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    output_limit: int | None = None
    answers: int = 1
    wants_usage: bool = False
    """Chat only: whether the stream was asked to end with its usage."""
    wants_sealed_reasoning: bool = False
    """Responses only: whether reasoning was asked for in the form that a client hands back."""
    body_bytes: int = 0


_SEALED = "reasoning.encrypted_content"
"""Of `include`: what a client asks for that keeps nothing at the provider. Source: OpenAI's API."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What is known of a request beside its body."""

    model: str
    stream: bool
    body_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    role: Role
    text: str = ""
    result: str | None = None


def read(dialect: Dialect, body: bytes, *, path_model: str = "", stream: bool = False) -> Question:
    """Read a request. Raises MalformedError."""
    try:
        document = msgspec.json.decode(body)
        if not isinstance(document, dict):
            raise MalformedError("the body is not a JSON object")
        return _READERS[dialect](document, _Call(path_model, stream, len(body)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"the body is not JSON: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"the body does not have the form of {dialect.value}") from error


def _chat(document: Json, call: _Call) -> Question:
    limit = document.get("max_completion_tokens")
    options = document.get("stream_options") or {}
    return Question(
        dialect=Dialect.CHAT,
        model=str(document["model"]),
        stream=bool(document.get("stream")),
        tools=tuple(_chat_tools(document.get("tools") or [])),
        output_limit=document.get("max_tokens") if limit is None else limit,
        answers=document.get("n") or 1,
        wants_usage=bool(options.get("include_usage")),
        body_bytes=call.body_bytes,
        conversation=_conversation(_chat_entries(document["messages"])),
    )


def _chat_tools(tools: Iterable[Json]) -> Iterator[Tool]:
    for tool in tools:
        function = tool.get("function") or {}
        if "name" in function:
            yield Tool(name=function["name"], schema=function.get("parameters") or {})


def _chat_entries(messages: Iterable[Json]) -> Iterator[_Entry]:
    for message in messages:
        text = _text(message.get("content"))
        match message["role"]:
            case "user":
                yield _Entry("user", text)
            case "assistant":
                yield _Entry("assistant")
            case "tool" | "function":
                yield _Entry("tool", result=text)
            case _:
                yield _Entry("other")


def _responses(document: Json, call: _Call) -> Question:
    given = document.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return Question(
        dialect=Dialect.RESPONSES,
        model=str(document["model"]),
        stream=bool(document.get("stream")),
        tools=tuple(_responses_tools(document.get("tools") or [])),
        output_limit=document.get("max_output_tokens"),
        wants_sealed_reasoning=_SEALED in (document.get("include") or ()),
        body_bytes=call.body_bytes,
        conversation=_conversation(_responses_entries(items)),
    )


def _responses_tools(tools: Iterable[Json], namespace: str = "") -> Iterator[Tool]:
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from _responses_tools(tool.get("tools") or [], tool["name"])
        elif tool.get("type") in {"function", "custom"}:
            yield Tool(
                name=tool["name"],
                schema=tool.get("parameters") or {},
                is_custom=tool["type"] == "custom",
                namespace=namespace,
            )


def _responses_entries(items: Iterable[Json]) -> Iterator[_Entry]:
    for item in items:
        kind = item.get("type", "message")
        if kind.endswith("_output"):
            yield _Entry("tool", result=_text(item.get("output")))
        elif kind == "message" and item.get("role") == "user":
            yield _Entry("user", _text(item.get("content")))
        elif kind == "message" and item.get("role") != "assistant":
            yield _Entry("other")
        else:
            yield _Entry("assistant")


def _messages(document: Json, call: _Call) -> Question:
    tools = document.get("tools") or []
    return Question(
        dialect=Dialect.MESSAGES,
        model=str(document["model"]),
        stream=bool(document.get("stream")),
        tools=tuple(
            Tool(name=tool["name"], schema=tool.get("input_schema") or {})
            for tool in tools
            if "name" in tool
        ),
        output_limit=document.get("max_tokens"),
        body_bytes=call.body_bytes,
        conversation=_conversation(_messages_entries(document["messages"])),
    )


def _messages_entries(messages: Iterable[Json]) -> Iterator[_Entry]:
    for message in messages:
        content = message.get("content")
        if message["role"] == "assistant":
            yield _Entry("assistant")
        elif message["role"] != "user":
            yield _Entry("other")
        elif isinstance(content, str):
            yield _Entry("user", content)
        else:
            yield from _messages_user(content or [])


def _messages_user(blocks: Iterable[Json]) -> Iterator[_Entry]:
    """Text first: results that share a message with text belong to the turn after it."""
    blocks = list(blocks)
    yield _Entry("user", _text([block for block in blocks if block["type"] == "text"]))
    for block in blocks:
        if block["type"] == "tool_result":
            yield _Entry("tool", result=_text(block.get("content")))


def _gemini(document: Json, call: _Call) -> Question:
    settings = document.get("generationConfig") or {}
    tools = document.get("tools") or []
    return Question(
        dialect=Dialect.GEMINI,
        model=call.model,
        stream=call.stream,
        tools=tuple(
            Tool(
                name=tool["name"],
                schema=tool.get("parametersJsonSchema") or tool.get("parameters") or {},
            )
            for group in tools
            for tool in group.get("functionDeclarations") or []
        ),
        output_limit=settings.get("maxOutputTokens"),
        answers=settings.get("candidateCount") or 1,
        body_bytes=call.body_bytes,
        conversation=_conversation(_gemini_entries(document["contents"])),
    )


def _gemini_entries(contents: Iterable[Json]) -> Iterator[_Entry]:
    for content in contents:
        if content.get("role") == "model":
            yield _Entry("assistant")
            continue
        for part in content.get("parts") or []:
            if "functionResponse" in part:
                answer = part["functionResponse"].get("response")
                yield _Entry("tool", result=msgspec.json.encode(answer).decode())
            elif "text" in part:
                yield _Entry("user", part["text"])


def _embeddings(document: Json, call: _Call) -> Question:
    return Question(
        dialect=Dialect.EMBEDDINGS,
        model=str(document["model"]),
        conversation=Conversation(user=_text(document["input"])),
        body_bytes=call.body_bytes,
    )


def _count_tokens(document: Json, call: _Call) -> Question:
    return replace(_messages(document, call), dialect=Dialect.COUNT_TOKENS, stream=False)


_READERS = {
    Dialect.CHAT: _chat,
    Dialect.RESPONSES: _responses,
    Dialect.MESSAGES: _messages,
    Dialect.COUNT_TOKENS: _count_tokens,
    Dialect.GEMINI: _gemini,
    Dialect.EMBEDDINGS: _embeddings,
}


def _text(content: object) -> str:
    """The text of a content that is a string, a list of strings or a list of text parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part if isinstance(part, str) else part.get("text") or "" for part in content]
    return "\n".join(part for part in parts if part)


def _conversation(entries: Iterable[_Entry]) -> Conversation:
    user, turn, previous = "", 1, "other"
    results: list[str] = []
    for entry in entries:
        if entry.role == "assistant" and previous != "assistant":
            turn += 1
        if entry.result is not None:
            results.append(entry.result)
        text = _REMINDER.sub("", entry.text).strip() if entry.role == "user" else ""
        if text:
            user = text
            results.clear()
        previous = entry.role
    return Conversation(user=user, turn=turn, tool_results=tuple(results))
