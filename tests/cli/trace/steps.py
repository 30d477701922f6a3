"""Steps and branches for tests, with what matters left to each test."""

from collections.abc import Sequence
from typing import Any

from ringfence.analysis.branch import Step
from ringfence.domain.event import AccountLine, Decision
from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.usage import Usage

AT_US = 1_795_266_000_123_456


def text(said: str) -> Part:
    return Part(kind="text", text=said)


def message(role: str, *parts: Part | str) -> Message:
    return Message(
        role=role, parts=[text(part) if isinstance(part, str) else part for part in parts]
    )


def reading(context: Sequence[Message], answer: Message | None = None, **more: Any) -> Reading:  # noqa: ANN401 (fields of it)
    return Reading(context=context, answer=answer, **more)


def step(**more: Any) -> Step:  # noqa: ANN401 (fields of it)
    fields: dict[str, Any] = {
        "action": "act_1",
        "time_us": str(AT_US),
        "kind": "model.call",
        "resource": "small",
        "operation": "chat",
        "decision": Decision(verdict="allow"),
        "number": 1,
        "provider": "house",
        "upstream": "llama",
        "status": "ok",
        "usage": Usage(input_tokens=1200, output_tokens=34, cache_read_tokens=1000),
        "cost_nano": "1234567",
        "duration_us": 250_000,
        "finish": "stop",
        "accounts": [AccountLine("agent", "agt_1", "day", "0", "1000000000", "998765433")],
    }
    return Step(**{**fields, **more})
