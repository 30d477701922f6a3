"""What a model call used, in one shape for all dialects."""

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one call, normalised.

    `input_tokens` includes cached and cache-written tokens, `cache_write_tokens` includes
    those written for an hour (`cache_write_1h_tokens`), `output_tokens` includes reasoning.
    `estimated` marks counts that the provider did not give. A zero that the provider stated stays
    zero and is not an estimate.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    hosted_uses: dict[str, int] = {}
    estimated: bool = False
