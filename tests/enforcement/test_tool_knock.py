import asyncio

import msgspec
from tests.enforcement.workshop import Workshop

from ringfence.domain.tool import PermissionTier
from ringfence.enforcement.tool_knock import NAME_CHARACTERS, binding, doubts


def test_an_approval_is_bound_to_everything_that_a_person_was_shown_of_a_call() -> None:
    async def story() -> None:
        workshop = Workshop()
        knock = workshop.knock("refund", arguments={"order": "o1", "amount": 5})
        held = workshop.holdable("refund", arguments={"order": "o1", "amount": 5})
        quote = workshop.path.quotes.quote(
            knock.caller, held.live, knock.key, knock.operation, knock.arguments, 0
        )
        bound = binding(knock, held.live, quote)  # type: ignore[arg-type] # it is no refusal
        assert bound == held.asking.binding
        assert (bound.resource, bound.arguments) == ("crm__refund", knock.arguments)
        assert bound.policies.startswith("sha256:")

    asyncio.run(story())


def test_a_failed_check_is_told_before_serious_calls_alone() -> None:
    async def story() -> None:
        workshop = Workshop()
        ticket = workshop.ticket("get_job")
        workshop.path.doubt(ticket, "the job is not there")
        told = ("after `crm__get_job`: the job is not there",)
        serious = msgspec.structs.replace(ticket.quote, tier=PermissionTier.CONSEQUENTIAL)
        assert doubts(ticket.live, serious) == told
        assert doubts(ticket.live, ticket.quote) == ()

    asyncio.run(story())


def test_an_intent_says_what_is_called_and_keeps_made_up_ids_short() -> None:
    async def story() -> None:
        workshop = Workshop()
        workshop.ticket("get_job", call_id="x" * 1_000, about="act_7")
        [intent] = workshop.ledger.intents
        assert (intent.resource, intent.upstream, intent.operation) == (
            "crm__get_job",
            "crm",
            "tools/call",
        )
        assert (intent.permission, intent.about) == ("read", "act_7")
        assert len(intent.call_id) == NAME_CHARACTERS
        assert intent.decision.verdict == "allow"

    asyncio.run(story())
