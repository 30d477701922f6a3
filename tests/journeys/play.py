"""What the scripted model says in each case, and the exact usage it claims."""

from collections.abc import Mapping
from typing import Any

import yaml
from tests.journeys.journey import Journey

from ringfence.domain.model import Dialect
from ringfence.protocols.refusal import RenderedRefusal
from ringfence.testing.model import script
from ringfence.testing.model.script import Script

STREAMED = "This answer came as a stream."
WHOLE = "This answer came at once."
FIRST = "This is the first answer."
SECOND = "This is the second answer."
TOOL_SAID = "The weather tool said: "
WEATHER = "sunny in Rome"

RUNAWAY_TOKENS = 60_000
HINTED_AFTER, STOPPED_AFTER = 3, 8
"""Equal rounds until the model is told and until the run is stopped (docs/limits.md)."""
OUTPUT_LIMIT = 1000
"""What the budget cases let an answer cost at most, in tokens."""


def prompts(journey: Journey) -> dict[str, str]:
    """The prompts of the talk."""
    return {
        "stream": "journey stream: answer as a stream",
        "whole": "journey whole: answer at once",
        "tool": journey.tool_prompt,
        "first": "journey first: begin a conversation",
        "second": "journey second: go on with it",
    }


def talk(dialect: Dialect) -> Script:
    """Everything goes well; each answer claims another usage."""
    tool = {"name": "{asked_tool}", "arguments": "{asked_arguments}"}
    return _script(
        _rule({"tool_results": True}, {"text": f"{TOOL_SAID}{{tool_result}}"}, dialect, 1),
        _rule({"asks_for_tool": True}, {"tool_calls": [tool]}, dialect, 2),
        _rule({"user": "journey stream"}, {"text": STREAMED}, dialect, 3),
        _rule({"user": "journey whole"}, {"text": WHOLE}, dialect, 4),
        _rule({"user": "journey second"}, {"text": SECOND}, dialect, 5),
        _rule({"user": "journey first"}, {"text": FIRST}, dialect, 6),
        {"answer": {"text": "Something else was asked."}},
    )


def spent() -> Script:
    """The first answer claims all the output that it may have."""
    usage = {"output_tokens": OUTPUT_LIMIT}
    return _script({"answer": {"text": FIRST, "usage": usage}})


def runaway() -> Script:
    """An answer that ignores its limit."""
    faults = {"runaway_tokens": RUNAWAY_TOKENS}
    return _script({"answer": {"text": "And on and on it goes. ", "faults": faults}})


def loop(dialect: Dialect) -> Script:
    """A model that asks for the same tool, whatever the tool says."""
    tool = {"name": "{asked_tool}", "arguments": "{asked_arguments}"}
    return _script(
        _rule({"asks_for_tool": True}, {"tool_calls": [tool]}, dialect, 1),
        {"answer": {"text": "Something else was asked."}},
    )


def refusing(refusal: RenderedRefusal) -> Script:
    """The scripted model plays the plane: one answer, then refusals."""
    return _script({"answers": [{"text": FIRST}, {"faults": _refusal(refusal)}]})


def stopping(stop: bytes, refusal: RenderedRefusal) -> Script:
    """The scripted model plays the plane: a stream that is stopped, then refusals."""
    faults = {"error_after_chunks": 6, "stream_error": stop.decode()}
    text = "And on and on it goes, for many words."
    return _script({"answers": [{"text": text, "faults": faults}, {"faults": _refusal(refusal)}]})


def _refusal(refusal: RenderedRefusal) -> dict[str, Any]:
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return {"status": refusal.status, "headers": headers, "body": refusal.body.decode()}


def _rule(
    when: Mapping[str, Any], answer: Mapping[str, Any], dialect: Dialect, number: int
) -> dict[str, Any]:
    return {"when": dict(when), "answer": {**answer, "usage": _usage(dialect, number)}}


def _usage(dialect: Dialect, number: int) -> dict[str, int]:
    """Small odd counts, so that every component of a price is used and rounded."""
    usage = {
        "input_tokens": 40 + number,
        "output_tokens": 20 + number,
        "cache_read_tokens": 7 + number,
        "reasoning_tokens": 3 + number,
    }
    if dialect is Dialect.MESSAGES:
        return {**usage, "cache_write_tokens": 5, "cache_write_1h_tokens": 2}
    return usage


def _script(*rules: Mapping[str, Any]) -> Script:
    return script.parse(yaml.safe_dump({"format": 1, "rules": list(rules)}))
