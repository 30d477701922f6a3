"""Rounds: every dialect tells the same story of a conversation, in one reading or several."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.conversation import CODECS, Call, Turn, body

from ringfence.domain.exchange import Round, ToolUse
from ringfence.domain.model import Dialect
from ringfence.protocols.chat import round as chat
from ringfence.protocols.gemini import round as gemini
from ringfence.protocols.messages import round as messages
from ringfence.protocols.responses import round as responses
from ringfence.protocols.round import Reader, Rounds, told

READERS: dict[Dialect, Reader] = {
    Dialect.CHAT: chat.read,
    Dialect.RESPONSES: responses.read,
    Dialect.MESSAGES: messages.read,
    Dialect.GEMINI: gemini.read,
}
DIALECTS = pytest.mark.parametrize("dialect", READERS)

STORY: list[Turn] = [
    "Find the invoice.",
    [Call("search", {"q": "invoice"}, "nothing")],
    [Call("search", {"q": "bill"}, "é"), Call("list", {}, "a, b")],
    "Look again.",
    [Call("search", {"q": "invoice"}, "nothing")],
]


def given_of(dialect: Dialect, turns: Sequence[Turn]) -> tuple[bytes, ...]:
    model = "flash" if dialect is Dialect.GEMINI else ""
    return CODECS[dialect].parse(body(dialect, turns), path_model=model).messages


def names(rounds: Sequence[Round]) -> list[list[str]]:
    return [[use.name for use in each] for each in rounds]


@DIALECTS
def test_a_conversation_is_read_as_rounds_and_what_was_said_between(dialect: Dialect) -> None:
    found = READERS[dialect](given_of(dialect, STORY), 0)
    assert names(found.rounds) == [[], ["search"], ["search", "list"], [], ["search"]]
    first, again = found.rounds[1], found.rounds[4]
    assert first == again, "the ids of calls make no difference"
    assert first[0].result != found.rounds[2][0].result
    assert found.read == len(given_of(dialect, STORY))


@DIALECTS
@given(
    story=st.lists(
        st.sampled_from(["go on"])
        | st.lists(
            st.builds(Call, st.sampled_from("ab"), st.just({}), st.sampled_from(["x", "y"])),
            min_size=1,
            max_size=3,
        ),
        max_size=8,
    ),
    data=st.data(),
)
def test_reading_on_from_call_to_call_gives_what_one_reading_gives(
    dialect: Dialect, story: list[Turn], data: st.DataObject
) -> None:
    read = READERS[dialect]
    given_all = given_of(dialect, [*story, [Call("z", {}, "end")]])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(given_all)), max_size=6)))
    rounds: list[Round] = []
    start = 0
    for cut in [*cuts, len(given_all)]:
        found = read(given_all[:cut], start)
        start = found.read
        rounds += found.rounds
    whole = read(given_all, 0).rounds
    # A cut between two results of one turn closes the round early; agents never send half a turn.
    if all(_is_whole(dialect, given_all, cut) for cut in cuts):
        assert _squeezed(rounds) == _squeezed(whole)


def _is_whole(dialect: Dialect, given_all: Sequence[bytes], cut: int) -> bool:
    """Whether all results of the last turn before the cut are there."""
    is_result = {Dialect.CHAT: chat.is_result, Dialect.RESPONSES: responses.is_result}.get(dialect)
    if is_result is None or cut in (0, len(given_all)):
        return True
    return not (is_result(given_all[cut - 1]) and is_result(given_all[cut]))


def _squeezed(rounds: Sequence[Round]) -> list[Round]:
    """Two words of somebody in a row are one."""
    return [each for at, each in enumerate(rounds) if each or at == 0 or rounds[at - 1]]


@DIALECTS
@pytest.mark.parametrize(
    "raw",
    [
        b'"text"',
        b"[]",
        b"7",
        b"null",
        b'{"role":7}',
        b'{"content":{"a":1}}',
        b'{"parts":"x"}',
        b"{",
    ],
)
def test_what_has_another_shape_is_left_out(dialect: Dialect, raw: bytes) -> None:
    found = READERS[dialect]([raw], 0)
    assert [each for each in found.rounds if each] == []


def test_results_in_any_order_go_with_their_calls() -> None:
    rounds = Rounds()
    rounds.call(0, "a", b"1", "id_a")
    rounds.call(0, "b", b"2", "id_b")
    rounds.result(b"of b", "id_b")
    rounds.result(b"of a", "id_a")
    assert rounds.found(3).rounds == [(ToolUse("a", b"1", b"of a"), ToolUse("b", b"2", b"of b"))]


def test_calls_of_a_server_that_gives_all_the_same_id_are_paired_by_their_order() -> None:
    rounds = Rounds()
    rounds.call(0, "a", b"1", "call_0")
    rounds.call(0, "b", b"2", "call_0")
    rounds.result(b"first", "call_0")
    rounds.result(b"second", "call_0")
    first, second = rounds.found(3).rounds[0]
    assert (first.result, second.result) == (b"first", b"second")


def test_a_result_without_its_call_is_left_out() -> None:
    rounds = Rounds()
    rounds.result(b"of what", "id")
    assert rounds.found(1).rounds == []


def test_calls_without_results_are_read_again_with_them() -> None:
    rounds = Rounds()
    rounds.call(4, "a", b"1", "id")
    assert rounds.found(5).read == 4


CODEX = (
    "Chunk ID: {}\nWall time: {} seconds\nProcess exited with code 0\nOriginal token count: 4\n"
    "Output:\n{}\n"
)
COPILOT = "{}\n<shellId: {} completed with exit code 0>"


@DIALECTS
@pytest.mark.parametrize(
    ("once", "again", "other"),
    [
        (
            CODEX.format("ae9939", "0.0000", "sunny"),
            CODEX.format("f34c7d", "12.5310", "sunny"),
            CODEX.format("ae9939", "0.0000", "rainy"),
        ),
        (
            COPILOT.format("sunny" * 50, 0),
            COPILOT.format("sunny" * 50, 11),
            COPILOT.format("rainy" * 50, 0),
        ),
        (COPILOT.format("", 1), COPILOT.format("", 2), COPILOT.format("x", 1)),
    ],
)
def test_what_a_client_counts_around_a_result_makes_no_difference(
    dialect: Dialect, once: str, again: str, other: str
) -> None:
    story: list[Turn] = ["Go.", *([Call("shell", {}, each)] for each in (once, again, other))]
    _, first, second, third = READERS[dialect](given_of(dialect, story), 0).rounds
    assert first == second
    assert first != third


@given(st.binary())
def test_any_other_result_is_taken_as_it_is(content: bytes) -> None:
    assert told(content) == content
    inside = b"<shellId: 7 completed>" + content + b"x" * 96
    assert told(inside) == inside
