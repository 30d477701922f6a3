"""Input bounds: the most input tokens that a request body can amount to.

Exact unless the model's configuration asks to learn from what its provider counts.
"""

from math import ceil

import msgspec

from ringfence.domain.model import InputBound, Model

PPM = 1_000_000
EXACT_PPM = PPM
"""One token per byte: every token of a text stands for at least one byte of it, and the markers
that a chat template adds per message are fewer than the bytes of that message's JSON."""

FRAMING_TOKENS = 1_024
"""What a provider may add whatever the body says. The largest published is 530 tokens, Anthropic's
tool-use preamble (vendor page "Tool use pricing and tokens"); this is about twice that."""

TELLING_BYTES = 2_048
"""From this size on a body's own ratio is evidence; below it, framing outweighs the text."""

ENOUGH_CALLS = 200
"""If calls are alike, the next exceeds the highest of n with probability 1/(n+1): here 0.5 %, and
even then only what exceeds the margin is an overrun."""

ENOUGH_BYTES = 1 << 20

LEARNED_SHARE = 4
"""A learned ratio is at least the initial one divided by this, whatever cheap calls have taught:
agents choose what they send, so the highest ratio seen does not bind the next call."""

IMPOSSIBLE = 8
"""A count above this many times its bound is a provider's mistake or lie, and is not believed."""


class Evidence(msgspec.Struct, frozen=True):
    """What the calls of one organisation to one model have shown.

    `calls` and `bytes` count telling bodies only; `highest_ppm` is the highest ratio of any, in
    tokens per million bytes; `framing_tokens` is the most that smaller bodies had beyond it.
    """

    calls: int = 0
    bytes: int = 0
    highest_ppm: int = 0
    framing_tokens: int = FRAMING_TOKENS

    @property
    def is_enough(self) -> bool:
        """Whether the highest ratio may take the place of the initial one."""
        return self.calls >= ENOUGH_CALLS and self.bytes >= ENOUGH_BYTES


def bound(
    model: Model, state: Evidence, body_bytes: int, images: int = 0, media: int = 0
) -> int | None:
    """The most input tokens of such a request; None if its images or media have no bound."""
    tokens = _tokens(body_bytes, _ratio_ppm(model.input_bound, state)) + state.framing_tokens
    if images:
        if model.image_tokens is None:
            return None
        tokens += images * model.image_tokens
    if media:
        if model.media_tokens is None:
            return None
        tokens += media * model.media_tokens
    return tokens


def learn(state: Evidence, body_bytes: int, input_tokens: int) -> Evidence:
    """Take note of what a provider counted for a body.

    Only for requests whose whole input stood in the body as text: no images, media, hosted tools or
    outside inputs. INVARIANT: a bound made from the answer covers this very call, unless the count
    is impossible; that is measured by the body alone, so that no series of lies raises it.
    """
    if input_tokens > IMPOSSIBLE * (body_bytes + FRAMING_TOKENS):
        return state
    if body_bytes >= TELLING_BYTES:
        return Evidence(
            state.calls + 1,
            state.bytes + body_bytes,
            max(state.highest_ppm, -(-input_tokens * PPM // body_bytes)),
            state.framing_tokens,
        )
    beyond = input_tokens - _tokens(body_bytes, state.highest_ppm)
    if beyond <= state.framing_tokens:
        return state
    return Evidence(state.calls, state.bytes, state.highest_ppm, beyond)


def believable(bound_tokens: int, body_bytes: int) -> int:
    """The most input tokens that a provider's count may state for a call reserved at this bound."""
    return IMPOSSIBLE * max(bound_tokens, body_bytes)


def _ratio_ppm(settings: InputBound, state: Evidence) -> int:
    """Never below the highest ratio seen, and never beyond what is exact unless that was seen."""
    highest = state.highest_ppm
    initial = ceil(settings.initial_tokens_per_byte * PPM)
    if not (settings.learns and state.is_enough):
        return max(initial, highest)
    with_margin = ceil(highest * (1 + settings.margin_ratio))
    return max(min(with_margin, max(EXACT_PPM, highest)), initial // LEARNED_SHARE)


def _tokens(body_bytes: int, ratio_ppm: int) -> int:
    return -(-body_bytes * ratio_ppm // PPM)
