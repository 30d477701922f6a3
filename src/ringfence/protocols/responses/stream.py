"""The stream of a Responses answer: typed events, the last of which brings the whole response.

Source: https://platform.openai.com/docs/api-reference/responses-streaming and the event classes of
the openai SDK 3.52.0.
"""

from typing import Final

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.protocols import sse
from ringfence.protocols.event_stream import MALFORMED, EventStream
from ringfence.protocols.lenient import decode, record, text
from ringfence.protocols.responses.answer import answer_of, called

_NOTHING: Final = msgspec.Raw(b"null")
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_NOT_TEXT: Final = frozenset({"response.audio.delta"})


class _Event(msgspec.Struct):
    """An event; the large parts are built only when they matter."""

    type: str = ""
    delta: object = None
    item: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    error: object = None
    code: object = None


_EVENT: Final = msgspec.json.Decoder(_Event)


class ResponsesStream(EventStream):
    """Reads one Responses stream. `keeps`: whether the provider was asked to keep the answer."""

    __slots__ = ("_answer", "_items", "_keeps", "_tool_calls")

    def __init__(self, *, keeps: bool) -> None:
        """Start at the beginning of a stream."""
        super().__init__()
        self._keeps = keeps
        self._answer = Answer()
        self._tool_calls: list[str] = []
        self._items: list[str] = []

    def answer(self) -> Answer:
        """What was learned; usable at any time, also after a cut."""
        known = self._answer
        return msgspec.structs.replace(
            known,
            tool_calls=known.tool_calls or tuple(self._tool_calls),
            provider_object=known.provider_object if self._keeps else "",
            provider_items=(known.provider_items or tuple(self._items)) if self._keeps else (),
            error=self._error or known.error,
        )

    def _take(self, event: bytes) -> bool:
        data = sse.data_of(event)
        if data is None:
            return True
        try:
            stated = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if data != b"[DONE]":  # which some compatible servers add
                self._error = self._error or MALFORMED
            return True
        self._learn(stated)
        return True

    def _learn(self, event: _Event) -> None:
        kind = event.type
        if kind.endswith(".delta"):
            if kind not in _NOT_TEXT:
                self._count(event.delta)
        elif kind == "response.output_item.done":
            item = record(decode(event.item))
            self._items += [name] if (name := text(item.get("id"))) else []
            self._tool_calls += [name] if (name := called(item)) else []
        elif kind in _ENDS:
            self._learn_response(event)
            self._is_complete = True
        elif kind == "response.created":
            self._learn_response(event)
        elif kind == "error" or event.error is not None:
            stated = record(event.error)
            self._error = text(stated.get("code")) or text(event.code) or "error"
            self._is_complete = kind == "error"

    def _learn_response(self, event: _Event) -> None:
        response = record(decode(event.response))
        self._answer = answer_of(response)
        self._keeps = self._keeps and response.get("store") is not False
