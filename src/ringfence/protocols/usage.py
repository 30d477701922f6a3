"""Token counts as OpenAI and compatible servers state them, into the one shape of the domain."""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec

from ringfence.domain.usage import Usage

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

_NONE: dict[str, int] = {}


def read_usage(stated: object, hosted_uses: Mapping[str, int] = _NONE) -> Usage | None:
    """Normalise a `usage` object of Chat Completions, Responses or Embeddings.

    None if it is absent or lacks a count that cannot be told from the others. A stated zero stays
    zero. Where the total exceeds input and output, as with servers that leave reasoning out of the
    output, the rest is output.
    """
    if not isinstance(stated, dict):
        return None
    given = _first(stated, "prompt_tokens", "input_tokens")
    output = _first(stated, "completion_tokens", "output_tokens")
    total = _count(stated.get("total_tokens"))
    if given is None:
        return None
    if output is None:
        if total is None:
            return None
        output = max(total - given, 0)
    inputs = _inner(stated, "prompt_tokens_details", "input_tokens_details")
    outputs = _inner(stated, "completion_tokens_details", "output_tokens_details")
    # DeepSeek states cached tokens beside the others.
    cached = _first(inputs, "cached_tokens") or _count(stated.get("prompt_cache_hit_tokens")) or 0
    lifetimes = _inner(inputs, "cache_write_tokens_details")
    # The longest lifetime is paid like the domain's longest.
    longest = _count(lifetimes.get("ttl_12h_tokens")) or 0
    return Usage(
        input_tokens=given,
        output_tokens=max(output, (total or 0) - given),
        cache_read_tokens=cached,
        cache_write_tokens=max(_count(inputs.get("cache_write_tokens")) or 0, longest),
        cache_write_1h_tokens=longest,
        reasoning_tokens=_count(outputs.get("reasoning_tokens")) or 0,
        hosted_uses=dict(hosted_uses),
    )


class _Given(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    cache_write_tokens_details: None = None


class _Made(msgspec.Struct):
    reasoning_tokens: _Count | None = None


class UsualUsage(msgspec.Struct):
    """A `usage` of Chat Completions in its usual form, for a decoder to build at once.

    Whatever `read_usage` would read otherwise does not fit it, and must be read by that.
    """

    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count | None = None
    prompt_tokens_details: _Given | None = None
    completion_tokens_details: _Made | None = None
    input_tokens_details: None = None
    output_tokens_details: None = None
    prompt_cache_hit_tokens: None = None

    def normal(self) -> Usage:
        """The same in the domain's shape."""
        given, output, total = self.prompt_tokens, self.completion_tokens, self.total_tokens
        inputs, outputs = self.prompt_tokens_details, self.completion_tokens_details
        if total is not None and total - given > output:
            output = total - given
        return Usage(
            input_tokens=given,
            output_tokens=output,
            cache_read_tokens=0 if inputs is None else inputs.cached_tokens or 0,
            cache_write_tokens=0 if inputs is None else inputs.cache_write_tokens or 0,
            reasoning_tokens=0 if outputs is None else outputs.reasoning_tokens or 0,
        )


def _inner(stated: Mapping[str, object], *names: str) -> Mapping[str, object]:
    for name in names:
        inner = stated.get(name)
        if isinstance(inner, dict):
            return inner
    return {}


def _first(stated: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        count = _count(stated.get(name))
        if count is not None:
            return count
    return None


def _count(value: object) -> int | None:
    """A count; some servers write it as a float."""
    if type(value) is int:  # almost always; `bool` is another type
        return value if value >= 0 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
        return value if value >= 0 else None
    return None
