from collections.abc import Mapping

from ringfence.analysis.branch import Step
from ringfence.analysis.undo import Undo, undo
from ringfence.domain.event import Decision
from ringfence.domain.tool import ToolServer
from ringfence.domain.tool_rule import Compensation, FollowUp, ToolRules

CANCEL = Compensation(
    pattern="create_*",
    undo=FollowUp(call="cancel_order", arguments=(("id", b'"$.result.id"'), ("why", b'"undo"'))),
)
SERVERS = {"crm": ToolServer(name="crm", rules=ToolRules(compensations=(CANCEL,)))}
CREATED = b'{"id": 7}'


def step(
    action: str, name: str = "create_order", permission: str = "write", status: str = "ok"
) -> Step:
    return Step(
        action=action,
        time_us="1",
        kind="tool.call",
        resource=f"crm__{name}",
        operation="tools/call",
        decision=Decision(verdict="allow"),
        permission=permission,
        status=status,
    )


def told(
    *steps: Step, bodies: Mapping[str, tuple[bytes | None, bytes | None]] | None = None
) -> list[Undo]:
    stored = bodies or {}
    return undo(steps, SERVERS, lambda action: stored.get(action, (b"{}", CREATED)))


def test_what_can_be_undone_is_told_in_reverse_order_with_its_exact_call() -> None:
    other = b'{"id": 8}'
    found = told(step("act_1"), step("act_2"), bodies={"act_2": (b"{}", other)})
    assert [each.action for each in found] == ["act_2", "act_1"]
    assert found[0].tool == "crm__cancel_order"
    assert found[0].arguments == '{"id":8,"why":"undo"}'
    assert found[1].arguments == '{"id":7,"why":"undo"}'


def test_what_cannot_be_undone_says_why() -> None:
    found = told(
        step("act_1", "send_mail", "consequential"),
        step("act_2", status="unknown"),
        step("act_3"),
        step("act_4"),
        bodies={"act_3": (None, None), "act_4": (b"{}", b'{"text":"done"}')},
    )
    assert [each.tool for each in found] == [""] * 4
    whys = [each.why for each in found]
    assert whys[0] == "the call that undoes it needs `$.result.id`, which is not there"
    assert whys[1] == "what was asked or answered is not stored any more"
    assert whys[2] == "what came of it is not known (unknown): look first"
    assert whys[3].startswith("nothing is declared that undoes it")


def test_what_only_reads_and_what_was_refused_needs_no_undoing() -> None:
    refused = step("act_2")
    refused.is_refused = True
    model = step("act_3")
    model.kind = "model.call"
    assert told(step("act_1", permission="read"), refused, model) == []


def test_what_was_undone_already_is_not_proposed_again() -> None:
    arguments = b'{"id":7,"why":"undo"}'
    found = told(
        step("act_1"),
        step("act_2", "cancel_order"),
        bodies={"act_2": (arguments, CREATED)},
    )
    assert [(each.resource, each.tool) for each in found] == [
        ("crm__cancel_order", ""),
        ("crm__create_order", ""),
    ]
    assert found[1].why == "it was undone already"
