"""Turns a scripted answer into what is emitted: placeholders, output limit, usage."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ringfence.domain.usage import Usage
from ringfence.testing.model import asking
from ringfence.testing.model.emission import Call, Emission, Fitted, Tokens, fit, split
from ringfence.testing.model.question import Question, Tool
from ringfence.testing.model.script import Finish, ScriptedAnswer, ScriptedUsage

_BYTES_PER_TOKEN = 4
_PLACEHOLDER = re.compile(r"\{(user|tool_result|model|turn|tools|asked_tool|asked_arguments)\}")


def emit(answer: ScriptedAnswer, question: Question, asked: Tool | None, number: int) -> Emission:
    """The answer to one request; `number` counts the answers of this server."""
    words = _words(question, asked)
    text = split(_fill(answer.text, words))
    runaway = answer.faults.runaway_tokens
    if runaway is not None:
        text = Tokens(text.pieces or ("on ",), runaway)
    unlimited = answer.faults.ignore_output_limit or runaway is not None
    calls = tuple(
        _call(number, place, _fill(call.name, words), _arguments(call.arguments, words), question)
        for place, call in enumerate(answer.tool_calls)
    )
    reasoning = split(_fill(answer.reasoning, words))
    fitted = fit(reasoning, text, calls, None if unlimited else question.output_limit)
    return Emission(
        number=number,
        model=answer.model or question.model,
        reasoning=fitted.reasoning,
        is_reasoning_sealed=question.wants_sealed_reasoning,
        text=fitted.text,
        tool_calls=fitted.tool_calls,
        finish=_finish(answer.finish, fitted),
        usage=_usage(answer.usage, fitted, question),
        answers=question.answers,
    )


def _call(number: int, place: int, name: str, arguments: str, question: Question) -> Call:
    tool = next((tool for tool in question.tools if tool.name == name), Tool(name=name))
    return Call(
        id=f"{number:06d}{place:02d}",
        name=name,
        arguments=arguments,
        is_custom=tool.is_custom,
        namespace=tool.namespace,
    )


def _finish(scripted: Finish | None, fitted: Fitted) -> Finish:
    if scripted is not None:
        return scripted
    if fitted.is_cut:
        return "length"
    return "tool_calls" if fitted.tool_calls else "stop"


def _usage(
    scripted: ScriptedUsage | str | None, fitted: Fitted, question: Question
) -> Usage | None:
    if scripted == "none":
        return None
    if scripted == "zero":
        return Usage(input_tokens=0, output_tokens=0)
    given = scripted if isinstance(scripted, ScriptedUsage) else ScriptedUsage()
    output_tokens = _or(given.output_tokens, fitted.tokens * question.answers)
    reasoned = min(fitted.reasoning.count * question.answers, output_tokens)
    return Usage(
        input_tokens=_or(given.input_tokens, input_tokens(question.body_bytes)),
        output_tokens=output_tokens,
        cache_read_tokens=given.cache_read_tokens,
        cache_write_tokens=given.cache_write_tokens,
        cache_write_1h_tokens=given.cache_write_1h_tokens,
        reasoning_tokens=_or(given.reasoning_tokens, reasoned),
    )


def input_tokens(body_bytes: int) -> int:
    """What the scripted model counts for a request: a token for every four bytes, rounded up."""
    return -(-body_bytes // _BYTES_PER_TOKEN)


def _or(given: int | None, counted: int) -> int:
    return counted if given is None else given


def _words(question: Question, asked: Tool | None) -> Mapping[str, str]:
    talk = question.conversation
    return {
        "user": talk.user,
        "tool_result": talk.tool_results[-1] if talk.tool_results else "",
        "model": question.model,
        "turn": str(talk.turn),
        "tools": ", ".join(tool.name for tool in question.tools),
        "asked_tool": asked.name if asked else "",
        "asked_arguments": asking.asked_arguments(talk.user, asked) if asked else "{}",
    }


def _fill(text: str, words: Mapping[str, str]) -> str:
    """Put in what stands for the placeholders, once; other braces stay as they are."""
    return _PLACEHOLDER.sub(lambda match: words[match[1]], text)


def _arguments(scripted: Mapping[str, Any] | str, words: Mapping[str, str]) -> str:
    if isinstance(scripted, str):
        return _fill(scripted, words)
    return json.dumps(_fill_in(scripted, words), ensure_ascii=False)


def _fill_in(value: Any, words: Mapping[str, str]) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, str):
        return _fill(value, words)
    if isinstance(value, Mapping):
        return {key: _fill_in(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_in(inner, words) for inner in value]
    return value
