import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.enforcement.workshop import NUMBER, Workshop, crm, definition, shop

from ringfence.analysis.schema_check import SchemaCheck
from ringfence.domain.agent import Autonomy, Scope
from ringfence.domain.event import Change
from ringfence.domain.policy import PolicySource
from ringfence.domain.tool import PermissionTier
from ringfence.domain.tool_rule import ToolRules
from ringfence.domain.tool_view import ParameterView, ToolView
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.lack import Lack, Lacking
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_registry import Registered
from ringfence.enforcement.tool_ticket import ToolTicket


def why(found: object) -> Reason:
    assert isinstance(found, RefusedAction), found
    return found.verdict.reason


def test_arguments_that_the_schema_does_not_allow_are_refused_with_what_to_mend() -> None:
    async def story() -> None:
        workshop = Workshop()
        found = why(workshop.begin("get_job", arguments={"id": "7", "more": 1}))
        assert found.code is Code.ARGUMENTS_INVALID
        assert '`id` was given "7", and must be of type integer' in found.message
        assert "has no field `more`" in found.message
        assert found.message.endswith("Call it again with these corrected.")
        assert not workshop.ledger.intents
        assert isinstance(workshop.begin("get_job", arguments={"id": 7}), ToolTicket)

    asyncio.run(story())


@pytest.mark.parametrize("arguments", [b'{"id":', b'{"id":' * 3_000 + b"1" + b"}" * 3_000, b""])
def test_arguments_that_cannot_be_read_are_refused(arguments: bytes) -> None:
    async def story() -> None:
        found = why(Workshop().begin("get_job", arguments=arguments))
        assert found.code is Code.ARGUMENTS_INVALID

    asyncio.run(story())


def test_a_tool_that_changed_after_it_was_pinned_is_held() -> None:
    async def story() -> None:
        workshop = Workshop()
        assert isinstance(await workshop.call("get_job"), ToolTicket)
        workshop.list(definition("get_job", {"id": {"type": "string"}}))
        found = why(workshop.begin("get_job"))
        assert found.code is Code.TOOL_CHANGED
        assert "tools diff" in found.message
        assert dict(found.facts)["state"] == "changed"
        gone = why(workshop.begin("get_client"))
        assert gone.code is Code.TOOL_CHANGED

    asyncio.run(story())


def test_a_tool_that_nobody_lists_reads_like_one_out_of_scope() -> None:
    async def story() -> None:
        workshop = Workshop(shop(scope=Scope(tools=("crm__get_*",))))
        nowhere = why(workshop.begin("get_nothing"))
        beyond = why(workshop.begin("refund"))
        assert nowhere.code is beyond.code is Code.TOOL_UNKNOWN
        assert nowhere.message.replace("get_nothing", "refund") == beyond.message

    asyncio.run(story())


def test_a_server_that_was_never_asked_is_asked_first() -> None:
    async def story() -> None:
        workshop = Workshop(is_listed=False)
        lacking = workshop.path.begin(workshop.knock())
        assert isinstance(lacking, Lacking)
        assert (lacking.lack, lacking.names) == (Lack.LISTING, ("crm",))
        assert not workshop.ledger.events

    asyncio.run(story())


def test_a_hidden_tool_does_not_exist_and_defaults_are_filled_in() -> None:
    async def story() -> None:
        views = (
            ToolView(tool="get_client", is_hidden=True),
            ToolView(
                tool="get_job",
                parameters=(ParameterView(parameter="id", is_hidden=True, default=b"42"),),
            ),
        )
        workshop = Workshop(shop({"crm": crm(views=views)}))
        assert why(workshop.begin("get_client")).code is Code.TOOL_UNKNOWN
        ticket = workshop.begin("get_job")
        assert isinstance(ticket, ToolTicket)
        assert ticket.arguments == b'{"id":42}'
        assert workshop.ledger.bodies[f"Intent {ticket.action}"] == b'{"id":42}'

    asyncio.run(story())


def test_an_agent_that_may_only_look_writes_nothing() -> None:
    async def story() -> None:
        workshop = Workshop(shop(autonomy=Autonomy.OBSERVE))
        found = why(workshop.begin("add_job"))
        assert found.code is Code.POLICY_DENIED
        assert "this agent may only look, and change nothing" in found.message
        [refusal] = workshop.ledger.refusals
        assert refusal.decision.facts["policies"] == "autonomy:triage:observe"
        assert isinstance(workshop.begin("get_job"), ToolTicket)

    asyncio.run(story())


def test_what_cannot_be_undone_asks_a_person_last() -> None:
    async def story() -> None:
        workshop = Workshop()
        held = workshop.path.begin(workshop.knock("refund", arguments={"amount": 5}))
        assert isinstance(held, Holdable)
        assert held.reasons == ("this cannot be undone",)
        assert held.asking.binding.arguments == b'{"amount":5}'
        assert held.decision.policies[0] == "autonomy:triage:ask_irreversible"
        assert not workshop.ledger.events
        workshop.world.check_books()

    asyncio.run(story())


