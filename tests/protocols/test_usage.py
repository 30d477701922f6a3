import pytest

from ringfence.domain.usage import Usage
from ringfence.protocols.usage import read_usage


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(input_tokens=0, output_tokens=0)),
        (
            {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            Usage(input_tokens=3, output_tokens=4),
        ),
        # Reasoning that is only in the total is output all the same.
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 20},
            Usage(input_tokens=3, output_tokens=17),
        ),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(input_tokens=3, output_tokens=0)),
        ({"prompt_tokens": 3, "total_tokens": 1}, Usage(input_tokens=3, output_tokens=0)),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 6},
            Usage(input_tokens=9, output_tokens=1, cache_read_tokens=6),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
                "completion_tokens_details": {
                    "reasoning_tokens": 4,
                    "rejected_prediction_tokens": 1,
                },
            },
            Usage(
                input_tokens=9,
                output_tokens=5,
                cache_read_tokens=2,
                cache_write_tokens=3,
                reasoning_tokens=4,
            ),
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 5,
                "input_tokens_details": {
                    "cache_write_tokens": 0,
                    "cache_write_tokens_details": {"ttl_12h_tokens": 3},
                },
            },
            Usage(input_tokens=9, output_tokens=5, cache_write_tokens=3, cache_write_1h_tokens=3),
        ),
        (
            {"prompt_tokens": 9.0, "completion_tokens": 5, "prompt_tokens_details": None},
            Usage(input_tokens=9, output_tokens=5),
        ),
    ],
)
def test_counts_are_normalised(stated: dict[str, object], usage: Usage) -> None:
    assert read_usage(stated) == usage


@pytest.mark.parametrize(
    "stated",
    [
        None,
        [],
        {},
        {"prompt_tokens": 3},
        {"completion_tokens": 3, "total_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": "3", "completion_tokens": 3},
        {"prompt_tokens": 3.5, "completion_tokens": 3},
    ],
)
def test_what_lacks_a_count_is_no_usage(stated: object) -> None:
    assert read_usage(stated) is None


def test_uses_of_hosted_tools_are_taken_over() -> None:
    usage = read_usage({"prompt_tokens": 1, "completion_tokens": 1}, {"web_search": 2})
    assert usage is not None
    assert usage.hosted_uses == {"web_search": 2}
