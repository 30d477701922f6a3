"""Held calls go with their term on every place, and what is on hold stays."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.decisions.test_approval import BINDING, held

from ringfence.app.storage import Storage, storage_at
from ringfence.domain.approval import Approval, ApprovalState
from ringfence.stores.approval import EndedApprovals
from ringfence.stores.hold import Hold
from ringfence.stores.retention import Term

DAY_US = 24 * 3600 * 1_000_000
NOW_US = 100 * DAY_US


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    is_file = request.param == "sqlite"
    return storage_at(tmp_path, "sqlite" if is_file else request.getfixturevalue("postgresql_url"))


def made(identifier: str, age_days: int, **changes: object) -> Approval:
    binding = replace(BINDING, organisation="org_a", **changes)  # type: ignore[arg-type] # of it
    return held(
        id=identifier,
        binding=binding,
        created_us=NOW_US - age_days * DAY_US,
        state=ApprovalState.EXPIRED,
    )


def test_ended_calls_past_their_term_are_forgotten_and_the_others_stay(storage: Storage) -> None:
    state = storage.state()
    other = replace(BINDING, organisation="org_b")
    for each in (
        made("apr_old", 31),
        made("apr_young", 29),
        replace(made("apr_open", 31), state=ApprovalState.PENDING),
        held(id="apr_other", binding=other, created_us=0, state=ApprovalState.DENIED),
    ):
        state.approvals.add(each)
    ended = EndedApprovals(state.approvals, storage)
    terms = {"org_a": Term(body_us=30 * DAY_US, event_us=40 * DAY_US), "org_b": Term()}
    assert list(ended.run(terms, NOW_US)) == [("org_a", 1)]
    assert [each.id for each in state.approvals.every("org_a")] == ["apr_young", "apr_open"]
    assert [each.id for each in state.approvals.every("org_b")] == ["apr_other"]
    assert list(ended.run(terms, NOW_US)) == [("org_a", 0)]
    state.close()


def test_calls_on_legal_hold_are_kept_until_it_is_released(storage: Storage) -> None:
    state = storage.state()
    calls = {
        "apr_1": {"agent": "agt_held"},
        "apr_2": {"invocation": "inv_held"},
        "apr_3": {"invocation": "inv_below", "root": "inv_held"},
        "apr_4": {},
    }
    for identifier, changes in calls.items():
        state.approvals.add(made(identifier, 31, **changes))
    holds = storage.holds("org_a")
    for subject in ("agent:agt_held", "invocation:inv_held"):
        holds.place(Hold(subject=subject, reason="case 7", actor="user:ann", time_us="1"))
    ended, terms = EndedApprovals(state.approvals, storage), {"org_a": Term(event_us=DAY_US)}
    assert list(ended.run(terms, NOW_US)) == [("org_a", 1)]
    assert {each.id for each in state.approvals.every("org_a")} == {"apr_1", "apr_2", "apr_3"}
    for subject in ("agent:agt_held", "invocation:inv_held"):
        holds.release(subject)
    assert list(ended.run(terms, NOW_US)) == [("org_a", 3)]
    state.close()
