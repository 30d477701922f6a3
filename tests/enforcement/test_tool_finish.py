import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import pytest
from tests.approvals import desk
from tests.enforcement.workshop import RESULT, Workshop, crm, definition, shop

from ringfence.decisions.failure_rule import Failed
from ringfence.domain.agent import Scope
from ringfence.domain.approval import Approval, Vote
from ringfence.domain.event import Change, Outcome, Status
from ringfence.domain.tool_rule import (
    FailureRule,
    FollowUp,
    Postcondition,
    Remedy,
    ToolFailure,
    ToolRules,
)
from ringfence.domain.tool_view import ToolView, ViewStep
from ringfence.domain.verdict import Code, Stop
from ringfence.enforcement.holding import Holdable
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.refusal import RefusedAction
from ringfence.enforcement.tool_inspection import Inspected, Unfinished
from ringfence.enforcement.tool_ticket import ToolTicket
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

SECOND_US = 1_000_000
Answer = bytes | Failed


def failing(failure: ToolFailure, *, was_sent: bool = True, status: int = 0) -> Failed:
    return Failed(failure=failure, was_sent=was_sent, http_status=status, retry_after_s=0.0)


def raw(words: str) -> bytes:
    return json.dumps({"content": [{"type": "text", "text": words}]}).encode()


def rules(failure: ToolFailure, *steps: Remedy, alternative: str = "") -> ToolRules:
    rule = FailureRule(pattern="*", remedies=((failure, steps),), alternative=alternative)
    return ToolRules(failures=(rule,))


