"""What calls of every kind share that a person must approve, told by calls of tools."""

import asyncio

from tests.enforcement.test_tool_call import REFUND, Held, refused
from tests.enforcement.workshop import Workshop

from ringfence.domain.approval import Approval
from ringfence.domain.event import Hold
from ringfence.domain.verdict import Code


def test_an_agent_that_asks_too_much_of_people_is_refused_at_once() -> None:
    async def story() -> None:
        place = Held()
        codes = []
        for number in range(22):
            refund = {"order": f"o{number}", "amount": 5}
            knock = place.workshop.knock("refund", arguments=refund)
            held = await place.workshop.path.hold(
                knock, place.workshop.holdable("refund", arguments=refund)
            )
            codes.append(held if isinstance(held, Approval) else refused(held).code)
        assert codes[20:] == [Code.RATE_EXCEEDED, Code.RATE_EXCEEDED]
        assert all(isinstance(each, Approval) for each in codes[:20])
        assert len([each for each in place.workshop.ledger.events if isinstance(each, Hold)]) == 20

    asyncio.run(story())


def test_without_a_desk_what_must_be_asked_is_denied() -> None:
    async def story() -> None:
        workshop = Workshop()
        knock = workshop.knock("refund", arguments=REFUND)
        held = workshop.holdable("refund", arguments=REFUND)
        assert refused(await workshop.path.hold(knock, held)).code is Code.POLICY_DENIED

    asyncio.run(story())


def test_a_hold_that_is_not_on_record_is_none() -> None:
    async def story() -> None:
        place = Held()
        held = place.workshop.holdable("refund", arguments=REFUND)
        place.workshop.ledger.is_failing = True
        unheld = refused(await place.workshop.path.hold(place.knock, held))
        assert unheld.code is Code.STORE_UNAVAILABLE

    asyncio.run(story())


def test_an_approval_whose_approver_lost_the_role_is_of_no_use() -> None:
    async def story() -> None:
        place = Held(approvers=frozenset())
        held = await place.hold()
        await place.say(held)
        assert refused(await place.again(held)).code is Code.APPROVAL_MISMATCH

    asyncio.run(story())
