from collections.abc import Callable

import pytest

from ringfence.config.loading import Loaded
from ringfence.domain.agent import CATEGORY_DEFAULTS, Category

HEAD = "format: 1\norganisation: acme\nusers: {ann: }\nagents: {a: {owner: ann, limits: %s}}\n"


def test_what_is_left_out_is_as_the_category_has_it(load_text: Callable[..., Loaded]) -> None:
    text = HEAD % "{model_calls: 5, tool_calls: unlimited}"
    limits = load_text(text).configuration.organisations["acme"].agents["a"].limits
    default = CATEGORY_DEFAULTS[Category.BOUNDED]
    assert (limits.model_calls, limits.tool_calls) == (5, None)
    assert (limits.seconds, limits.depth) == (default.seconds, default.depth)


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("{depth: -1}", "`depth` in `limits` of agent `a` cannot be `-1`"),
        ("{open_invocations: 0}", "`open_invocations` in `limits` of agent `a` cannot be `0`"),
        ("{output_tokens: 5, default_output_tokens: 6}", "is above `output_tokens`"),
    ],
)
def test_a_limit_that_makes_no_sense_is_a_problem(
    problems_of: Callable[..., list[str]], limits: str, problem: str
) -> None:
    [found] = problems_of(HEAD % limits)
    assert problem in found
