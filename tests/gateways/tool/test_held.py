import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.approvals import desk as desk_of
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play, text_of
from tests.testing.tools.asking import SILENT

from ringfence.decisions import approval as rule
from ringfence.domain.approval import Approval, ApprovalRules, ApprovalState, Binding, Vote
from ringfence.domain.tool import PermissionTier
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.approval import ApprovalDesk, Asking, Held
from ringfence.gateways.tool import held
from ringfence.testing.ids import SequentialIds
from ringfence.transport.clock import SystemClock

TIERS = (("delete_*", PermissionTier.IRREVERSIBLE), ("*", PermissionTier.READ))
CALL: dict[str, Any] = {
    "name": "delete_all",
    "arguments": {},
    "_meta": {"progressToken": "p"},
}
QUIET: dict[str, Any] = {**CALL, "_meta": {"progressToken": "p", **SILENT}}
PAGES: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}


class Desk:
    """Implements `Approvals` for one call; `decide` is what a person does."""

    def __init__(self) -> None:
        self.approval: Approval | None = None
        self._changed = asyncio.Event()

    def decide(self, state: ApprovalState) -> None:
        assert self.approval is not None
        self.approval = replace(self.approval, state=state)
        self._changed.set()

    async def hold(self, asking: Asking) -> Held:
        if self.approval is not None:
            return Held(approval=self.approval, is_new=False)
        self.approval = Approval(
            id="apr_1",
            binding=asking.binding,
            fingerprint=rule.fingerprint(asking.binding),
            agent_name=asking.agent_name,
            reasons=asking.reasons,
            created_us=0,
            expires_us=10**18,
        )
        return Held(approval=self.approval, is_new=True)

    async def wait(self, organisation: str, approval: str, timeout_s: float) -> Approval | None:
        del organisation, approval
        try:
            async with asyncio.timeout(min(timeout_s, 0.05)):
                await self._changed.wait()
        except TimeoutError:
            pass
        return self.approval

    async def find(self, organisation: str, approval: str) -> Approval | None:
        del organisation, approval
        return self.approval

    async def consume(self, approval: str, binding: Binding, action: str) -> Approval | Deny:
        del approval, action
        assert self.approval is not None
        assert binding == self.approval.binding
        if self.approval.state is ApprovalState.APPROVED:
            self.decide(ApprovalState.CONSUMED)
            return self.approval
        return Deny(reason=Reason(code=Code.APPROVAL_DENIED, message="A person said no."))


def test_a_held_call_waits_on_an_open_stream_and_goes_on_when_it_is_approved() -> None:
    desk = Desk()

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        async with client.open("tools/call", CALL) as (answer, stream):
            assert answer.status == 200
            waiting = await stream.next()
            assert waiting is not None
            assert "apr_1" in waiting["params"]["message"]
            assert world.journal.calls == []
            desk.decide(ApprovalState.APPROVED)
            said = (await stream.rest())[-1]
        assert text_of(said) == "delete_all"
        [call] = world.journal.calls
        assert call.tool == "delete_all"

    play(scene, approvals=desk, tiers=TIERS)


def test_a_held_call_that_is_denied_tells_the_model_so() -> None:
    desk = Desk()

    async def scene(world: World) -> None:
        client = Client(world)
        async with client.open("tools/call", QUIET) as (_, stream):
            await stream.next()
            desk.decide(ApprovalState.DENIED)
            said = (await stream.rest())[-1]
        assert said["result"]["isError"] is True
        assert said["result"]["structuredContent"]["code"] == "approval_denied"
        assert world.journal.calls == []

    play(scene, approvals=desk, tiers=TIERS)


def test_a_client_that_waited_long_enough_is_told_to_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held, "WAIT_S", 0.1)
    desk = Desk()

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        *_, said = await client.ask("tools/call", CALL)
        told = said["result"]["structuredContent"]
        assert (told["status"], told["approval_id"]) == ("approval_required", "apr_1")
        desk.decide(ApprovalState.APPROVED)
        *_, again = await client.ask("tools/call", CALL)
        assert text_of(again) == "delete_all"

    play(scene, approvals=desk, tiers=TIERS)


def test_a_client_that_leaves_while_it_waits_has_nothing_done_for_it() -> None:
    desk = Desk()

    async def scene(world: World) -> None:
        client = Client(world)
        async with client.open("tools/call", QUIET) as (_, stream):
            await stream.next()
        await asyncio.sleep(0.1)
        desk.decide(ApprovalState.APPROVED)
        await asyncio.sleep(0.2)
        assert world.journal.calls == []

    play(scene, approvals=desk, tiers=TIERS)


async def waiting(place: ApprovalDesk, count: int = 1) -> list[Approval]:
    """The calls that wait, once there are so many."""
    async with asyncio.timeout(60):
        while len(place._open) < count:  # noqa: ASYNC110, SLF001 (a desk tells nobody)
            await asyncio.sleep(0.005)
    return list(place._open.values())  # noqa: SLF001 (the same)


async def approve(place: ApprovalDesk, found: Approval) -> None:
    ballot = Vote(user="user:ann", approves=True, at_us=SystemClock().now_us())
    await place.decide(found.binding.organisation, found.id, ballot)


def real() -> ApprovalDesk:
    return desk_of(SystemClock(), SequentialIds())


