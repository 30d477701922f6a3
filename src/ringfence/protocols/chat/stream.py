"""The stream of a chat answer: `data:` chunks and a last `[DONE]`.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols import sse
from ringfence.protocols.event_stream import MALFORMED, EventStream
from ringfence.protocols.lenient import decode, error_name, record, records, text
from ringfence.protocols.usage import read_usage

_MORE: Final = frozenset({"error", "moderation"})
"""What makes a chunk without choices more than a bearer of usage."""
_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal")


class ChatStream(EventStream):
    """Reads one chat stream. `strips_usage` takes out the chunk that the client did not ask for."""

    __slots__ = ("_finish", "_id", "_model", "_strips_usage", "_tool_calls", "_usage")

    _usage: Usage | None

    def __init__(self, *, strips_usage: bool) -> None:
        """Start at the beginning of a stream."""
        super().__init__()
        self._strips_usage = strips_usage
        self._usage = None
        self._finish = ""
        self._id = ""
        self._model = ""
        self._tool_calls: list[str] = []

    def answer(self) -> Answer:
        """What was learned; usable at any time, also after a cut."""
        return Answer(
            usage=self._usage,
            finish=self._finish,
            response_model=self._model,
            provider_object=self._id,
            tool_calls=tuple(self._tool_calls),
            error=self._error,
        )

    def _take(self, event: bytes) -> bool:
        data = sse.data_of(event)
        if data is None:
            return True
        if data.startswith(b"[DONE]"):
            self._is_complete = True
            return True
        try:
            chunk = decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self._error = self._error or MALFORMED
            return True
        return self._learn(chunk)

    def _learn(self, chunk: Mapping[str, object]) -> bool:
        choices = chunk.get("choices")
        if not self._id:
            self._id, self._model = text(chunk.get("id")), text(chunk.get("model"))
        if choices and isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._learn_choice(choice)
        usage = chunk.get("usage")
        has_usage = bool(usage) and isinstance(usage, dict)
        if has_usage:
            self._usage = read_usage(usage) or self._usage
        if "error" in chunk and not self._error:
            self._error = error_name(chunk["error"])
        is_usage_only = has_usage and not choices and _MORE.isdisjoint(chunk)
        return not (is_usage_only and self._strips_usage)

    def _learn_choice(self, choice: Mapping[str, object]) -> None:
        delta = choice.get("delta")
        index = choice.get("index")
        answer = index if isinstance(index, int) else 0
        if delta and isinstance(delta, dict):
            for name in _TEXTS:
                if name in delta:
                    self._count(delta[name], answer)
            if "tool_calls" in delta:
                for call in records(delta["tool_calls"]):
                    self._learn_call(record(call.get("function") or call.get("custom")), answer)
            if "function_call" in delta:
                self._learn_call(record(delta["function_call"]), answer)
        finish = choice.get("finish_reason")
        if finish:
            self._finish = text(finish)

    def _learn_call(self, call: Mapping[str, object], answer: int) -> None:
        name = text(call.get("name"))
        if name:
            self._tool_calls.append(name)
        self._count(call.get("arguments") or call.get("input"), answer)
