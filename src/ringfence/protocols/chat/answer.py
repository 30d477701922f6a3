"""The whole (not streamed) answer of a chat request."""

from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.protocols.lenient import document, error_name, record, records, text, texts
from ringfence.protocols.usage import UsualUsage, read_usage


class _Message(msgspec.Struct):
    tool_calls: list[dict[str, object]] | None = None
    function_call: dict[str, object] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usual(msgspec.Struct):
    """What answers look like; texts are skipped, not built."""

    id: str
    model: str
    choices: list[_Choice]
    usage: UsualUsage
    error: None = None


_USUAL: Final = msgspec.json.Decoder(_Usual)


def read_answer(body: bytes) -> Answer:
    """Read an answer or an error. Raises PeerError `provider_malformed`."""
    try:
        usual = _USUAL.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_unusual(body)
    choices = usual.choices
    return Answer(
        usage=usual.usage.normal(),
        finish=next((each.finish_reason for each in reversed(choices) if each.finish_reason), ""),
        response_model=usual.model,
        provider_object=usual.id,
        tool_calls=tuple([name for each in choices for name in _called(each.message)]),
    )


def _called(message: _Message) -> tuple[str, ...]:
    if not message.tool_calls and message.function_call is None:
        return ()
    return called({"tool_calls": message.tool_calls, "function_call": message.function_call})


def _read_unusual(body: bytes) -> Answer:
    stated = document(body)
    choices = records(stated.get("choices"))
    messages = [record(choice.get("message")) for choice in choices]
    finishes = texts(*[choice.get("finish_reason") for choice in choices])
    return Answer(
        usage=read_usage(stated.get("usage")),
        finish=finishes[-1] if finishes else "",
        response_model=text(stated.get("model")),
        provider_object=text(stated.get("id")),
        tool_calls=tuple([name for message in messages for name in called(message)]),
        error=error_name(stated.get("error")),
    )


def called(message: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the tools that a message asks for."""
    calls = [
        record(call.get("function") or call.get("custom"))
        for call in records(message.get("tool_calls"))
    ]
    calls.append(record(message.get("function_call")))
    return texts(*[call.get("name") for call in calls])
