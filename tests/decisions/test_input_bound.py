"""Input bounds start exact, are learned slowly, and cover every call that was ever seen."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.input_bound import (
    ENOUGH_BYTES,
    ENOUGH_CALLS,
    FRAMING_TOKENS,
    IMPOSSIBLE,
    TELLING_BYTES,
    Evidence,
    believable,
    bound,
    learn,
)
from ringfence.domain.model import InputBound, Model

EXACT = Model(name="m", provider="p", upstream="u")
MODEL = replace(EXACT, input_bound=InputBound(learns=True))
BODY = 10_000


def evidence(calls: int, body_bytes: int = BODY, input_tokens: int = BODY // 4) -> Evidence:
    state = Evidence()
    for _ in range(calls):
        state = learn(state, body_bytes, input_tokens)
    return state


def tokens(state: Evidence, body_bytes: int = BODY, model: Model = MODEL) -> int:
    found = bound(model, state, body_bytes)
    assert found is not None
    return found - state.framing_tokens


def test_the_first_bound_is_one_token_per_byte_and_what_a_provider_may_add() -> None:
    assert bound(MODEL, Evidence(), BODY) == BODY + FRAMING_TOKENS


def test_the_ratio_is_learned_from_enough_calls_with_a_margin() -> None:
    assert tokens(evidence(ENOUGH_CALLS - 1)) == BODY
    assert tokens(evidence(ENOUGH_CALLS)) == BODY * 0.25 * 1.25


def test_nothing_is_learned_unless_the_model_asks_for_it() -> None:
    cheap = evidence(10 * ENOUGH_CALLS, BODY, 1)
    assert tokens(cheap, model=EXACT) == BODY


def test_cheap_calls_cannot_teach_less_than_a_quarter_of_the_initial_ratio() -> None:
    cheap = evidence(10 * ENOUGH_CALLS, BODY, 1)
    assert tokens(cheap) == BODY // 4
    half = InputBound(initial_tokens_per_byte=0.5, learns=True)
    assert tokens(cheap, model=replace(EXACT, input_bound=half)) == BODY // 8


@pytest.mark.parametrize("body_bytes", [100, BODY])
def test_no_series_of_impossible_counts_raises_a_bound(body_bytes: int) -> None:
    most = IMPOSSIBLE * (body_bytes + FRAMING_TOKENS)
    assert learn(Evidence(), body_bytes, most) != Evidence()
    assert learn(Evidence(), body_bytes, most + 1) == Evidence()


def test_a_count_is_believed_up_to_eight_times_what_could_be_expected() -> None:
    assert believable(5_000, 4_000) == 40_000
    assert believable(100, 4_000) == 32_000


def test_many_small_calls_are_not_enough_bytes() -> None:
    state = evidence(ENOUGH_CALLS, TELLING_BYTES, TELLING_BYTES // 4)
    assert ENOUGH_CALLS * TELLING_BYTES < ENOUGH_BYTES
    assert tokens(state) == BODY


def test_bodies_too_small_to_tell_are_no_evidence_of_a_ratio() -> None:
    assert evidence(100_000, TELLING_BYTES - 1, 100) == Evidence()


def test_a_bound_never_falls_below_the_highest_ratio_seen() -> None:
    state = learn(evidence(ENOUGH_CALLS), BODY, BODY // 2)
    assert tokens(state) == BODY * 0.5 * 1.25
    for _ in range(1_000):
        state = learn(state, BODY, BODY // 10)
    assert tokens(state) == BODY * 0.5 * 1.25


def test_a_learned_bound_does_not_pass_what_is_exact() -> None:
    assert tokens(evidence(ENOUGH_CALLS, BODY, BODY * 9 // 10)) == BODY


def test_a_provider_that_counts_more_than_is_possible_is_believed() -> None:
    assert tokens(evidence(1, BODY, BODY * 2)) == BODY * 2
    assert tokens(evidence(ENOUGH_CALLS, BODY, BODY * 2)) == BODY * 2


def test_a_large_preamble_on_a_small_body_raises_the_framing_and_not_the_ratio() -> None:
    state = learn(evidence(ENOUGH_CALLS), 100, 3_000)
    assert state.framing_tokens == 3_000 - 25
    assert tokens(state) == BODY * 0.25 * 1.25


def test_the_settings_of_the_model_hold() -> None:
    model = replace(
        MODEL, input_bound=InputBound(initial_tokens_per_byte=0.5, margin_ratio=0.1, learns=True)
    )
    assert tokens(Evidence(), model=model) == BODY // 2
    assert tokens(evidence(ENOUGH_CALLS), model=model) == BODY * 0.25 * 1.1


def test_a_low_initial_ratio_gives_way_to_the_first_higher_one() -> None:
    model = replace(MODEL, input_bound=InputBound(initial_tokens_per_byte=0.1, learns=True))
    assert tokens(evidence(1), model=model) == BODY // 4


@pytest.mark.parametrize(("images", "media"), [(1, 0), (0, 1), (2, 3)])
def test_images_and_media_without_a_bound_have_none(images: int, media: int) -> None:
    assert bound(MODEL, Evidence(), BODY, images, media) is None


def test_images_and_media_add_their_bound_each() -> None:
    model = replace(MODEL, image_tokens=1_000, media_tokens=7_000)
    assert bound(model, Evidence(), BODY, 2, 3) == BODY + FRAMING_TOKENS + 2_000 + 21_000


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 50_000)), max_size=30),
    st.sampled_from([Evidence(), evidence(ENOUGH_CALLS)]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([EXACT, MODEL]),
)
def test_a_bound_covers_every_call_it_was_learned_from(
    calls: list[tuple[int, int]],
    state: Evidence,
    initial: float,
    margin: float,
    chosen: Model,
) -> None:
    model = replace(
        MODEL,
        input_bound=InputBound(
            initial_tokens_per_byte=initial, margin_ratio=margin, learns=chosen.input_bound.learns
        ),
    )
    seen = []
    for body_bytes, input_tokens in calls:
        state = learn(state, body_bytes, input_tokens)
        if input_tokens <= IMPOSSIBLE * (body_bytes + FRAMING_TOKENS):
            seen.append((body_bytes, input_tokens))
        for earlier_bytes, earlier_tokens in seen:
            found = bound(model, state, earlier_bytes)
            assert found is not None
            assert found >= earlier_tokens
