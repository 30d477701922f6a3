"""Token counts as OpenAI and compatible servers state them, into the one shape of the domain."""

from collections.abc import Mapping

from ringfence.domain.usage import Usage

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
