"""A Responses answer, whole or as the last event of a stream brings it."""

from collections.abc import Mapping, Sequence
from typing import Final

from ringfence.domain.exchange import Answer
from ringfence.protocols.lenient import document, error_name, record, records, text
from ringfence.protocols.usage import read_usage

CLIENT_CALLS: Final = {
    "local_shell_call": "local_shell",
    "apply_patch_call": "apply_patch",
    "shell_call": "shell",
    "computer_call": "computer",
    "tool_search_call": "tool_search",
}
"""Items without a name of their own by which the model asks the client for something."""

HOSTED_CALLS: Final = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
    "mcp_call": "mcp",
}
"""Items by which the model has used a tool of the provider."""


def read_answer(body: bytes) -> Answer:
    """Read an answer or an error. Raises PeerError `provider_malformed`."""
    return answer_of(document(body))


def answer_of(response: Mapping[str, object]) -> Answer:
    """Read a `response` object, or the document of an error."""
    items = records(response.get("output"))
    hosted = hosted_uses(items, response)
    details = record(response.get("incomplete_details"))
    return Answer(
        usage=read_usage(response.get("usage"), hosted),
        finish=text(details.get("reason")) or text(response.get("status")),
        response_model=text(response.get("model")),
        provider_object="" if response.get("store") is False else text(response.get("id")),
        provider_items=() if response.get("store") is False else item_ids(items),
        tool_calls=tuple([name for item in items if (name := called(item))]),
        error=response_error(response),
    )


def response_error(response: Mapping[str, object]) -> str:
    """The word for a response's error: its code, which says more than its type here."""
    error = response.get("error")
    return text(record(error).get("code")) or error_name(error)


def called(item: Mapping[str, object]) -> str:
    """The name of the client-side tool that an item asks for; empty if it asks for none."""
    kind = text(item.get("type"))
    if kind in ("function_call", "custom_tool_call"):
        return text(item.get("name"))
    return CLIENT_CALLS.get(kind, "")


def item_ids(items: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Ids of items, under which the provider keeps them."""
    return tuple([name for item in items if (name := text(item.get("id")))])


def hosted_uses(
    items: Sequence[Mapping[str, object]], response: Mapping[str, object]
) -> dict[str, int]:
    """How often each tool of the provider was used: as billed where stated, else as seen."""
    uses: dict[str, int] = {}
    for item in items:
        name = HOSTED_CALLS.get(text(item.get("type")))
        if name:
            uses[name] = uses.get(name, 0) + 1
    billed = record(record(response.get("tool_usage")).get("web_search")).get("num_requests")
    if isinstance(billed, int) and billed > uses.get("web_search", 0):
        uses["web_search"] = billed
    return uses
