"""The openai SDK: chat completions or responses."""

import json
from collections.abc import Iterator, Sequence

from journey import (
    HEADERS,
    MODE,
    MODEL,
    PARAMETERS,
    TOKEN,
    TOOL_DESCRIPTION,
    URL,
    WEATHER,
    Driver,
    drive,
)
from openai import OpenAI

CLIENT = OpenAI(base_url=f"{URL}/v1", api_key=TOKEN, default_headers=HEADERS)
FUNCTION = {"name": "get_weather", "description": TOOL_DESCRIPTION, "parameters": PARAMETERS}
CHAT_TOOLS = [{"type": "function", "function": FUNCTION}]
RESPONSES_TOOLS = [{"type": "function", **FUNCTION}]


def chat_stream(messages: list) -> str:
    stream = CLIENT.chat.completions.create(model=MODEL, messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def chat_whole(prompt: str) -> str:
    messages = [{"role": "user", "content": prompt}]
    return CLIENT.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content


def chat_tool(prompt: str) -> tuple[str, list[str]]:
    messages: list = [{"role": "user", "content": prompt}]
    with CLIENT.chat.completions.stream(model=MODEL, messages=messages, tools=CHAT_TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    (call,) = message.tool_calls
    result = f"{WEATHER} in {json.loads(call.function.arguments)['city']}"
    asked = {"name": call.function.name, "arguments": call.function.arguments}
    messages += [
        {
            "role": "assistant",
            "tool_calls": [{"id": call.id, "type": "function", "function": asked}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": result},
    ]
    answer = CLIENT.chat.completions.create(model=MODEL, messages=messages, tools=CHAT_TOOLS)
    return answer.choices[0].message.content, [result]


def chat_turns(prompts: Sequence[str]) -> Iterator[str]:
    messages: list = []
    for prompt in prompts:
        messages.append({"role": "user", "content": prompt})
        messages.append({"role": "assistant", "content": chat_stream(messages)})
        yield messages[-1]["content"]


def responses_stream(items: list) -> str:
    stream = CLIENT.responses.create(model=MODEL, input=items, stream=True, store=False)
    return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def responses_whole(prompt: str) -> str:
    return CLIENT.responses.create(model=MODEL, input=prompt, store=False).output_text


def responses_tool(prompt: str) -> tuple[str, list[str]]:
    items: list = [{"role": "user", "content": prompt}]
    asked = {"model": MODEL, "tools": RESPONSES_TOOLS, "store": False}
    with CLIENT.responses.stream(input=items, **asked) as stream:
        output = stream.get_final_response().output
    (call,) = [item for item in output if item.type == "function_call"]
    result = f"{WEATHER} in {json.loads(call.arguments)['city']}"
    called = {
        "type": "function_call",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
    }
    items += [called, {"type": "function_call_output", "call_id": call.call_id, "output": result}]
    return CLIENT.responses.create(input=items, **asked).output_text, [result]


def responses_turns(prompts: Sequence[str]) -> Iterator[str]:
    items: list = []
    for prompt in prompts:
        items.append({"role": "user", "content": prompt})
        items.append({"role": "assistant", "content": responses_stream(items)})
        yield items[-1]["content"]


CHAT = Driver(
    stream=lambda prompt: chat_stream([{"role": "user", "content": prompt}]),
    whole=chat_whole,
    tool=chat_tool,
    turns=chat_turns,
)
RESPONSES = Driver(
    stream=lambda prompt: responses_stream([{"role": "user", "content": prompt}]),
    whole=responses_whole,
    tool=responses_tool,
    turns=responses_turns,
)

drive({"chat": CHAT, "responses": RESPONSES}[MODE])
