"""The words of usage survive being written and read."""

import msgspec

from ringfence.domain.usage import Usage


def test_a_stated_zero_stays_zero_and_is_no_estimate() -> None:
    usage = Usage(input_tokens=0, output_tokens=0)
    assert msgspec.json.decode(msgspec.json.encode(usage), type=Usage) == usage
    assert usage.estimated is False


def test_every_count_is_kept() -> None:
    usage = Usage(
        input_tokens=7,
        output_tokens=6,
        cache_read_tokens=5,
        cache_write_tokens=4,
        cache_write_1h_tokens=3,
        reasoning_tokens=2,
        hosted_uses={"web_search": 1},
        estimated=True,
    )
    assert msgspec.json.decode(msgspec.json.encode(usage), type=Usage) == usage


def test_two_usages_do_not_share_their_hosted_uses() -> None:
    one, other = (Usage(input_tokens=0, output_tokens=0) for _ in range(2))
    one.hosted_uses["web_search"] = 1
    assert other.hosted_uses == {}
