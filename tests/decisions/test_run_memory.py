"""What a book of runs remembers; what it makes of that is told in `test_grouping.py`."""

import pytest
from tests.decisions.test_grouping import AGENT

from ringfence.decisions import run_memory
from ringfence.decisions.run_memory import Caller, Group, Owner, advance, remove, trim
from ringfence.domain.invocation import Grouping


def group(caller: Caller, owner: Owner, name: str = "inv_1") -> Group:
    found = Group(name, Grouping.CONVERSATION, owner, caller)
    caller.groups[name] = owner.groups[name] = found
    return found


def test_a_credential_is_remembered_once() -> None:
    owner = Owner(AGENT)
    assert owner.caller("crd_1") is owner.caller("crd_1")


def test_of_too_many_credentials_the_first_without_an_open_run_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_memory, "_CALLERS_KEPT", 2)
    owner = Owner(AGENT)
    group(owner.caller("crd_1"), owner)
    owner.caller("crd_2")
    owner.caller("crd_3")
    assert list(owner.callers) == ["crd_1", "crd_3"]


def test_a_conversation_may_go_on_from_its_last_points_alone() -> None:
    owner = Owner(AGENT)
    caller = owner.caller("crd_1")
    one = group(caller, owner)
    for tip in range(20):
        advance(one, tip)
        advance(one, tip)
    assert one.tips == list(range(12, 20))
    assert list(caller.tips) == one.tips


def test_what_another_has_taken_over_is_not_removed() -> None:
    owner = Owner(AGENT)
    caller = owner.caller("crd_1")
    one, other = group(caller, owner), group(caller, owner, "inv_2")
    known = {"key": other}
    remove(known, "key", one)
    assert known == {"key": other}
    remove(known, "key", other)
    assert known == {}


def test_what_was_closed_first_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_memory, "_CLOSED_KEPT", 2)
    closed = {"a": 1, "b": 2, "c": 3}
    trim(closed)
    assert closed == {"b": 2, "c": 3}
