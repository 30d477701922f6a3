import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.body.conversation import message, request

from ringfence.stores.body.content import Body, Pieces, cut, join


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    whole = draw(st.binary(max_size=200))
    marks = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    spans = tuple(zip(marks[::2], marks[1::2], strict=False))
    return Body(whole, spans)


@given(bodies())
def test_what_is_cut_is_joined_to_the_same_bytes(body: Body) -> None:
    assert join(cut(body)) == body.whole


@given(st.binary(max_size=50), st.lists(st.tuples(st.integers(-9, 99), st.integers(-9, 99))))
def test_spans_that_do_not_fit_lose_nothing(whole: bytes, spans: list[tuple[int, int]]) -> None:
    assert join(cut(Body(whole, tuple(spans)))) == whole


def test_a_message_is_the_same_piece_at_every_step() -> None:
    dice = random.Random(1)  # noqa: S311 (a test's dice)
    messages = [message(dice, "user", 10) for _ in range(5)]
    steps = [cut(request(messages[:count])) for count in range(1, 6)]
    assert {step.envelope for step in steps} == {steps[0].envelope}
    for shorter, longer in pairwise(steps):
        assert longer.messages[: len(shorter.messages)] == shorter.messages


@pytest.mark.parametrize("spans", [(), ((0, 0),)])
def test_a_body_without_messages_is_one_piece(spans: tuple[tuple[int, int], ...]) -> None:
    pieces = cut(Body(b"answer", spans))
    assert pieces.envelope == b"answer"
    assert join(Pieces(b"answer", 6, ())) == b"answer"
