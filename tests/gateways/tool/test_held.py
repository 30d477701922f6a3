import asyncio
from dataclasses import replace

import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import World, play, text_of

from ringfence.decisions import approval as rule
from ringfence.domain.approval import Approval, ApprovalState, Binding
from ringfence.domain.tool import PermissionTier
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.approval import Asking, Held
from ringfence.gateways.tool import held

TIERS = (("delete_*", PermissionTier.IRREVERSIBLE), ("*", PermissionTier.READ))
CALL = {"name": "delete_all", "arguments": {}, "_meta": {"progressToken": "p"}}


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
        async with client.open("tools/call", CALL) as (_, stream):
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
        async with client.open("tools/call", CALL) as (_, stream):
            await stream.next()
        await asyncio.sleep(0.1)
        desk.decide(ApprovalState.APPROVED)
        await asyncio.sleep(0.2)
        assert world.journal.calls == []

    play(scene, approvals=desk, tiers=TIERS)
