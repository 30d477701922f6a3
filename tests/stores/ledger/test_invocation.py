from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.stores.ledger.event import change

from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.money import Money
from ringfence.stores.ledger.invocation import (
    OPENED,
    InvocationRecord,
    merge,
    opening_detail,
    read_opening,
)

CHILD = Invocation(
    id="inv_2",
    organisation="org_a",
    agent="agt_1",
    root="inv_1",
    parent="inv_1",
    depth=1,
    credential="crd_1",
    opened_us=5,
    grouping=Grouping.HEADER,
    external_id="run-7",
    task="sort the tickets",
    deadline_us=99,
)


@given(
    digest=st.none() | st.binary(min_size=32, max_size=32),
    narrowing=st.text(max_size=20),
    deadline_us=st.none() | st.integers(0, 2**62),
    parent=st.none() | st.just("inv_1"),
)
def test_an_opening_says_all_that_must_be_known_again(
    digest: bytes | None, narrowing: str, deadline_us: int | None, parent: str | None
) -> None:
    invocation = replace(CHILD, deadline_us=deadline_us, parent=parent)
    detail = opening_detail(invocation, token_digest=digest, narrowing=narrowing)
    opening = read_opening(change(OPENED, "inv_2", detail=detail))
    assert opening.token_digest == digest
    assert opening.narrowing == narrowing
    assert opening.deadline_us == deadline_us
    assert opening.parent == parent
    assert (opening.agent, opening.depth, opening.grouping) == ("agt_1", 1, "header")
    assert (opening.external_id, opening.task) == ("run-7", "")


def test_what_earlier_releases_wrote_of_a_task_is_still_read() -> None:
    assert read_opening(change(OPENED, "inv_2", detail={"task": "sort"})).task == "sort"


def record(**changes: object) -> InvocationRecord:
    plain = InvocationRecord(
        invocation=CHILD,
        is_identified=True,
        state=InvocationState.OPEN,
        last_us=10,
        steps=2,
        cost=Money(30),
        refusals=1,
        token_digest=None,
        narrowing="",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_what_two_logs_know_is_added_up() -> None:
    merged = merge(record(), record(last_us=20, steps=1, cost=Money(5), refusals=0))
    assert (merged.steps, merged.cost, merged.refusals, merged.last_us) == (3, 35, 1, 20)


def test_an_end_known_to_either_log_holds() -> None:
    ended = record(state=InvocationState.STOPPED)
    assert merge(record(), ended).state is InvocationState.STOPPED
    assert merge(ended, record()).state is InvocationState.STOPPED


def test_who_it_is_comes_from_the_log_that_knows() -> None:
    vague = record(
        is_identified=False,
        invocation=replace(CHILD, parent=None, depth=0, grouping=Grouping.TIME, opened_us=3),
    )
    for merged in (merge(vague, record()), merge(record(), vague)):
        assert merged.is_identified
        assert merged.invocation == replace(CHILD, opened_us=3)
