"""The stream of an Anthropic answer: named events, usage at its beginning and near its end.

Source: https://docs.anthropic.com/en/api/messages-streaming
"""

from typing import Final

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.protocols import sse
from ringfence.protocols.event_stream import MALFORMED, EventStream
from ringfence.protocols.lenient import texts
from ringfence.protocols.messages.answer import (
    Block,
    Container,
    WholeAnswer,
    WireError,
    WireUsage,
    called,
    error_type,
)


class _Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    container: Container | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    message: WholeAnswer | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: WireUsage | None = None
    error: WireError | None = None


_decoder: Final = msgspec.json.Decoder(_Event)


class MessagesStream(EventStream):
    """Reads one stream. SDKs drop events without an `event:` line, so every byte is forwarded."""

    __slots__ = ("_container", "_finish", "_is_usage_final", "_model", "_tool_calls", "_usage")

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        super().__init__()
        self._usage = WireUsage()
        self._is_usage_final = False
        self._tool_calls: list[str] = []
        self._model = ""
        self._finish = ""
        self._container = ""

    @property
    def output_floor_tokens(self) -> int:
        """A number of output tokens that the stream has certainly passed."""
        return max(super().output_floor_tokens, self._usage.output_tokens or 0)

    def answer(self) -> Answer:
        """What was learned so far. Usage is an estimate until the provider stated the output."""
        return Answer(
            usage=self._usage.normalised(
                output_floor=super().output_floor_tokens, estimated=not self._is_usage_final
            ),
            finish=self._finish,
            response_model=self._model,
            provider_object=self._container,
            tool_calls=tuple(self._tool_calls),
            error=self._error,
        )

    def _take(self, event: bytes) -> bool:
        data = _data(event)
        if data is not None:
            try:
                self._learn(_decoder.decode(data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._error = self._error or MALFORMED
        return True

    def _learn(self, event: _Event) -> None:
        match event.type:
            case "content_block_delta" if event.delta:
                self._count(event.delta.text or event.delta.partial_json or event.delta.thinking)
            case "content_block_start" if event.content_block:
                self._tool_calls += texts(called(event.content_block))
            case "message_start" if event.message:
                self._begin(event.message)
            case "message_delta":
                self._conclude(event)
            case "message_stop":
                self._is_complete = True
            case "error":
                self._error = self._error or error_type(event.error)

    def _begin(self, message: WholeAnswer) -> None:
        self._model = message.model or ""
        self._note_container(message.container)
        if message.usage:
            self._usage.update(message.usage)

    def _conclude(self, event: _Event) -> None:
        if event.delta:
            self._finish = event.delta.stop_reason or self._finish
            self._note_container(event.delta.container)
        if event.usage:
            self._usage.update(event.usage)
            self._is_usage_final |= event.usage.output_tokens is not None

    def _note_container(self, container: Container | None) -> None:
        if container and container.id:
            self._container = container.id


def _data(event: bytes) -> bytes | None:
    """The data of an event; quickly for the two lines that the API writes."""
    at = event.find(b"\n")
    if (
        event.startswith(b"event: ")
        and event.startswith(b"data: ", at + 1)
        and event.find(b"\n", at + 1) == len(event) - 2
        and b"\r" not in event
    ):
        return event[at + 7 : -2]
    return sse.read(event).data
