"""The google-genai SDK."""

from collections.abc import Iterator, Sequence

from google import genai
from google.genai import types
from journey import HEADERS, MODEL, TOKEN, URL, WEATHER, Driver, drive

OPTIONS = types.HttpOptions(base_url=URL, headers=HEADERS)
CLIENT = genai.Client(api_key=TOKEN, vertexai=False, http_options=OPTIONS)


def stream(prompt: str) -> str:
    chunks = CLIENT.models.generate_content_stream(model=MODEL, contents=prompt)
    return "".join(chunk.text or "" for chunk in chunks)


def whole(prompt: str) -> str:
    return CLIENT.models.generate_content(model=MODEL, contents=prompt).text


def tool(prompt: str) -> tuple[str, list[str]]:
    results = []

    def get_weather(city: str) -> str:
        """Tells the weather of a city."""
        results.append(f"{WEATHER} in {city}")
        return results[-1]

    chat = CLIENT.chats.create(model=MODEL, config=types.GenerateContentConfig(tools=[get_weather]))
    return chat.send_message(prompt).text, results


def turns(prompts: Sequence[str]) -> Iterator[str]:
    chat = CLIENT.chats.create(model=MODEL)
    for prompt in prompts:
        yield "".join(chunk.text or "" for chunk in chat.send_message_stream(prompt))


drive(Driver(stream=stream, whole=whole, tool=tool, turns=turns))