class Server:
    """Answers in order; `asked` is what reached it, as tool, arguments and action."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes, str]] = []

    def __call__(self, ticket: ToolTicket, /) -> Awaitable[Answer]:
        return self._answer(ticket)

    async def _answer(self, ticket: ToolTicket) -> Answer:
        await asyncio.sleep(0)
        self.asked.append((ticket.key.merged, ticket.arguments, ticket.action))
        return self.answers.pop(0)


class Call:
    """One call of a workshop, up to its end."""

    def __init__(self, workshop: Workshop, server: Server) -> None:
        self.workshop = workshop
        self.server = server

    async def make(self, name: str = "get_job", arguments: object = None) -> Inspected:
        """As a door makes it."""
        path = self.workshop.path
        knock = self.workshop.knock(name, arguments=arguments or {})
        ticket = await self.workshop.go(name, arguments=arguments or {})
        answer = await self.server(ticket)
        looked = (
            Unfinished(what=answer) if isinstance(answer, Failed) else path.inspect(ticket, answer)
        )
        if isinstance(looked, Inspected):
            ticket.settle(looked.ending())
            return looked
        finish = self.workshop.world.worker.tool_finish.finish
        found = await finish(knock, ticket, looked, self.server)
        assert not ticket.is_open
        return found


def call(tool_rules: ToolRules, *answers: Answer) -> Call:
    scope = Scope(tools=("crm__*", "mirror__*"))
    servers = {"crm": crm(rules=tool_rules), "mirror": crm(name="mirror")}
    return Call(Workshop(shop(servers, scope=scope)), Server(*answers))


def words_of(found: Inspected) -> str:
    return " ".join(item["text"] for item in json.loads(found.result)["content"])


def outcomes(workshop: Workshop) -> Sequence[Outcome]:
    return workshop.ledger.outcomes


def findings(workshop: Workshop) -> list[Change]:
    changes = [each for each in workshop.ledger.events if isinstance(each, Change)]
    return [each for each in changes if each.what.startswith("finding.")]


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story(), 60)

    asyncio.run(bounded())


def test_what_only_reads_is_tried_again_with_one_key_and_one_outcome() -> None:
    async def story() -> None:
        made = call(ToolRules(), failing(ToolFailure.SERVER_ERROR, status=503), RESULT)
        found = await made.make()
        assert (found.result, found.is_error) == (RESULT, False)
        assert len({action for _, _, action in made.server.asked}) == 1
        [outcome] = outcomes(made.workshop)
        assert outcome.status is Status.OK
        assert [(each.status, each.error) for each in outcome.attempts] == [(503, "5xx")]

    run(story)


def test_what_has_an_effect_is_not_repeated_and_the_model_is_told() -> None:
    async def story() -> None:
        made = call(ToolRules(), failing(ToolFailure.TIMEOUT), RESULT)
        found = await made.make("add_job")
        assert len(made.server.asked) == 1
        assert found.is_error
        assert "did not answer in time" in words_of(found)
        assert "other tools are not affected" in words_of(found)
        [outcome] = outcomes(made.workshop)
        assert (outcome.status, outcome.error) == (Status.FAILED, "timeout")

    run(story)


def test_after_the_last_try_the_model_is_told_how_often() -> None:
    async def story() -> None:
        away = [failing(ToolFailure.AWAY, was_sent=False) for _ in range(5)]
        made = call(ToolRules(retries=2), *away)
        found = await made.make("add_job")
        assert len(made.server.asked) == 3
        assert "It was tried 3 times." in words_of(found)

    run(story)


@pytest.mark.parametrize("failure", ToolFailure)
def test_every_failure_ends_as_it_is_declared(failure: ToolFailure) -> None:
    async def story() -> None:
        for remedy in (Remedy.TELL, Remedy.ESCALATE, Remedy.STOP):
            made = call(rules(failure, remedy), failing(failure))
            found = await made.make()
            told = {each.what for each in findings(made.workshop)}
            again = made.workshop.begin("get_job")
            is_stopped = isinstance(again, RefusedAction) and isinstance(again.verdict, Stop)
            assert is_stopped is (remedy is Remedy.STOP)
            assert ("finding.tool_failure" in told) is (remedy is Remedy.ESCALATE)
            assert found.is_error or failure is ToolFailure.EMPTY
            assert words_of(found)

    run(story)


def test_an_old_answer_is_given_with_its_age() -> None:
    async def story() -> None:
        made = call(
            rules(ToolFailure.AWAY, Remedy.CACHED),
            raw("fresh"),
            failing(ToolFailure.AWAY),
            failing(ToolFailure.AWAY),
        )
        await made.make(arguments={"id": 1})
        made.workshop.world.clock.advance(42 * SECOND_US)
        found = await made.make(arguments={"id": 1})
        assert not found.is_error
        assert words_of(found).startswith("fresh ")
        assert "42 seconds old" in words_of(found)
        other = await made.make(arguments={"id": 2})
        assert other.is_error

    run(story)


def test_another_tool_is_asked_as_an_action_of_its_own() -> None:
    async def story() -> None:
        made = call(
            rules(ToolFailure.AWAY, Remedy.ALTERNATIVE, alternative="mirror__find_job"),
            failing(ToolFailure.AWAY),
            raw("mirrored"),
        )
        other = definition("find_job", {"id": {"type": "integer"}}, "mirror")
        made.workshop.list(other, server="mirror")
        found = await made.make(arguments={"id": 1})
        assert "the answer of `mirror__find_job`" in words_of(found)
        assert [name for name, _, _ in made.server.asked] == ["crm__get_job", "mirror__find_job"]
        first, second = made.workshop.ledger.intents
        assert second.about == first.action
        assert {each.action for each in outcomes(made.workshop)} == {first.action, second.action}

    run(story)


def test_an_alternative_that_may_not_be_called_is_none() -> None:
    async def story() -> None:
        made = call(
            rules(ToolFailure.AWAY, Remedy.ALTERNATIVE, alternative="mirror__get_job"),
            failing(ToolFailure.AWAY),
        )
        found = await made.make()
        assert "cannot be reached" in words_of(found)
        assert len(made.server.asked) == 1
        assert [len(each.attempts) for each in outcomes(made.workshop)] == [1]

    run(story)


def test_a_run_that_was_stopped_meanwhile_is_not_tried_again() -> None:
    async def story() -> None:
        made = call(ToolRules(), failing(ToolFailure.SERVER_ERROR), RESULT)
        ticket = await made.workshop.go()
        answer = await made.server(ticket)
        assert isinstance(answer, Failed)
        await made.workshop.world.suspend()
        found = await made.workshop.world.worker.tool_finish.finish(
            made.workshop.knock(), ticket, Unfinished(what=answer), made.server
        )
        assert found.error == Code.AGENT_SUSPENDED
        assert len(made.server.asked) == 1

    run(story)


def test_a_call_whose_door_gives_up_is_settled() -> None:
    async def story() -> None:
        made = call(ToolRules(), failing(ToolFailure.AWAY))
        ticket = await made.workshop.go()
        what = Failed(failure=ToolFailure.RATE_LIMITED, retry_after_s=5.0)
        finishing = asyncio.create_task(
            made.workshop.world.worker.tool_finish.finish(
                made.workshop.knock(), ticket, Unfinished(what=what), made.server
            )
        )
        await asyncio.sleep(0.01)
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        assert [each.error for each in outcomes(made.workshop)] == ["interrupted"]

    run(story)


CHECKED = ToolRules(
    postconditions=(
        Postcondition(
            pattern="add_job",
            check=FollowUp(call="get_job", arguments=(("id", b'"$.result.id"'),)),
            expect=(("state", b'"open"'),),
        ),
    )
)
ADDED = raw('{"id": 7}')


def test_what_must_be_so_after_a_call_is_checked() -> None:
    async def story() -> None:
        made = call(CHECKED, ADDED, raw('{"state": "open"}'))
        found = await made.make("add_job")
        assert found.result == ADDED
        assert made.server.asked[1][:2] == ("crm__get_job", b'{"id":7}')
        first, check = made.workshop.ledger.intents
        assert check.about == first.action

    run(story)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((ADDED, raw('{"state": "lost"}')), '`state` is "lost" and must be "open"'),
        ((raw("done"),), "the check needs `$.result.id`, which is not there"),
        ((ADDED, failing(ToolFailure.AWAY)), "the check `crm__get_job` could not be made"),
    ],
)
def test_what_is_not_so_holds_the_next_serious_action(
    answers: tuple[Answer, ...], told: str
) -> None:
    async def story() -> None:
        made = call(CHECKED, *answers)
        found = await made.make("add_job")
        assert told in words_of(found)
        assert not found.is_error
        [finding] = findings(made.workshop)
        assert (finding.what, finding.detail["told"]) == ("finding.postcondition", told)
        # Reading goes on; what has consequences waits.
        assert isinstance(made.workshop.begin("get_job"), ToolTicket)
        held = made.workshop.path.begin(made.workshop.knock("refund"))
        assert isinstance(held, Holdable)
        assert any(told in why for why in held.reasons)

    run(story)


def test_a_person_who_approves_all_the_same_ends_the_doubt() -> None:
    async def story() -> None:
        clock = ManualClock()
        people = desk(clock, SequentialIds(), approvers=frozenset({"user:ann"}))
        workshop = Workshop(shop({"crm": crm(rules=CHECKED)}), approvals=people, clock=clock)
        made = Call(workshop, Server(ADDED, raw('{"state": "lost"}')))
        await made.make("add_job")
        knock = workshop.knock("refund")
        held = await workshop.path.hold(knock, workshop.holdable("refund"))
        assert isinstance(held, Approval)
        ballot = Vote(user="user:ann", approves=True, at_us=clock.now_us())
        await people.decide("org_acme", held.id, ballot)
        approved = workshop.knock("refund", approval=held.id)
        lacking = workshop.path.begin(approved)
        assert isinstance(lacking, Lacking)
        ticket = await workshop.path.supply(approved, lacking)
        assert isinstance(ticket, ToolTicket)
        assert not ticket.live.tree.doubts

    run(story)


# Views that are made of several calls

VIEW = ToolView(
    tool="client_and_job",
    of="get_client",
    steps=(
        ViewStep(name="job", call=FollowUp(call="get_job", arguments=(("id", b'"$.result.job"'),))),
        ViewStep(name="other", call=FollowUp(call="get_other")),
    ),
)


def document(**fields: object) -> bytes:
    return json.dumps({"content": [], "structuredContent": fields}).encode()


async def composed(server: Server, **more: object) -> tuple[Workshop, dict[str, object]]:
    """What the agent gets of the view, called with a server that answers so."""
    workshop = Workshop(shop({"crm": crm(views=(VIEW,))}, **more))
    knock = workshop.knock("client_and_job")
    ticket = await workshop.go("client_and_job")
    looked = workshop.path.inspect(ticket, await server(ticket))  # type: ignore[arg-type] # a result
    assert isinstance(looked, Unfinished)
    finish = workshop.world.worker.tool_finish
    found = await finish.finish(knock, ticket, looked, server)
    result: dict[str, object] = json.loads(found.result)
    return workshop, result


def test_a_view_of_several_tools_makes_each_call_as_an_action_and_gives_one_result() -> None:
    async def story() -> None:
        server = Server(document(name="ada", job=7), document(title="x"), document(ok=True))
        workshop, result = await composed(server)
        assert result["structuredContent"] == {
            "result": {"name": "ada", "job": 7},
            "job": {"title": "x"},
            "other": {"ok": True},
        }
        assert "isError" not in result
        assert [(tool, asked) for tool, asked, _ in server.asked] == [
            ("crm__client_and_job", b"{}"),
            ("crm__get_job", b'{"id":7}'),
            ("crm__get_other", b"{}"),
        ]
        first, *rest = workshop.ledger.intents
        assert [each.resource for each in rest] == ["crm__get_job", "crm__get_other"]
        assert {each.about for each in rest} == {first.action}
        workshop.world.check_books()

    asyncio.run(story())


def test_a_step_that_fails_ends_it_and_tells_what_was_done() -> None:
    async def story() -> None:
        server = Server(document(job=7), failing(ToolFailure.NOT_FOUND), document(ok=True))
        workshop, result = await composed(server)
        assert result["isError"] is True
        assert result["structuredContent"] == {"result": {"job": 7}}
        assert "step `job` (`get_job`)" in json.dumps(result["content"])
        assert len(server.asked) == 2
        workshop.world.check_books()

    asyncio.run(story())


def test_a_step_needs_what_the_call_before_gave_and_to_be_in_scope() -> None:
    async def story() -> None:
        _, missing = await composed(Server(document(name="ada")))
        assert "`$.result.job`, which is not there" in json.dumps(missing["content"])
        scope = Scope(models=frozenset({"small"}), tools=("crm__client_and_job",))
        _, refused = await composed(Server(document(job=7)), scope=scope)
        assert "may not be made" in json.dumps(refused["content"])

    asyncio.run(story())
