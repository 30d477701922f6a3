"""How long a provider asks to be left alone, from the headers of its answer.

Sources: RFC 9110 section 10.2.3 (`retry-after`); the rate limit pages of OpenAI
(`x-ratelimit-reset-requests: 6m0s`) and Anthropic (`anthropic-ratelimit-requests-reset`, RFC 3339),
read 2026-11.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

WAITING_STATUSES: Final = frozenset({429, 503, 529})
"""With these, `retry-after` says when to come again. 529 is Anthropic's word for overloaded."""

_LIMITS: Final = (
    (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
    (b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-requests-reset"),
    (b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset"),
)
_NUMBER: Final = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SPAN: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,9})?)s)?")
_MILLISECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)ms")


def asked_wait_s(status: int, headers: Headers, now_us: int) -> float:
    """Seconds until the provider wants the next call; 0 if it does not say. `now_us` is UTC.

    What cannot be read says nothing: a broken header must not close a provider.
    """
    found = dict(headers)
    wait_s = _retry_after_s(found, now_us) if status in WAITING_STATUSES else 0.0
    for remaining, reset in _LIMITS:
        if found.get(remaining) == b"0" and reset in found:
            wait_s = max(wait_s, _reset_s(found[reset], now_us))
    return wait_s


def _retry_after_s(found: Mapping[bytes, bytes], now_us: int) -> float:
    exact = found.get(b"retry-after-ms", b"")
    if _NUMBER.fullmatch(exact):
        return float(exact) / 1000
    stated = found.get(b"retry-after", b"")
    if _NUMBER.fullmatch(stated):
        return float(stated)
    try:
        return _until_s(parsedate_to_datetime(stated.decode("ascii")), now_us)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _reset_s(stated: bytes, now_us: int) -> float:
    text = stated.decode("latin-1").strip()
    short = _MILLISECONDS.fullmatch(text)
    if short is not None:
        return float(short[1]) / 1000
    span = _SPAN.fullmatch(text)
    if text and span is not None:
        hours, minutes, seconds = (float(part or 0) for part in span.groups())
        return hours * 3600 + minutes * 60 + seconds
    if _NUMBER.fullmatch(stated):
        return float(stated)
    try:
        return _until_s(datetime.fromisoformat(text), now_us)
    except (ValueError, OverflowError):
        return 0.0


def _until_s(moment: datetime, now_us: int) -> float:
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, zoned.timestamp() - now_us / 1_000_000)
