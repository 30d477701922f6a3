"""What a run begins with; joining and declaring as agents do it is told in `test_invocation`."""

import pytest
from tests.gateways.world import agent, organisation

from ringfence.decisions.grouping import Open
from ringfence.domain.agent import Limits
from ringfence.domain.invocation import Grouping
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.opening import Asked, declared, revived, root
from ringfence.enforcement.runtime import AgentRuntime

SECOND_US = 1_000_000


def caller(*, seconds: int | None = None, ends_us: int | None = None) -> Caller:
    limits = Limits(seconds=seconds)
    runtime = AgentRuntime(organisation(), agent(limits=limits))
    return Caller(runtime=runtime, credential="crd_1", proof="crd_user", ends_us=ends_us)


def asked(**narrowing: object) -> Asked:
    return Asked(id="inv_2", narrowing=Narrowing(**narrowing))  # type: ignore[arg-type] # its fields


def opened(by: Caller) -> LiveInvocation:
    return root(by, Open(Grouping.HEADER, "run-1"), "inv_1", 5)


def test_a_root_is_its_own_top_and_keeps_what_it_was_found_by() -> None:
    live = opened(caller())
    identity = live.identity
    assert (identity.root, identity.parent, identity.depth) == ("inv_1", None, 0)
    assert (identity.grouping, identity.external_id) == (Grouping.HEADER, "run-1")
    assert (live.proof, live.is_recorded) == ("crd_user", False)


def test_a_child_hangs_from_its_parent_and_lives_by_its_proof() -> None:
    by = caller()
    parent = opened(by)
    live = declared(by, parent, asked(models=("small",)), 9)
    identity = live.identity
    assert (identity.root, identity.parent, identity.depth) == ("inv_1", "inv_1", 1)
    assert (live.models, live.proof) == (frozenset({"small"}), "crd_user")
    assert parent.children == [live]


@pytest.mark.parametrize(
    ("seconds", "ends_s", "narrowed", "deadline_s"),
    [
        (None, None, None, None),
        (60, None, None, 60),
        (60, 30, None, 30),
        (60, 30, 10, 10),
        (5, 30, 10, 5),
    ],
)
def test_the_earliest_end_holds(
    seconds: int | None, ends_s: int | None, narrowed: int | None, deadline_s: int | None
) -> None:
    ends_us = None if ends_s is None else ends_s * SECOND_US
    live = declared(caller(seconds=seconds, ends_us=ends_us), None, asked(seconds=narrowed), 0)
    wanted = None if deadline_s is None else deadline_s * SECOND_US
    assert live.identity.deadline_us == wanted


def test_what_is_revived_is_on_the_record_already() -> None:
    by = caller()
    live = revived(opened(by).identity, by.runtime, None, Narrowing(proof="crd_9"), 7)
    assert (live.is_recorded, live.last_us, live.proof) == (True, 7, "crd_9")
