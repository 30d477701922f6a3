from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.span import Span, merged
from ringfence.domain.error import UsageError
from ringfence.protocols import note
from ringfence.protocols.note import Note
from ringfence.protocols.signature import SigningKey, holds
from ringfence.stores.checkpoint import deletion
from ringfence.stores.checkpoint.place import deletions_path

KEY = SigningKey("house.example", bytes(32))
SPANS = st.lists(
    st.builds(lambda first, more: Span(first, first + more), st.integers(1, 60), st.integers(0, 9)),
    max_size=9,
)


@given(SPANS)
def test_merged_spans_hold_the_same_sequences(spans: list[Span]) -> None:
    joined = merged(spans)
    assert numbers(joined) == numbers(spans)
    assert all(one.last + 1 < other.first for one, other in pairwise(joined))


def numbers(spans: list[Span]) -> set[int]:
    return {number for span in spans for number in range(span.first, span.last + 1)}


def test_deletions_add_up_and_are_signed(tmp_path: Path) -> None:
    assert deletion.deleted(tmp_path, "log_1") == []
    deletion.add(tmp_path, "log_1", [Span(1, 100)], KEY)
    deletion.add(tmp_path, "log_1", [Span(301, 400), Span(101, 200)], KEY)
    assert deletion.deleted(tmp_path, "log_1") == [Span(1, 200), Span(301, 400)]
    one, _ = deletion.read(deletions_path(tmp_path, "log_1").read_bytes())
    assert holds(one, KEY.verifier("house.example/log_1/deleted"))


@pytest.mark.parametrize("lines", ["2-1\n", "1-2\n3-4\n", "5-6\n1-2\n", "0-1\n", "1-2", "x\n"])
def test_what_is_no_list_is_refused(lines: str) -> None:
    text = f"house.example/log_1/deleted\n{lines}"
    text += "" if text.endswith("\n") else "-\n"
    signature = KEY.sign(text, "house.example/log_1/deleted")
    with pytest.raises(UsageError) as caught:
        deletion.read(note.render(Note(text=text, signatures=(signature,))))
    assert caught.value.code == "note_malformed"
