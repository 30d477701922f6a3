import threading
from dataclasses import replace

import pytest
from tests.decisions.test_approval import BINDING, held

from ringfence.decisions.approval import Waiting
from ringfence.domain.approval import Approval, ApprovalState, Binding, Vote
from ringfence.domain.verdict import Code, Reason
from ringfence.stores.state import approval
from ringfence.stores.state.store import StateStore


def made(number: int, organisation: str = "org_1") -> Approval:
    binding = replace(BINDING, organisation=organisation, arguments=b'{"\xc3\xa9":"\\u0000"}')
    votes = (Vote(user="user:ann", approves=True, at_us=2**53 + 1, comment="ja"),)
    return held(id=f"apr_{number}", binding=binding, created_us=number, votes=votes)


def test_a_held_call_is_read_back_to_the_byte(state: StateStore) -> None:
    state.approvals.add(made(1))
    assert state.approvals.find("org_1", "apr_1") == made(1)


def test_what_waits_already_is_counted_by_run_agent_and_organisation(state: StateStore) -> None:
    seen: list[Waiting] = []

    def look(_: Binding, waiting: Waiting) -> Reason | None:
        seen.append(waiting)
        return None

    def add(number: int, **changes: str) -> None:
        binding = replace(BINDING, **changes)  # type: ignore[arg-type] # all of them texts
        state.approvals.add(held(id=f"apr_{number}", binding=binding), look)

    add(1)
    add(2, root="inv_2")
    add(3, agent="agt_2")
    add(4, organisation="org_2")
    state.approvals.change("org_1", "apr_1", lambda found: replace(found, state=_DENIED))
    add(5)
    assert [(each.of_run, each.of_agent, each.of_organisation) for each in seen] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 2),
        (0, 0, 0),
        (1, 1, 2),
    ]


def test_of_two_planes_that_hold_at_once_one_is_too_late(state: StateStore) -> None:
    why = Reason(code=Code.RATE_EXCEEDED, message="enough")
    found: list[Reason | None] = []

    def hold(number: int) -> None:
        def refuse(_: Binding, waiting: Waiting) -> Reason | None:
            return why if waiting.of_agent >= 3 else None

        found.append(state.approvals.add(made(number), refuse))

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(None) == len(state.approvals.list("org_1")) == 3


def test_held_calls_of_another_organisation_do_not_exist(state: StateStore) -> None:
    state.approvals.add(made(1, "org_2"))
    assert state.approvals.find("org_1", "apr_1") is None
    assert state.approvals.list("org_1") == ()
    assert state.approvals.change("org_1", "apr_1", lambda _: made(2)) is None


def test_they_are_listed_newest_first_by_state_and_in_pages(state: StateStore) -> None:
    for number in (1, 2, 3):
        state.approvals.add(made(number))
    state.approvals.change("org_1", "apr_2", lambda found: replace(found, state=_DENIED))
    assert [each.id for each in state.approvals.list("org_1")] == ["apr_3", "apr_2", "apr_1"]
    assert [each.id for each in state.approvals.list("org_1", before="apr_3", limit=1)] == ["apr_2"]
    denied = state.approvals.list("org_1", states=frozenset({_DENIED}))
    assert [each.id for each in denied] == ["apr_2"]
    assert {each.id for each in state.approvals.open()} == {"apr_1", "apr_3"}


def test_of_many_who_change_it_at_once_one_is_first(state: StateStore) -> None:
    state.approvals.add(made(1))
    won: list[int] = []

    def use(number: int) -> None:
        def advance(found: Approval) -> Approval | None:
            if found.state is not ApprovalState.PENDING:
                return None
            won.append(number)
            return replace(found, state=ApprovalState.CONSUMED, action=str(number))

        state.approvals.change("org_1", "apr_1", advance)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = state.approvals.find("org_1", "apr_1")
    assert found is not None
    assert won == [int(found.action)]


def test_what_has_ended_is_forgotten_and_what_is_open_is_not(state: StateStore) -> None:
    for number in range(1, 5):
        state.approvals.add(made(number))
    state.approvals.add(made(1, "org_2"))
    for number in (1, 3):
        state.approvals.change(
            "org_1", f"apr_{number}", lambda found: replace(found, state=_DENIED)
        )
    assert [each.id for each in state.approvals.ended("org_1", 3)] == ["apr_1"]
    assert [each.id for each in state.approvals.ended("org_1", 9, after="apr_1")] == ["apr_3"]
    assert state.approvals.forget("org_1", ["apr_1", "apr_2", "apr_x"]) == 1
    assert [each.id for each in state.approvals.every("org_1")] == ["apr_4", "apr_3", "apr_2"]
    assert state.approvals.find("org_2", "apr_1") is not None


def test_many_are_forgotten_and_read_in_pages(
    state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "_AT_ONCE", 4)
    numbers = range(100, 100 + 9)
    for number in numbers:
        state.approvals.add(replace(made(number), state=_DENIED))
    ids = [f"apr_{number}" for number in numbers]
    assert [each.id for each in state.approvals.every("org_1")] == ids[::-1]
    assert state.approvals.forget("org_1", ids) == len(ids)
    assert list(state.approvals.every("org_1")) == []


_DENIED = ApprovalState.DENIED
