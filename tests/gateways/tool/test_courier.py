import pytest
from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import Json, World, play

from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.tool import PermissionTier
from ringfence.domain.tool_rule import (
    FailureRule,
    FollowUp,
    Postcondition,
    Remedy,
    ToolFailure,
    ToolRules,
)
from ringfence.gateways.tool.channel import Failure
from ringfence.gateways.tool.courier import failed
from ringfence.testing.tools.plan import Plan


@pytest.mark.parametrize(
    ("failure", "found", "retry_after_s"),
    [
        (Failure(error=PeerError("x", "y"), status=429, retry_after="3"), "429", 3.0),
        (Failure(error=PeerError("x", "y"), status=401), "401", None),
        (Failure(error=PeerError("x", "y"), status=503, retry_after="soon"), "5xx", None),
        (Failure(error=UnavailableError("provider_timeout", "late")), "timeout", None),
        (Failure(error=PeerError("provider_malformed", "odd"), status=200), "malformed", None),
        (
            Failure(error=UnavailableError("provider_unavailable", "no"), was_sent=False),
            "away",
            None,
        ),
    ],
)
def test_a_failure_of_the_wire_is_one_of_the_rules(
    failure: Failure, found: str, retry_after_s: float | None
) -> None:
    said = failed(failure)
    assert (said.failure.value, said.retry_after_s) == (found, retry_after_s)
    assert (said.http_status, said.was_sent) == (failure.status, failure.was_sent)


def rules(**more: object) -> ToolRules:
    return ToolRules(**more)  # type: ignore[arg-type] # fields of it


async def ask(world: World, name: str, arguments: Json) -> str:
    """Everything that the result of a call says."""
    client = Client(world)
    await client.begin()
    [answer] = await client.ask("tools/call", {"name": name, "arguments": arguments})
    return " ".join(item["text"] for item in answer["result"]["content"])


def test_a_call_that_may_be_repeated_is_so_under_one_key() -> None:
    async def scene(world: World) -> None:
        assert "It was tried 3 times" in await ask(world, "fail", {"how": "429"})
        keys = [call.meta.get("ringfence/idempotencyKey") for call in world.journal.calls]
        assert len(keys) == 3
        assert len(set(keys)) == 1
        assert keys[0] == world.ledger.intents[0].action
        [outcome] = world.ledger.outcomes
        assert [each.status for each in outcome.attempts] == [429, 429, 429]

    tiers = (("*", PermissionTier.WRITE),)
    play(scene, tiers=tiers, rules=rules(idempotent=("fail",)))


def test_what_changes_something_is_sent_once_and_without_a_key() -> None:
    async def scene(world: World) -> None:
        await ask(world, "fail", {"how": "503"})
        [call] = world.journal.calls
        assert "ringfence/idempotencyKey" not in call.meta

    play(scene, tiers=(("*", PermissionTier.WRITE),))


@pytest.mark.parametrize(("total", "is_right"), [(3, True), (4, False)])
def test_the_state_after_a_call_is_checked_with_another(
    total: int,
    is_right: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    check = FollowUp(call="add", arguments=(("a", b"1"), ("b", b"2")))
    expect = (("sum", b"%d" % total),)
    after = Postcondition(pattern="echo", check=check, expect=expect)

    async def scene(world: World) -> None:
        said = await ask(world, "echo", {"text": "hello"})
        assert said.startswith("hello")
        assert ("a check of the state after it failed" in said) is not is_right
        assert [call.tool for call in world.journal.calls] == ["echo", "add"]
        first, second = world.ledger.intents
        assert second.about == first.action

    play(scene, rules=rules(postconditions=(after,)))


def test_another_server_answers_for_one_that_fails() -> None:
    step = ((ToolFailure.SERVER_ERROR, (Remedy.ALTERNATIVE,)),)
    other = FailureRule(pattern="fail", remedies=step, alternative="spare__echo_b")

    async def scene(world: World) -> None:
        spare = Client(world, "/mcp/spare")
        await spare.begin()
        await spare.ask("tools/list", {})
        assert "spare__echo_b" in await ask(world, "fail", {"how": "503", "text": "x"})

    plans = (Plan(name="crm"), Plan(name="spare", suffix="_b"))
    play(scene, *plans, rules=rules(failures=(other,)))
