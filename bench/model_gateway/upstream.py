"""A fake provider that costs little: answers are made beforehand, requests are hardly read.

`GET /settings?delay_ms=20&pace_ms=10` sets how it answers, `GET /count` tells how many model calls
it has answered. Run `python -m bench.model_gateway.upstream PORT`.
"""

import asyncio
import json
import sys
from typing import Final
from urllib.parse import parse_qs, urlsplit

import uvloop
from bench.model_gateway.scenario import CHUNKS, MODEL

USAGE: Final = {
    "prompt_tokens": 900,
    "completion_tokens": 50,
    "total_tokens": 950,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
TEXT: Final = "A short answer in a few words. " * 8
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nx-request-id: req_bench\r\n"
LAST: Final = b"0\r\n\r\n"


def document() -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "stop",
    }
    answer = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": MODEL,
        "choices": [choice],
        "usage": USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }
    return json.dumps(answer, separators=(",", ":")).encode()


def _event(choices: list[object], **more: object) -> bytes:
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": MODEL,
        "choices": choices,
        **more,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _events() -> list[bytes]:
    deltas = [
        _event([{"index": 0, "delta": {"content": f"word{n} "}, "finish_reason": None}])
        for n in range(CHUNKS - 2)
    ]
    ending = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    return [*deltas, ending, _event([], usage=USAGE) + b"data: [DONE]\n\n"]


WHOLE: Final = (
    _HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(document()) + document()
)
STREAM_HEAD: Final = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
FRAMES: Final = [b"%x\r\n%b\r\n" % (len(event), event) for event in _events()]


class Behaviour:
    """How all connections answer, and what they have answered."""

    delay_s = 0.0
    pace_s = 0.0
    count = 0


class Provider(asyncio.Protocol):
    """One connection. Requests come one at a time; a body's end is told by Content-Length."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parts: list[bytes] = []
        self._missing = 0
        self._is_stream = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._parts.append(data)
            joined = data if len(self._parts) == 1 else b"".join(self._parts)
            end = joined.find(b"\r\n\r\n")
            if end < 0:
                return
            self._parts.clear()
            if joined.startswith(b"GET"):
                self._control(joined.split(b" ", 2)[1].decode())
                return
            self._missing = end + 4 + length_of(joined[:end]) - len(joined)
            self._is_stream = False
        self._is_stream = self._is_stream or b'"stream":true' in data or b'"stream": true' in data
        if self._missing <= 0:
            self._missing = 0
            self._answer()

    def _answer(self) -> None:
        behaviour = self._behaviour
        behaviour.count += 1
        if behaviour.delay_s:
            self._loop.call_later(behaviour.delay_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._transport.is_closing():
            return
        if not self._is_stream:
            self._transport.write(WHOLE)
            return
        self._transport.write(STREAM_HEAD)
        if self._behaviour.pace_s:
            self._frame(0)
        else:
            # Each frame is a write of its own, as a provider's are.
            for frame in FRAMES:
                self._transport.write(frame)
            self._transport.write(LAST)

    def _frame(self, number: int) -> None:
        if self._transport.is_closing():
            return
        if number == len(FRAMES):
            self._transport.write(LAST)
            return
        self._transport.write(FRAMES[number])
        self._loop.call_later(self._behaviour.pace_s, self._frame, number + 1)

    def _control(self, target: str) -> None:
        parts = urlsplit(target)
        given = parse_qs(parts.query)
        if parts.path == "/settings":
            self._behaviour.delay_s = int(given["delay_ms"][0]) / 1000
            self._behaviour.pace_s = int(given["pace_ms"][0]) / 1000
        text = str(self._behaviour.count).encode()
        self._transport.write(
            _HEAD % b"text/plain" + b"content-length: %d\r\n\r\n" % len(text) + text
        )


def length_of(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve(port: int) -> None:
    behaviour = Behaviour()
    server = await asyncio.get_running_loop().create_server(
        lambda: Provider(behaviour), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
