"""How long a provider asks to be left alone; what it says in no known way says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.rate_header import asked_wait_s

NOW_US = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({b"retry-after": b"7"}, 7),
        ({b"retry-after": b"0"}, 0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after": b"7", b"retry-after-ms": b"250"}, 0.25),
        ({b"retry-after": b"Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ({b"retry-after": b"Fri, 15 Jan 2027 07:00:00 GMT"}, 0),
        ({b"retry-after": b"soon"}, 0),
        ({b"retry-after": b"-5"}, 0),
        ({b"retry-after": b"1e9"}, 0),
        ({b"retry-after": b"\xff\xfe"}, 0),
        ({}, 0),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[bytes, bytes], wait_s: float) -> None:
    assert asked_wait_s(429, list(headers.items()), NOW_US) == wait_s
    assert asked_wait_s(200, list(headers.items()), NOW_US) == 0


@pytest.mark.parametrize(
    ("remaining", "reset", "stated", "wait_s"),
    [
        (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests", b"6m0s", 360),
        (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests", b"1h2m3.5s", 3723.5),
        (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens", b"120ms", 0.12),
        (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens", b"9", 9),
        (
            b"anthropic-ratelimit-requests-remaining",
            b"anthropic-ratelimit-requests-reset",
            b"2027-01-15T08:00:12Z",
            12,
        ),
        (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests", b"", 0),
        (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests", b"later", 0),
    ],
)
def test_a_limit_that_is_used_up_says_when_it_is_not(
    remaining: bytes, reset: bytes, stated: bytes, wait_s: float
) -> None:
    assert asked_wait_s(200, [(remaining, b"0"), (reset, stated)], NOW_US) == wait_s
    assert asked_wait_s(200, [(remaining, b"1"), (reset, stated)], NOW_US) == 0


@given(st.binary(max_size=40), st.sampled_from([200, 429, 503, 529]))
def test_no_header_can_break_it(stated: bytes, status: int) -> None:
    names = [b"retry-after", b"retry-after-ms", b"x-ratelimit-reset-requests"]
    headers = [(name, stated) for name in names] + [(b"x-ratelimit-remaining-requests", b"0")]
    assert asked_wait_s(status, headers, NOW_US) >= 0
