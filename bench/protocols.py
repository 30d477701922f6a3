"""Prints microseconds per parse, rewrite, answer and stream chunk: `python bench/protocols.py`."""

import json
import timeit
from collections.abc import Callable
from functools import partial

from ringfence.domain.exchange import ModelRequest
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.responses import ResponsesCodec

SENTENCE = 'The quick brown fox jumps over the lazy dog; "nothing" happens.\n'


def figure(name: str, work: Callable[[], object], *, per: int = 1) -> None:
    timer = timeit.Timer(work)
    count = max(1, int(0.02 / max(timer.timeit(3) / 3, 1e-7)))
    best = min(timer.repeat(repeat=7, number=count)) / count / per
    print(f"{name:<46} {best * 1e6:9.2f} µs")


def chat_body(messages: int, size: int, tools: int = 0) -> bytes:
    texts = [(SENTENCE * (size // len(SENTENCE) + 1))[:size] for _ in range(messages)]
    roles = ("user", "assistant")
    body: dict[str, object] = {
        "model": "gpt-5-mini",
        "messages": [
            {"role": roles[place % 2], "content": text} for place, text in enumerate(texts)
        ],
        "temperature": 0.2,
        "max_completion_tokens": 1000,
        "stream": True,
    }
    if tools:
        schema = {
            "type": "object",
            "properties": {"q": {"type": "string", "description": "x" * 500}},
        }
        body["tools"] = [
            {"type": "function", "function": {"name": f"tool_{n}", "parameters": schema}}
            for n in range(tools)
        ]
    return json.dumps(body, separators=(",", ":")).encode()


def chat_stream(chunks: int) -> list[bytes]:
    head = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini",'
    choice = '{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}'
    delta = f'data: {head}"system_fingerprint":"fp_1","choices":[{choice}],"usage":null}}\n\n'
    usage = '{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60}'
    end = f'data: {head}"choices":[],"usage":{usage}}}\n\ndata: [DONE]\n\n'
    return [text.encode() for text in (*[delta] * chunks, end)]


def chat() -> None:
    codec = ChatCodec()
    for name, body in {
        "4 KB, 8 messages": chat_body(8, 460),
        "4 KB, 20 messages": chat_body(20, 160),
        "100 KB, 33 messages": chat_body(33, 3000),
        "100 KB, 345 messages": chat_body(345, 250),
        "300 KB, 1000 messages": chat_body(1000, 260),
        "100 KB, 120 tools": chat_body(33, 600, tools=120),
    }.items():
        figure(f"chat parse {name} ({len(body)} B)", partial(codec.parse, body))
    request = codec.parse(chat_body(8, 460))
    figure("chat rewrite 4 KB", lambda: rewrite(codec, request))
    stream = chat_stream(50)

    def relay() -> None:
        reader = codec.stream(request)
        for chunk in stream:
            reader.feed(chunk)

    figure("chat stream, per chunk of 50", relay, per=len(stream))


def responses_body(items: int, size: int) -> bytes:
    text = (SENTENCE * (size // len(SENTENCE) + 1))[:size]
    tool = {"type": "function", "name": "shell", "parameters": {"description": "x" * 2000}}
    turn = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gA" * (size // 2)},
        {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": text},
    ]
    body = {"model": "m", "instructions": text, "input": turn * (items // 4), "tools": [tool] * 10}
    return json.dumps({**body, "stream": True, "store": False}, separators=(",", ":")).encode()


def responses() -> None:
    codec = ResponsesCodec()
    for body in (responses_body(8, 500), responses_body(100, 1000)):
        figure(f"responses parse ({len(body)} B)", partial(codec.parse, body))
    request = codec.parse(responses_body(8, 500))
    data = (
        b'{"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1","delta":"x"}'
    )
    event = b"event: response.output_text.delta\ndata: " + data + b"\n\n"

    def relay() -> None:
        reader = codec.stream(request)
        for _ in range(50):
            reader.feed(event)

    figure("responses stream, per event of 50", relay, per=50)


def rewrite(codec: ChatCodec, request: ModelRequest) -> bytes:
    return codec.rewrite(request, model="other", output_limit=500, inject_usage=True)


if __name__ == "__main__":
    chat()
    responses()
