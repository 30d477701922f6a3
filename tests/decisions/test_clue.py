from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.clue import Clues, chain_of, external_of
from ringfence.domain.invocation import Grouping

MESSAGES = st.lists(st.binary(max_size=8), min_size=1, max_size=6).map(tuple)


def test_of_several_ids_the_one_that_was_meant_for_us_counts() -> None:
    every = Clues(credential="crd_1", header="h", trace="t", client="c")
    assert external_of(every) == (Grouping.HEADER, "h")
    without = Clues(credential="crd_1", trace="t", client="c")
    assert external_of(without) == (Grouping.TRACEPARENT, "t")
    assert external_of(Clues(credential="crd_1", client="c")) == (Grouping.CLIENT, "c")
    assert external_of(Clues(credential="crd_1")) is None


@given(MESSAGES, st.binary(max_size=8))
def test_a_conversation_that_goes_on_begins_with_what_it_was(
    messages: tuple[bytes, ...], more: bytes
) -> None:
    before = chain_of(Clues(credential="crd_1", messages=messages))
    after = chain_of(Clues(credential="crd_1", messages=(*messages, more)))
    assert after[: len(before)] == before
    assert len(after) == len(messages) + 1


@given(MESSAGES)
def test_the_hashes_stand_for_the_conversation_between_processes(
    messages: tuple[bytes, ...],
) -> None:
    clues = Clues(credential="crd_1", messages=messages)
    hashed = clues.hashed()
    assert hashed.messages == ()
    assert chain_of(hashed) == chain_of(clues)
    assert hashed.hashed() is hashed
