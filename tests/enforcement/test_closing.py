import asyncio

from tests.enforcement.workshop import RESULT, Workshop, shop
from tests.gateways.world import always, chat_answer, whole

from ringfence.domain.agent import Limits
from ringfence.domain.event import Outcome


def test_both_kinds_of_call_close_in_one_place_and_in_order() -> None:
    async def story() -> None:
        workshop = Workshop(shop(limits=Limits(tool_calls=5)))
        workshop.world.providers.answering = always(lambda: whole(chat_answer(10, 5)))
        await workshop.call()
        assert (await workshop.world.ask(headers={"ringfence-invocation": "run-1"})).status == 200
        assert workshop.path.closing is workshop.world.worker.path.closing
        tool, model = workshop.ledger.outcomes
        assert (tool.cost_nano, tool.body_bytes) == ("0", len(RESULT))
        assert int(model.cost_nano) > 0
        # What costs nothing touches no account, and states none.
        assert tool.accounts == workshop.ledger.intents[0].accounts == []
        stated = [each.scope for each in workshop.ledger.intents[1].accounts]
        assert [each.scope for each in model.accounts] == stated != []
        workshop.world.check_books()

    asyncio.run(story())


def test_a_form_says_whose_call_it_was_and_how_long_it_took() -> None:
    async def story() -> None:
        workshop = Workshop()
        ticket = await workshop.go()
        workshop.world.clock.advance(1_500)
        form = workshop.path.closing.form(ticket, 7)
        assert isinstance(form, Outcome)
        assert (form.time_us, form.action, form.duration_us) == ("7", ticket.action, 1_500)
        assert form.agent_name == "triage"
        workshop.path.forsake(ticket)

    asyncio.run(story())
