"""The words of exchanges: what governance reads of a model request and of its answer."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from ringfence.domain.model import Dialect
from ringfence.domain.usage import Usage


class Feature(msgspec.Struct, frozen=True):
    """Something in a request that governance must decide on, by the words it was found by."""

    name: str
    """The field or tool type as the client wrote it, for example `service_tier` or `web_search`."""
    value: str = ""
    """Its value where that is a short text, else empty."""


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What governance reads of a model request; the body itself stays as the client sent it."""

    dialect: Dialect
    body: bytes
    model: str
    stream: bool = False
    output_limit: int | None = None
    """What the client asked for, None if it gave no limit."""
    answers: int = 1
    """How many answers are asked for (`n`, `candidateCount`)."""
    messages: tuple[bytes, ...] = ()
    """The raw JSON of each message or input item, in order; for storage, grouping and search."""
    message_spans: tuple[tuple[int, int], ...] = ()
    """Where each of `messages` stands in `body` (start, end)."""
    tools: tuple[str, ...] = ()
    """Names of the client-side tools that the request declares."""
    hosted_tools: tuple[Feature, ...] = ()
    """Tools that the provider itself would run (web search, code execution, `mcp`…)."""
    hosted_uses: int | None = None
    """How often the client itself lets all of `hosted_tools` be used together; None if it sets no
    such bound for one of them."""
    priced_fields: tuple[Feature, ...] = ()
    """Fields that change the price (`service_tier`, `speed`, prediction, audio output…)."""
    outside_inputs: tuple[Feature, ...] = ()
    """Fields that bring input which is not in the body (`previous_response_id`, file ids…)."""
    provider_objects: tuple[str, ...] = ()
    """Ids of objects that the provider holds; the subset of `outside_inputs` that name one."""
    images: int = 0
    """Number of images whose bytes are in the body or behind a URL."""
    media: int = 0
    """Number of other media parts (audio, video, documents)."""
    client_ids: tuple[tuple[str, str], ...] = ()
    """Ids in the body by which a known client names its run, for example `session_id`."""
    wants_usage: bool = False
    """Chat only: whether the client itself asked for the usage chunk of a stream."""

    @property
    def is_beyond_text(self) -> bool:
        """Whether input comes beside the text of the body, so that its size does not tell of it."""
        return bool(self.images or self.media or self.hosted_tools or self.outside_inputs)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What governance reads of a whole answer or of a finished stream."""

    usage: Usage | None = None
    finish: str = ""
    response_model: str = ""
    provider_object: str = ""
    provider_items: tuple[str, ...] = ()
    """Ids of parts of the answer that the provider keeps and that later requests may name."""
    tool_calls: tuple[str, ...] = ()
    error: str = ""
    """The provider's own error type, when the answer is an error."""


class ToolUse(msgspec.Struct, frozen=True, array_like=True):
    """One call of a tool and its result, as the bytes that the conversation holds of them."""

    name: str
    arguments: bytes
    result: bytes


Round: TypeAlias = tuple[ToolUse, ...]
"""What a model asked its tools for in one turn, with their results, in the order of the calls.

An empty round stands where somebody spoke: what came before it is another matter.
"""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a message as a trace shows it."""

    kind: str
    """`text`, `reasoning`, `tool_call`, `tool_result`, `image`, `media` or `other`.

    Of a command `command` (named by its file), `directory` and `argument`; of a request `sent` and
    `received`.
    """
    text: str = ""
    name: str = ""
    """Tool name, for `tool_call` and `tool_result`."""
    id: str = ""
    """Tool call id."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as a trace shows it."""

    role: str
    parts: Sequence[Part]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A whole exchange made readable: what the model was given and what it said."""

    system: Sequence[Part] = ()
    context: Sequence[Message] = ()
    tools: Sequence[str] = ()
    answer: Message | None = None
    finish: str = ""
