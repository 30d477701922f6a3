"""Gives an answer to a client, with whatever the script says goes wrong."""

import asyncio
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from ringfence.domain.model import Dialect
from ringfence.testing.model import chat, gemini, messages, responses
from ringfence.testing.model.emission import Emission
from ringfence.testing.model.journal import Entry
from ringfence.testing.model.playbook import Chosen
from ringfence.testing.model.question import Question
from ringfence.testing.model.script import Faults
from ringfence.transport.http import Response

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_NO_CACHE = (b"cache-control", b"no-cache")
_BROKEN = b'data: {"broken": \n\n'
_ERROR_TEXT = "an error of the script"
_BREATH_CHUNKS = 4
"""A stream without pauses looks so often whether its client is still there."""


class Form(Protocol):
    """How a dialect writes an emission; its modules have this shape."""

    def whole(self, emission: Emission) -> dict[str, Any]:
        """The document of an answer that is not streamed."""

    def events(self, emission: Emission, question: Question, /) -> Iterator[bytes]:
        """The events of a stream."""

    def error(self, status: int, message: str) -> dict[str, Any]:
        """The document of an error."""

    def stream_error(self, message: str) -> bytes:
        """An error in the midst of a stream."""


FORMS: Mapping[Dialect, Form] = MappingProxyType(
    {
        Dialect.CHAT: chat,
        Dialect.EMBEDDINGS: chat,
        Dialect.RESPONSES: responses,
        Dialect.MESSAGES: messages,
        Dialect.COUNT_TOKENS: messages,
        Dialect.GEMINI: gemini,
    }
)


class Delivery:
    """One answer on its way to one client."""

    def __init__(self, dialect: Dialect, response: Response, entry: Entry) -> None:
        """`entry` is filled in as the answer goes out."""
        self._form = FORMS[dialect]
        self._response = response
        self._entry = entry

    async def give(self, chosen: Chosen, question: Question, document: object = None) -> None:
        """Answer as the script says; `document` stands for the emission where given."""
        self._entry.rule = chosen.rule
        if await self._is_over_before_the_answer(chosen.faults):
            return
        self._entry.usage = chosen.emission.usage
        if question.stream and document is None:
            await self._stream(self._form.events(chosen.emission, question), chosen.faults)
        else:
            document = self._form.whole(chosen.emission) if document is None else document
            await self._whole(document, chosen.faults)

    async def _is_over_before_the_answer(self, faults: Faults) -> bool:
        await asyncio.sleep(faults.delay_ms / 1000)
        if faults.hang:
            await self._until_gone()
        elif faults.close:
            self._cut()
        elif faults.status is not None:
            self._fail(faults)
        else:
            return False
        return True

    async def _whole(self, document: object, faults: Faults) -> None:
        data = msgspec.json.encode(document)
        if faults.hang_after_chunks is not None:
            await self._until_gone()
        elif faults.error_after_chunks is not None:
            self.refuse(500, _ERROR_TEXT)
        elif faults.cut_after_chunks is not None:
            self._entry.status = 200
            self._response.start(200, [_JSON], content_length=len(data))
            self._response.write(data[: len(data) // 2])
            self._cut()
        else:
            broken = faults.malformed_after_chunks is not None
            self._send(200, data[:-1] if broken else data, faults.headers)

    async def _stream(self, events: Iterator[bytes], faults: Faults) -> None:
        extra = [(k.lower().encode(), v.encode()) for k, v in faults.headers.items()]
        self._entry.status = 200
        self._response.start(200, [_EVENTS, _NO_CACHE, *extra])
        for event in events:
            if await self._is_over_at(self._entry.chunks, faults):
                return
            self._response.write(event)
            self._entry.chunks += 1
            if not await self._is_taken(faults.trickle_ms):
                self._entry.ending = "client_gone"
                return
        self._response.end()
        self._entry.ending = "whole"

    async def _is_over_at(self, chunk: int, faults: Faults) -> bool:
        """Do what goes wrong before this chunk, and say whether the stream ends with it."""
        if chunk == faults.malformed_after_chunks:
            self._response.write(_BROKEN)
        if chunk == faults.hang_after_chunks:
            await self._until_gone()
            return True
        if chunk == faults.cut_after_chunks:
            self._cut()
            return True
        if chunk == faults.error_after_chunks:
            own = faults.stream_error
            self._response.write(own.encode() if own else self._form.stream_error(_ERROR_TEXT))
            self._response.end()
            self._entry.ending = "whole"
            return True
        return False

    async def _is_taken(self, trickle_ms: int) -> bool:
        """Wait until the client has taken the chunk and the next one is due."""
        if trickle_ms:
            await asyncio.sleep(trickle_ms / 1000)
        elif self._entry.chunks % _BREATH_CHUNKS == 0:
            await asyncio.sleep(0)
        try:
            await self._response.drain()
        except ConnectionError:
            return False
        return not self._response.is_disconnected

    async def _until_gone(self) -> None:
        gone = asyncio.Event()
        self._response.on_disconnect(gone.set)
        if not self._response.is_disconnected:
            await gone.wait()
        self._entry.ending = "client_gone"

    def _cut(self) -> None:
        self._response.abort()
        self._entry.ending = "cut"

    def _fail(self, faults: Faults) -> None:
        status = faults.status or 500
        match faults.body:
            case None:
                self.refuse(status, _ERROR_TEXT, faults.headers)
            case str() as text:
                self._send(status, text.encode(), faults.headers)
            case document:
                self._send(status, msgspec.json.encode(document), faults.headers)

    def refuse(self, status: int, message: str, headers: Mapping[str, str] = {}) -> None:
        """Answer with the dialect's error document."""
        self._send(status, msgspec.json.encode(self._form.error(status, message)), headers)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        extra = {k.lower().encode(): v.encode() for k, v in headers.items()}
        extra.setdefault(*_JSON)
        self._entry.status = status
        self._response.send(status, list(extra.items()), data)
        self._entry.ending = "whole"
