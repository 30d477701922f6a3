"""What is asked of every subject: size of the request, kind of answer, connections, delay."""

import json
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MODEL: Final = "gpt-4o-mini"
CHUNKS: Final = 50
PACE_MS: Final = 10
_MESSAGE_BYTES: Final = 3_900
_STAMP: Final = "stamp-0000000000000000"


class Answer(StrEnum):
    JSON = "JSON"
    STREAM = "stream"
    PACED = "paced stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the results. `delay_ms` passes in the upstream before the first byte."""

    kilobytes: int = 4
    answer: Answer = Answer.JSON
    connections: int = 64
    delay_ms: int = 0

    @property
    def name(self) -> str:
        return f"{self.kilobytes} KB, {self.answer}, {self.connections} conn, {self.delay_ms} ms"

    @property
    def streams(self) -> bool:
        return self.answer is not Answer.JSON


USUAL: Final = (
    Scenario(),
    Scenario(connections=1),
    Scenario(delay_ms=20),
    Scenario(connections=1, delay_ms=20),
    Scenario(kilobytes=100),
    Scenario(kilobytes=100, connections=1),
    Scenario(kilobytes=100, delay_ms=20),
    Scenario(answer=Answer.STREAM),
    Scenario(answer=Answer.STREAM, connections=1),
    Scenario(answer=Answer.PACED),
)

EVERY: Final = tuple(
    Scenario(kilobytes=kilobytes, answer=answer, connections=connections, delay_ms=delay_ms)
    for kilobytes in (4, 100)
    for answer in Answer
    for connections in (1, 64)
    for delay_ms in (0, 20)
)


@dataclass(frozen=True, slots=True)
class Body:
    """A request body, and where a stamp in its last message makes each one unlike all others."""

    before: bytes
    stamp: bytes
    after: bytes

    @property
    def whole(self) -> bytes:
        return self.before + self.stamp + self.after


def body_of(scenario: Scenario) -> Body:
    """A conversation of messages of about 4 KB each; the last one carries the stamp.

    So a unique request of 4 KB is all new, and a unique one of 100 KB is the next step of an agent
    that sends its history again.
    """
    count = max(1, scenario.kilobytes // 4)
    messages = [
        {"role": "user" if n % 2 == count % 2 else "assistant", "content": _prose(n)}
        for n in range(1, count + 1)
    ]
    messages[-1]["content"] = f"{_STAMP} " + messages[-1]["content"]
    request: dict[str, object] = {"model": MODEL, "messages": messages, "max_tokens": 256}
    if scenario.streams:
        request["stream"] = True
        request["stream_options"] = {"include_usage": True}
    encoded = json.dumps(request, separators=(",", ":")).encode()
    before, _, after = encoded.partition(_STAMP.encode())
    return Body(before, _STAMP.encode(), after)


def _prose(seed: int) -> str:
    """Words that compress about as well as English does."""
    chance = random.Random(seed)  # noqa: S311 (the same words in every run)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(400)]
    text = " ".join(chance.choices(words, k=_MESSAGE_BYTES // 4))
    return text[:_MESSAGE_BYTES]