@pytest.mark.parametrize("action", ["accept", "decline", "cancel", "an error"])
def test_a_legacy_client_is_pointed_to_the_approval_and_no_answer_of_it_is_a_vote(
    action: str,
) -> None:
    place = real()

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin(elicitation={})
        async with client.open("tools/call", CALL) as (_, stream):
            asked = await stream.next()
            assert asked is not None
            assert asked["method"] == "elicitation/create"
            [found] = await waiting(place)
            assert found.id in asked["params"]["message"]
            assert asked["params"]["requestedSchema"]["properties"] == {}
            answer: dict[str, Any] = {"result": {"action": action, "content": {"approve": True}}}
            if action == "an error":
                answer = {"error": {"code": -32601, "message": "no"}}
            assert await client.say({"id": asked["id"], **answer}) == 202
            await asyncio.sleep(0.05)
            assert (await waiting(place))[0].state is ApprovalState.PENDING
            assert world.journal.calls == []
            await approve(place, found)
            *_, said = await stream.rest()
        assert text_of(said) == "delete_all"

    play(scene, approvals=place, tiers=TIERS)


def test_a_pointer_that_nobody_has_answered_is_taken_back_when_it_is_of_no_use() -> None:
    place = real()

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin(elicitation={"form": {}})
        async with client.open("tools/call", CALL) as (_, stream):
            asked = await stream.next()
            assert asked is not None
            [found] = await waiting(place)
            await approve(place, found)
            rest = await stream.rest()
        [taken_back] = [each for each in rest if each.get("method") == "notifications/cancelled"]
        assert taken_back["params"]["requestId"] == asked["id"]
        assert text_of(rest[-1]) == "delete_all"

    play(scene, approvals=place, tiers=TIERS)


def test_a_modern_client_is_pointed_once_and_its_second_asking_waits_for_the_same_call() -> None:
    place = real()

    async def scene(world: World) -> None:
        client = Client(world)
        [pointed] = await client.ask("tools/call", CALL)
        assert pointed["result"]["resultType"] == "input_required"
        [question] = pointed["result"]["inputRequests"].values()
        [found] = await waiting(place)
        assert found.id in question["params"]["message"]
        again = {
            **CALL,
            "requestState": pointed["result"]["requestState"],
            "inputResponses": {"approval": {"action": "decline"}},
        }
        async with client.open("tools/call", again) as (_, stream):
            assert await stream.next()
            assert [each.id for each in await waiting(place)] == [found.id]
            await approve(place, found)
            *_, said = await stream.rest()
        assert text_of(said) == "delete_all"
        assert [each.arguments for each in world.journal.calls] == [{}]

    play(scene, approvals=place, tiers=TIERS)


@pytest.mark.parametrize("change", [{"name": "echo"}, {"arguments": {"text": "x"}}])
def test_the_state_of_a_pointer_is_good_for_that_call_alone(change: dict[str, Any]) -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        [pointed] = await client.ask("tools/call", CALL)
        state = {"requestState": pointed["result"]["requestState"]}
        [refused] = await client.ask("tools/call", {**CALL, **change, **state})
        assert refused["error"]["code"] == -32602
        assert world.journal.calls == []

    play(scene, approvals=real(), tiers=TIERS)


def test_a_client_that_opens_pages_is_sent_to_the_one_that_is_configured() -> None:
    place = real()

    async def scene(world: World) -> None:
        rules = ApprovalRules(page="https://plane.example/held/{id}")
        world.config = replace(world.config, approvals=rules)
        await world.redefine("crm")
        client = Client(world)
        asked = {**CALL, "_meta": PAGES}
        [pointed] = await client.ask("tools/call", asked)
        [question] = pointed["result"]["inputRequests"].values()
        [found] = await waiting(place)
        assert question["params"]["mode"] == "url"
        assert question["params"]["url"] == f"https://plane.example/held/{found.id}"

    play(scene, approvals=place, tiers=TIERS)


def test_who_gives_up_waiting_makes_room_at_once_for_the_same_call_again() -> None:
    place = real()

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        for leave in ("cancelled", "left"):
            async with client.open("tools/call", CALL) as (_, stream):
                assert await stream.next()
                assert len(await waiting(place)) == 1
                if leave == "cancelled":
                    told = {"method": "notifications/cancelled", "params": {"requestId": 5}}
                    assert await client.say(told) == 202
                    assert await stream.rest() == []
            await asyncio.sleep(0.1)
        async with client.open("tools/call", CALL) as (_, stream):
            assert await stream.next()
            [found] = await waiting(place)
            await approve(place, found)
            *_, said = await stream.rest()
        assert text_of(said) == "delete_all"
        assert len(world.journal.calls) == 1

    play(scene, approvals=place, tiers=TIERS)


def test_an_approval_given_just_as_its_client_leaves_is_kept_for_the_next_asking() -> None:
    place = real()

    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        async with client.open("tools/call", CALL) as (_, stream):
            assert await stream.next()
            [found] = await waiting(place)
        await approve(place, found)
        await asyncio.sleep(0.1)
        assert [each.state for each in await waiting(place)] == [ApprovalState.APPROVED]
        *_, said = await client.ask("tools/call", CALL)
        assert text_of(said) == "delete_all"

    play(scene, approvals=place, tiers=TIERS)
