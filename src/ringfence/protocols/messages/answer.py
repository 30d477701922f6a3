"""The whole (not streamed) answer of an Anthropic request; a stream begins with one too."""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.lenient import texts

APART: Final = frozenset({"compaction", "advisor_message"})
"""Kinds of `usage.iterations` that the totals beside them leave out (SDK 2.11.0, `BetaUsage`)."""

_REQUESTS: Final = "_requests"
_MOST_TOOLS: Final = 32
_LONGEST_TOOL: Final = 64
"""Bounds of what an answer may make Ringfence record; the API knows two tools."""


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Iteration(msgspec.Struct):
    type: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None


class WireUsage(msgspec.Struct):
    """Usage as the API writes it; a stream repeats it with running totals."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: dict[str, int | None] | None = None
    iterations: list[_Iteration] | None = None

    def update(self, later: "WireUsage") -> None:
        """Take over every count that a later event states; zeros count, absences do not."""
        for name in self.__struct_fields__:
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)

    def normalised(self, *, output_floor: int = 0, estimated: bool = False) -> Usage | None:
        """In the shape of all dialects; None if the provider stated neither input nor output.

        What is cached or cache-written stands beside `input_tokens` here, not in it.
        """
        if self.input_tokens is None and self.output_tokens is None:
            return None
        apart = [part for part in self.iterations or () if part.type in APART]
        parts: list[WireUsage | _Iteration] = [self, *apart]
        cached = sum(part.cache_read_input_tokens or 0 for part in parts)
        written = sum(part.cache_creation_input_tokens or 0 for part in parts)
        output = sum(part.output_tokens or 0 for part in parts)
        details = self.output_tokens_details
        return Usage(
            input_tokens=sum(part.input_tokens or 0 for part in parts) + cached + written,
            output_tokens=max(output, output_floor),
            cache_read_tokens=cached,
            cache_write_tokens=written,
            cache_write_1h_tokens=sum(
                part.cache_creation.ephemeral_1h_input_tokens or 0
                for part in parts
                if part.cache_creation
            ),
            reasoning_tokens=(details.thinking_tokens or 0) if details else 0,
            hosted_uses={
                name.removesuffix(_REQUESTS): uses
                for name, uses in list((self.server_tool_use or {}).items())[:_MOST_TOOLS]
                if uses and len(name) <= _LONGEST_TOOL
            },
            estimated=estimated or self.input_tokens is None or self.output_tokens is None,
        )


class WireError(msgspec.Struct):
    """The inner object of an error."""

    type: str | None = None


class Block(msgspec.Struct):
    """A content block, as far as it is read."""

    type: str | None = None
    name: str | None = None


class Container(msgspec.Struct):
    """Where the provider keeps files and state of code it ran; later requests may name it."""

    id: str | None = None


class WholeAnswer(msgspec.Struct):
    """A message, or an error document."""

    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    error: WireError | None = None
    container: Container | None = None


_decoder: Final = msgspec.json.Decoder(WholeAnswer)


def read_answer(body: bytes) -> Answer:
    """Read an answer or an error. Raises PeerError `provider_malformed`."""
    try:
        whole = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = "the provider's answer is not an Anthropic message"
        raise PeerError("provider_malformed", message) from error
    return Answer(
        usage=whole.usage.normalised() if whole.usage else None,
        finish=whole.stop_reason or "",
        response_model=whole.model or "",
        provider_object=(whole.container.id or "") if whole.container else "",
        tool_calls=texts(*[called(block) for block in whole.content or ()]),
        error=error_type(whole.error) if whole.error else "",
    )


def called(block: Block) -> str | None:
    """The name of the tool that a block asks the agent to call, if it does."""
    return block.name if block.type == "tool_use" else None


def error_type(error: WireError | None) -> str:
    """The provider's own word for an error."""
    return (error.type if error else None) or "error"
