import asyncio
import json

from tests.enforcement.workshop import RESULT, Workshop, crm, definition, shop
from tests.gateways.world import PROVIDER_KEY

from ringfence.decisions.failure_rule import Failed
from ringfence.domain.agent import Limits
from ringfence.domain.event import Status
from ringfence.domain.tool_rule import ToolFailure, ToolRules
from ringfence.domain.tool_view import ErrorView, ToolView
from ringfence.enforcement.finding import SECRET_SHOWN
from ringfence.enforcement.tool_inspection import TOOL_ERROR, Inspected, Unfinished
from ringfence.enforcement.tool_memory import REST


def raw(words: str, **more: object) -> bytes:
    return json.dumps({"content": [{"type": "text", "text": words}], **more}).encode()


def looked(workshop: Workshop, document: bytes, name: str = "get_job") -> Inspected:
    found = workshop.path.inspect(workshop.ticket(name), document)
    assert isinstance(found, Inspected), found
    return found


def failed(workshop: Workshop, document: bytes, name: str = "get_job") -> Failed:
    found = workshop.path.inspect(workshop.ticket(name), document)
    assert isinstance(found, Unfinished), found
    assert isinstance(found.what, Failed)
    return found.what


def test_a_good_result_passes_as_it_is() -> None:
    async def story() -> None:
        found = looked(Workshop(), RESULT)
        assert (found.result, found.is_error, found.status) == (RESULT, False, Status.OK)

    asyncio.run(story())


def test_an_error_of_the_tool_is_the_models_to_mend() -> None:
    async def story() -> None:
        document = raw("no such customer", isError=True)
        found = looked(Workshop(), document)
        assert (found.result, found.error) == (document, TOOL_ERROR)
        assert found.ending().status is Status.UPSTREAM_ERROR

    asyncio.run(story())


def test_an_error_that_names_a_status_is_that_failure() -> None:
    async def story() -> None:
        found = failed(Workshop(), raw("HTTP 429: slow down", isError=True))
        assert (found.failure, found.said) == (ToolFailure.RATE_LIMITED, "HTTP 429: slow down")

    asyncio.run(story())


def test_an_error_is_said_in_the_words_of_the_view() -> None:
    async def story() -> None:
        view = ToolView(tool="get_job", errors=(ErrorView(match="E42*", say="Try tomorrow."),))
        found = looked(Workshop(shop({"crm": crm(views=(view,))})), raw("E42 x", isError=True))
        assert json.loads(found.result)["content"][0]["text"] == "Try tomorrow."

    asyncio.run(story())


def test_what_is_no_result_and_what_is_empty_are_failures() -> None:
    async def story() -> None:
        assert failed(Workshop(), b'{"x":1}').failure is ToolFailure.MALFORMED
        assert failed(Workshop(), b'{"content":[]}').failure is ToolFailure.EMPTY

    asyncio.run(story())


def test_an_answer_is_held_against_the_output_schema_that_was_pinned() -> None:
    async def story() -> None:
        workshop = Workshop(is_listed=False)
        schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
        workshop.list(definition("get_job", outputSchema=schema))
        assert looked(workshop, raw("7", structuredContent={"id": 7})).error == ""
        for document in (raw("x", structuredContent={"id": "7"}), raw("no structure")):
            found = failed(workshop, document)
            assert found.failure is ToolFailure.MALFORMED
            assert "output schema" in found.said

    asyncio.run(story())


def test_a_credential_of_ours_reaches_nobody() -> None:
    async def story() -> None:
        workshop = Workshop()
        found = looked(workshop, raw(f"key={PROVIDER_KEY}"))
        assert (found.error, found.is_error) == (SECRET_SHOWN, True)
        assert PROVIDER_KEY.encode() not in found.result

    asyncio.run(story())


def test_a_long_result_is_given_in_parts() -> None:
    async def story() -> None:
        rules = ToolRules(result_bytes=2_000)
        workshop = Workshop(shop({"crm": crm(rules=rules)}))
        words = "".join(f"{number:05d}" for number in range(1_000))
        ticket = workshop.ticket("get_job")
        found = workshop.path.inspect(ticket, raw(words))
        assert isinstance(found, Inspected)
        assert len(found.result) < 2_500
        key = {"key": REST, "arguments": {"result": ticket.action, "offset": 2_000}}
        more = workshop.begin(**key)
        answer = workshop.path.built_in(more)  # type: ignore[arg-type] # it was let through
        assert answer is not None
        assert json.loads(answer)["content"][0]["text"] == words[2_000:4_000]
        assert workshop.path.built_in(ticket) is None

    asyncio.run(story())


def test_the_agents_own_bound_holds_too_and_a_lost_structure_is_an_error() -> None:
    async def story() -> None:
        workshop = Workshop(shop(limits=Limits(result_bytes=1_000)))
        document = raw("x" * 5_000, structuredContent={"x": 1})
        found = looked(workshop, document)
        assert len(found.result) < 1_500
        assert json.loads(found.result)["isError"]

    asyncio.run(story())


def test_what_was_read_is_remembered_for_the_policies() -> None:
    async def story() -> None:
        rules = ToolRules(labels=(("get_*", frozenset({"untrusted"})),))
        workshop = Workshop(shop({"crm": crm(rules=rules)}))
        ticket = workshop.ticket("add_job")
        workshop.path.inspect(ticket, RESULT)
        assert ticket.live.tree.seen == frozenset()
        workshop.path.inspect(workshop.ticket("get_job"), RESULT)
        assert ticket.live.tree.seen == {"untrusted"}

    asyncio.run(story())


def test_what_asks_for_more_passes() -> None:
    async def story() -> None:
        document = b'{"resultType":"input_required","inputRequests":{}}'
        assert looked(Workshop(), document).result == document

    asyncio.run(story())
