"""The whole (not streamed) answer of a chat request."""

from collections.abc import Mapping

from ringfence.domain.exchange import Answer
from ringfence.protocols.lenient import document, error_name, record, records, text, texts
from ringfence.protocols.usage import read_usage


def read_answer(body: bytes) -> Answer:
    """Read an answer or an error. Raises PeerError `provider_malformed`."""
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
