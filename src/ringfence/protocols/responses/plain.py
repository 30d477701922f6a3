"""The shapes of input items that hold nothing but text, which is almost every item.

They are types that `msgspec` checks while it skips: whatever fits them is harmless in each
occurrence of each of its names, so that duplicate names cannot hide anything.
"""

from typing import Annotated, Final, Literal

import msgspec

from ringfence.protocols.chat.message import Breakpoint

_Skipped = msgspec.Raw
_NOTHING: Final = msgspec.Raw()


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["input_text", "output_text", "text", "refusal"]
    text: _Skipped = _NOTHING
    refusal: _Skipped = _NOTHING
    annotations: _Skipped = _NOTHING
    logprobs: _Skipped = _NOTHING
    prompt_cache_breakpoint: Breakpoint | None = None


class _Message(msgspec.Struct, tag_field="type", tag="message", forbid_unknown_fields=True):
    content: str | list[_Part]
    role: _Skipped = _NOTHING
    id: _Skipped = _NOTHING
    status: _Skipped = _NOTHING
    phase: _Skipped = _NOTHING


class _EasyMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message may leave out its type, which makes it known by its role."""

    role: str
    content: str | list[_Part]
    phase: _Skipped = _NOTHING


class _Call(msgspec.Struct, tag_field="type", tag="function_call", forbid_unknown_fields=True):
    name: _Skipped = _NOTHING
    arguments: _Skipped = _NOTHING
    input: _Skipped = _NOTHING
    call_id: _Skipped = _NOTHING
    namespace: _Skipped = _NOTHING
    caller: _Skipped = _NOTHING
    id: _Skipped = _NOTHING
    status: _Skipped = _NOTHING


class _CustomCall(_Call, tag="custom_tool_call"):
    pass


class _Output(
    msgspec.Struct, tag_field="type", tag="function_call_output", forbid_unknown_fields=True
):
    output: str | list[_Part]
    call_id: _Skipped = _NOTHING
    name: _Skipped = _NOTHING
    namespace: _Skipped = _NOTHING
    caller: _Skipped = _NOTHING
    id: _Skipped = _NOTHING
    status: _Skipped = _NOTHING


class _CustomOutput(_Output, tag="custom_tool_call_output"):
    pass


class _ShellOutput(_Output, tag="local_shell_call_output"):
    pass


class _ShellCall(
    msgspec.Struct, tag_field="type", tag="local_shell_call", forbid_unknown_fields=True
):
    action: _Skipped = _NOTHING
    call_id: _Skipped = _NOTHING
    id: _Skipped = _NOTHING
    status: _Skipped = _NOTHING


class _Reasoning(msgspec.Struct, tag_field="type", tag="reasoning", forbid_unknown_fields=True):
    """Reasoning that is in the body; without its content it would be looked up by its id."""

    encrypted_content: Annotated[str, msgspec.Meta(min_length=1)]
    summary: _Skipped = _NOTHING
    content: _Skipped = _NOTHING
    id: _Skipped = _NOTHING
    status: _Skipped = _NOTHING


_Item = (
    _Message
    | _Call
    | _CustomCall
    | _Output
    | _CustomOutput
    | _ShellOutput
    | _ShellCall
    | _Reasoning
)

_ALL: Final = (msgspec.json.Decoder(list[_Item]), msgspec.json.Decoder(list[_EasyMessage]))
_ONE: Final = (msgspec.json.Decoder(_Item), msgspec.json.Decoder(_EasyMessage))


def are_plain(raw: bytes) -> bool:
    """Whether all items of an array hold nothing but text."""
    return _fits(_ALL, raw)


def is_plain(raw: bytes) -> bool:
    """Whether one item holds nothing but text."""
    return _fits(_ONE, raw)


def _fits(decoders: tuple[msgspec.json.Decoder, ...], raw: bytes) -> bool:  # type: ignore[type-arg]  # of any type
    for decoder in decoders:
        try:
            decoder.decode(raw)
        except (msgspec.ValidationError, RecursionError):
            continue
        return True
    return False
