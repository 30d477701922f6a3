import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.domain.usage import Usage
from ringfence.protocols.usage import UsualUsage, read_usage


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


COUNTS = st.one_of(st.none(), st.integers(-2, 2**40), st.just(7.0), st.just(7.5), st.just("7"))
DETAILS: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.just([]),
    st.dictionaries(
        st.sampled_from(
            [
                "cached_tokens",
                "cache_write_tokens",
                "reasoning_tokens",
                "cache_write_tokens_details",
            ]
        ),
        st.one_of(COUNTS, st.just({"ttl_12h_tokens": 3})),
    ),
)
STATED = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS},
    optional={
        "total_tokens": COUNTS,
        "input_tokens": COUNTS,
        "prompt_cache_hit_tokens": COUNTS,
        "prompt_tokens_details": DETAILS,
        "completion_tokens_details": DETAILS,
        "input_tokens_details": DETAILS,
        "output_tokens_details": DETAILS,
    },
)


@settings(max_examples=300, deadline=None)
@given(STATED)
def test_what_fits_the_usual_form_is_read_alike(stated: dict[str, object]) -> None:
    try:
        usual = msgspec.json.decode(msgspec.json.encode(stated), type=UsualUsage)
    except msgspec.ValidationError:
        return
    assert usual.normal() == read_usage(stated)


def test_the_usual_form_is_the_usual_one() -> None:
    details = {"cached_tokens": 3, "audio_tokens": 0}
    stated = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": details}
    usual = msgspec.json.decode(msgspec.json.encode(stated), type=UsualUsage)
    assert usual.normal() == Usage(input_tokens=9, output_tokens=2, cache_read_tokens=3)
