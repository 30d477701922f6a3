"""The anthropic SDK."""

from collections.abc import Iterator, Sequence

from anthropic import Anthropic
from journey import (
    HEADERS,
    MODEL,
    PARAMETERS,
    TOKEN,
    TOOL_DESCRIPTION,
    URL,
    WEATHER,
    Driver,
    drive,
)

CLIENT = Anthropic(base_url=URL, api_key=TOKEN, default_headers=HEADERS)
TOOLS = [{"name": "get_weather", "description": TOOL_DESCRIPTION, "input_schema": PARAMETERS}]
MAX_TOKENS = 2000


def stream(messages: list) -> str:
    with CLIENT.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=messages) as answer:
        return answer.get_final_text()


def whole(prompt: str) -> str:
    messages = [{"role": "user", "content": prompt}]
    answer = CLIENT.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=messages)
    return "".join(block.text for block in answer.content if block.type == "text")


def tool(prompt: str) -> tuple[str, list[str]]:
    asked = {"model": MODEL, "max_tokens": MAX_TOKENS, "tools": TOOLS}
    messages: list = [{"role": "user", "content": prompt}]
    with CLIENT.messages.stream(messages=messages, **asked) as answer:
        message = answer.get_final_message()
    (call,) = [block for block in message.content if block.type == "tool_use"]
    result = f"{WEATHER} in {call.input['city']}"
    said = [
        block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content
    ]
    given = {"type": "tool_result", "tool_use_id": call.id, "content": result}
    messages += [{"role": "assistant", "content": said}, {"role": "user", "content": [given]}]
    final = CLIENT.messages.create(messages=messages, **asked)
    return "".join(block.text for block in final.content if block.type == "text"), [result]


def turns(prompts: Sequence[str]) -> Iterator[str]:
    messages: list = []
    for prompt in prompts:
        messages.append({"role": "user", "content": prompt})
        messages.append({"role": "assistant", "content": stream(messages)})
        yield messages[-1]["content"]


drive(
    Driver(
        stream=lambda prompt: stream([{"role": "user", "content": prompt}]),
        whole=whole,
        tool=tool,
        turns=turns,
    )
)