def test_resources_are_read_by_whom_the_scope_names_for_them() -> None:
    async def story() -> None:
        workshop = Workshop()
        key = replace(workshop.knock().key, name="resources/read")
        reading = {"key": key, "operation": "resources/read", "arguments": {"uri": "x://y"}}
        ticket = workshop.begin(**reading)
        assert isinstance(ticket, ToolTicket)
        assert (ticket.quote.tier, ticket.quote.tool) == (PermissionTier.READ, None)
        narrow = Workshop(shop(scope=Scope(tools=("crm__get_*",))))
        assert why(narrow.begin(**reading)).code is Code.TOOL_UNKNOWN

    asyncio.run(story())


def test_what_is_built_in_is_every_agents() -> None:
    async def story() -> None:
        workshop = Workshop(shop(scope=Scope()))
        key = replace(workshop.knock().key, server="ringfence", name="escalate")
        held = workshop.path.begin(workshop.knock(key=key, arguments={"reason": "?"}))
        assert isinstance(held, Holdable)
        assert held.reasons == ("?",)

    asyncio.run(story())


def test_a_schema_is_compiled_once() -> None:
    async def story() -> None:
        workshop = Workshop()
        schema = definition("x", {"amount": NUMBER}).input_schema
        check = workshop.path.quotes.check(schema)
        assert isinstance(check, SchemaCheck)
        assert workshop.path.quotes.check(bytes(bytearray(schema))) is check

    asyncio.run(story())


def test_what_may_be_listed_is_one_object_until_something_changes() -> None:
    async def story() -> None:
        workshop = Workshop()
        now_us = workshop.world.clock.now_us()

        def found(at_us: int = now_us) -> Sequence[Registered]:
            return workshop.path.quotes.settled(workshop.caller(), None, "crm", at_us)

        before = found()
        assert "get_client" in [tool.key.name for tool in before]
        assert found() is before
        assert found(now_us + 120_000_000) is before  # judged anew, with the same outcome
        workshop.list(definition("get_client", {"id": {"type": "string"}}))
        assert "get_client" not in [tool.key.name for tool in found()]

    asyncio.run(story())


def test_a_policy_about_the_time_is_asked_again_when_it_has_come() -> None:
    async def story() -> None:
        day_us = 86_400_000_000
        night = "forbid (principal, action, resource is Tool) when { context.time.hour < 6 };"
        given = PolicySource(files={"night.cedar": night}, digest="sha256:1")
        workshop = Workshop(replace(shop(), policies=given))
        caller = workshop.caller()
        noon_us, midnight_us = day_us + day_us // 2, 2 * day_us
        quotes = workshop.path.quotes
        assert quotes.settled(caller, None, "crm", noon_us)
        assert not quotes.settled(caller, None, "crm", midnight_us)
        assert quotes.settled(caller, None, "crm", noon_us)

    asyncio.run(story())


_BROKEN = {"type": "object", "properties": {"id": {"type": "no-such-type"}}}


def _findings(workshop: Workshop) -> list[str]:
    changes = [each for each in workshop.ledger.events if isinstance(each, Change)]
    return [each.detail["told"] for each in changes if each.what == "finding.schema_unusable"]


def test_a_schema_that_cannot_be_used_denies_and_is_found_once() -> None:
    async def story() -> None:
        workshop = Workshop(is_listed=False)
        workshop.list(definition("get_job", inputSchema=_BROKEN))
        for _ in range(2):
            found = why(workshop.begin("get_job", arguments={"id": 1}))
            assert found.code is Code.TOOL_UNAVAILABLE
            assert dict(found.facts)["cause"] == "schema_unusable"
        [told] = _findings(workshop)
        assert "its schema cannot be used" in told

    asyncio.run(story())


def test_who_says_so_may_call_a_tool_without_a_check_and_the_finding_stays() -> None:
    async def story() -> None:
        server = crm(rules=ToolRules(unchecked=("get_*",)))
        workshop = Workshop(shop({"crm": server}), is_listed=False)
        workshop.list(
            definition("get_job", inputSchema=_BROKEN), definition("add_job", inputSchema=_BROKEN)
        )
        assert isinstance(workshop.begin("get_job", arguments={"id": 1}), ToolTicket)
        assert why(workshop.begin("add_job")).code is Code.TOOL_UNAVAILABLE
        assert len(_findings(workshop)) == 2

    asyncio.run(story())


def test_results_that_cannot_be_checked_are_passed_and_found() -> None:
    async def story() -> None:
        workshop = Workshop(is_listed=False)
        workshop.list(definition("get_job", outputSchema=_BROKEN))
        assert isinstance(workshop.begin("get_job"), ToolTicket)
        [told] = _findings(workshop)
        assert told.startswith("of its results:")

    asyncio.run(story())
