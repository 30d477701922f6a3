"""What a reload of policies does to a call that is held, and to calls after it."""

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.approvals import desk
from tests.enforcement.workshop import Workshop, shop

from ringfence.domain.agent import Autonomy
from ringfence.domain.approval import Approval, Vote
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicySource
from ringfence.domain.verdict import Code
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

_ASK = """\
@id("refunds") @ask("money leaves") forbid (principal, action, resource == Tool::"crm__refund")
when { context.arguments has amount && context.arguments.amount.greaterThan(decimal("1.0")) };
"""
_UNRELATED = """\
@id("jobs") forbid (principal, action, resource == Tool::"crm__add_job") when { true };
"""
_ARGUMENTS = {"order": "o1", "amount": 5}


def _organisation(text: str) -> Organisation:
    source = PolicySource(files={"a.cedar": text}, digest="sha256:policies")
    return replace(shop(autonomy=Autonomy.ACT_IN_SCOPE), policies=source)


async def _approved_then(text: str) -> ToolTicket | Code:
    """Hold a refund, approve it, take these policies, and make the call again."""
    clock = ManualClock()
    place = desk(clock, SequentialIds(), approvers=frozenset({"user:ann"}))
    workshop = Workshop(_organisation(_ASK), approvals=place, clock=clock)
    knock = workshop.knock("refund", arguments=_ARGUMENTS)
    held = await workshop.path.hold(knock, workshop.holdable("refund", arguments=_ARGUMENTS))
    assert isinstance(held, Approval)
    ballot = Vote(user="user:ann", approves=True, at_us=clock.now_us())
    await place.decide("org_acme", held.id, ballot)
    await workshop.world.reload(_organisation(text))
    again = msgspec.structs.replace(knock, approval=held.id)
    found = workshop.path.begin(again)
    if isinstance(found, Lacking):
        found = await workshop.path.supply(again, found)
    if isinstance(found, RefusedAction):
        return found.verdict.reason.code
    assert isinstance(found, ToolTicket)
    return found


@pytest.mark.parametrize("text", [_ASK, _UNRELATED + _ASK, _ASK + "// a remark\n"])
def test_an_unrelated_change_leaves_an_approval_as_it_is(text: str) -> None:
    assert isinstance(asyncio.run(_approved_then(text)), ToolTicket)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (_ASK.replace("money leaves", "money goes"), Code.APPROVAL_MISMATCH),
        (_ASK.replace('"1.0"', '"2.0"'), Code.APPROVAL_MISMATCH),
        (_ASK.replace('@ask("money leaves") ', ""), Code.POLICY_DENIED),
        (_ASK.replace("greaterThan", "greaterThn"), Code.POLICY_DENIED),
    ],
)
def test_an_approval_does_not_outlive_what_it_rests_on(text: str, code: Code) -> None:
    assert asyncio.run(_approved_then(text)) is code


def test_arguments_decide_about_a_call_of_a_tool() -> None:
    async def story() -> None:
        workshop = Workshop(_organisation(_ASK.replace('@ask("money leaves") ', "")))
        small = await workshop.call("refund", arguments={"order": "o1", "amount": 0.5})
        assert isinstance(small, ToolTicket)
        for raw in (b'{"order": "o", "amount": 5}', b'{"order": "o", "amount": 0.00001}'):
            refused = workshop.begin("refund", arguments=raw)
            assert isinstance(refused, RefusedAction)
            assert refused.verdict.reason.code is Code.POLICY_DENIED
        (recorded,) = workshop.ledger.refusals  # the second is a repeat of the first
        assert recorded.policy == workshop.ledger.intents[0].policy == "sha256:policies"

    asyncio.run(story())
