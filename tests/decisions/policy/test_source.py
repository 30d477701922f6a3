import pytest

from ringfence.decisions.policy.source import MAX_RULES, read_source

_RULE = "forbid (principal, action, resource);"


def test_policies_are_named_by_their_id_or_their_place() -> None:
    read = read_source({"b.cedar": _RULE, "a.cedar": f'{_RULE}\n@id("night") {_RULE}'})
    assert [rule.id for rule in read.rules] == ["a.cedar#1", "night", "b.cedar#1"]
    assert [(rule.source, rule.line) for rule in read.rules] == [
        ("a.cedar", 1),
        ("a.cedar", 2),
        ("b.cedar", 1),
    ]
    assert read.faults == ()


def test_one_mistake_does_not_hide_another() -> None:
    read = read_source({"a.cedar": f"permit (;\n{_RULE}\nforbid (principal action, resource);"})
    assert [fault.line for fault in read.faults] == [1, 3] or len(read.faults) == 1
    assert read_source({"a.cedar": "x;\ny;"}).faults[1].line == 2


@pytest.mark.parametrize("name", ["scope:triage", "autonomy", "a b", "", "-a", "a" * 101])
def test_an_id_that_could_be_taken_for_another_is_refused(name: str) -> None:
    read = read_source({"a.cedar": f'@id("{name}") {_RULE}'})
    assert (read.rules == ()) is bool(name)
    assert bool(read.faults) is bool(name)


def test_there_is_an_end_to_how_many_there_may_be() -> None:
    read = read_source({"a.cedar": f"{_RULE}\n" * (MAX_RULES + 1)})
    assert [fault.line for fault in read.faults] == [MAX_RULES + 1]
