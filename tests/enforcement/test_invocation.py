import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.world import (
    SECOND_US,
    World,
    agent,
    always,
    chat,
    chat_answer,
    code_of,
    message,
    message_answer,
    organisation,
    respond,
    response_answer,
    whole,
)

from ringfence.domain.agent import Limits
from ringfence.domain.event import Change
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.money import ZERO
from ringfence.stores.ledger import InvocationRecord, Recovered
from ringfence.stores.ledger.invocation import OPENED, read_opening

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAME = b"ringfence-invocation"


async def joined(world: World, **more: object) -> str:
    """The invocation that a call is put into."""
    response = await world.ask(**more)  # type: ignore[arg-type] # a request's parts
    assert response.status == 200, response.body
    return response.headers[NAME].decode()


@pytest.mark.parametrize(
    ("headers", "grouping"),
    [
        ({"ringfence-invocation": "run-1"}, Grouping.HEADER),
        ({"traceparent": TRACE}, Grouping.TRACEPARENT),
        ({"x-claude-code-prompt-id": "p-1", "x-claude-code-session-id": "s-1"}, Grouping.CLIENT),
        ({"x-claude-code-session-id": "s-1"}, Grouping.CLIENT),
        ({"x-codex-turn-metadata": '{"turn_id":"t-1","root_turn_id":"r-1"}'}, Grouping.CLIENT),
        ({"session-id": "s-1"}, Grouping.CLIENT),
    ],
)
def test_an_id_that_a_client_sends_groups_its_calls(
    headers: Mapping[str, str], grouping: Grouping
) -> None:
    async def story() -> None:
        world = World()
        first = await joined(world, headers=headers)
        world.clock.advance(600 * SECOND_US)
        second = await joined(world, headers=headers, body=chat("something else"))
        other = {name: value.replace("1", "2") for name, value in headers.items()}
        assert first == second
        assert await joined(world, headers=other, body=chat("yet another")) != first
        assert [each.grouping for each in world.ledger.intents] == [grouping.value] * 3
        assert [each.opens for each in world.ledger.intents] == [True, False, True]
        assert [each.step for each in world.ledger.intents] == [1, 2, 1]

    asyncio.run(story())


@pytest.mark.parametrize(
    "headers",
    [
        {"ringfence-invocation": "run-1"},
        {"traceparent": TRACE},
        {"x-claude-code-session-id": "s-1"},
    ],
)
def test_two_agents_that_send_one_id_never_share_a_run(headers: Mapping[str, str]) -> None:
    async def story() -> None:
        world = World(organisation(agents={"triage": agent(), "other": agent("other")}))
        mine = await joined(world, headers=headers)
        theirs = await joined(world, headers=headers, token="rf_agt_other")
        assert mine != theirs
        # Nor by an id of ours.
        stolen = await world.ask(headers={"ringfence-invocation": mine}, token="rf_agt_other")
        unknown = await world.ask(
            headers={"ringfence-invocation": mine[:-4] + "ffff"}, token="rf_agt_other"
        )
        assert (stolen.status, code_of(stolen)) == (403, "invocation_unknown")
        assert stolen.body.replace(mine.encode(), b"") == unknown.body.replace(
            mine[:-4].encode() + b"ffff", b""
        )
        assert "invocation_unknown" in {each.decision.code for each in world.ledger.refusals}

    asyncio.run(story())


def test_a_conversation_that_grows_is_one_run() -> None:
    async def story() -> None:
        world = World()
        messages: list[dict[str, str]] = [{"role": "user", "content": "sort"}]
        found = set()
        for number in range(6):
            found.add(await joined(world, body=chat(messages=messages)))
            messages = [
                *messages,
                {"role": "assistant", "content": f"step {number}"},
                {"role": "user", "content": "go on"},
            ]
            world.clock.advance(1000 * SECOND_US)
        assert len(found) == 1
        assert await joined(world, body=chat("a new task")) not in found
        assert {each.grouping for each in world.ledger.intents} == {"conversation"}

    asyncio.run(story())


def test_a_conversation_in_another_dialect_grows_too() -> None:
    async def story() -> None:
        world = World()
        said = {"role": "user", "content": "sort"}
        world.providers.answering = always(partial(whole, message_answer()))
        first = await joined(world, target="/v1/messages", body=message(messages=[said]))
        longer = [said, {"role": "assistant", "content": "hm"}, said]
        assert first == await joined(world, target="/v1/messages", body=message(messages=longer))
        world.providers.answering = always(partial(whole, response_answer()))
        first = await joined(world, target="/v1/responses", body=respond(input=[said]))
        assert first == await joined(world, target="/v1/responses", body=respond(input=longer))

    asyncio.run(story())


def test_calls_are_counted_over_the_whole_tree() -> None:
    async def story() -> None:
        limits = Limits(model_calls=3, depth=1, sub_agents=1)
        world = World(organisation(agents={"triage": agent(limits=limits)}))
        path = "/ringfence/v1/invocations"
        root = msgspec.json.decode((await world.ask(path, {})).body)
        child = msgspec.json.decode((await world.ask(path, {}, token=root["token"])).body)
        for token in (root["token"], child["token"], root["token"]):
            assert (await world.ask(token=token)).status == 200
        for token in (root["token"], child["token"]):
            over = await world.ask(token=token)
            assert (over.status, code_of(over)) == (402, "limit_reached")
        assert len(world.providers.sent) == 3
        world.check_books()

    asyncio.run(story())


def test_a_run_that_is_left_alone_expires() -> None:
    async def story() -> None:
        world = World()
        first = await joined(world, headers={"ringfence-invocation": "run-1"})
        world.clock.advance(24 * 3600 * SECOND_US)
        world.worker.tidy()
        assert len(world.worker.invocations) == 0
        assert "invocation.expired" in world.ledger.changes
        assert await joined(world, headers={"ringfence-invocation": "run-1"}) != first

    asyncio.run(story())


def test_a_refused_call_opens_its_run_in_the_ledger_first() -> None:
    async def story() -> None:
        world = World()
        await world.ask(body=chat(model="other"), headers={"ringfence-invocation": "run-1"})
        [opening, refusal] = world.ledger.events
        assert isinstance(opening, Change)
        assert opening.what == OPENED
        known = read_opening(opening)
        assert (known.external_id, known.agent) == ("run-1", "agt_triage")
        assert world.ledger.refusals == [refusal]
        assert world.ledger.refusals[0].invocation == opening.subject

    asyncio.run(story())


def record(name: str, **more: object) -> InvocationRecord:
    """An open run as a restart finds it."""
    root = str(more.pop("root", name))
    parent = more.pop("parent", None)
    identity = Invocation(
        id=name,
        organisation="org_acme",
        agent="agt_triage",
        root=root,
        parent=str(parent) if parent else None,
        depth=1 if parent else 0,
        credential="crd_triage",
        opened_us=1_767_225_500_000_000,
        grouping=Grouping.HEADER,
        external_id=f"ext-{name}",
    )
    plain = InvocationRecord(
        invocation=identity,
        is_identified=True,
        state=InvocationState.OPEN,
        last_us=1_767_225_550_000_000,
        steps=2,
        cost=ZERO,
        refusals=0,
        token_digest=None,
        narrowing="",
    )
    return replace(plain, **more)  # type: ignore[arg-type] # fields of it


def test_a_restart_finds_open_runs_again() -> None:
    async def story() -> None:
        world = World(recovered=Recovered(invocations=[record("inv_1"), record("inv_2")]))
        assert await joined(world, headers={"ringfence-invocation": "ext-inv_2"}) == "inv_2"
        assert await joined(world, headers={"ringfence-invocation": "inv_1"}) == "inv_1"
        assert [each.step for each in world.ledger.intents] == [3, 3]
        assert [each.opens for each in world.ledger.intents] == [False, False]

    asyncio.run(story())


def test_a_restart_keeps_tokens_trees_and_what_they_are_narrowed_to() -> None:
    async def story() -> None:
        limits = Limits(depth=1, sub_agents=1, model_calls=6)
        config = organisation(agents={"triage": agent(limits=limits)})
        before = World(config)
        path = "/ringfence/v1/invocations"
        root = msgspec.json.decode((await before.ask(path, {"models": ["small"]})).body)
        child = msgspec.json.decode((await before.ask(path, {}, token=root["token"])).body)
        records = []
        for event in before.ledger.events:
            assert isinstance(event, Change)
            known = read_opening(event)
            made = record(event.subject, parent=known.parent, root=event.root)
            grouped = replace(made.invocation, grouping=Grouping.TOKEN, external_id=None)
            records.append(
                replace(
                    made,
                    invocation=grouped,
                    token_digest=known.token_digest,
                    narrowing=known.narrowing,
                )
            )
        world = World(config, Recovered(invocations=records[::-1]))
        called = await world.ask(token=child["token"])
        assert called.headers[NAME].decode() == child["id"]
        refused = await world.ask(token=child["token"], body=chat(model="embed"))
        assert code_of(refused) == "out_of_scope"
        # The tree remembers its sub-agent and its four calls of before.
        assert (await world.ask(path, {}, token=root["token"])).status == 402
        assert (await world.ask(token=root["token"])).status == 200
        assert (await world.ask(token=root["token"])).status == 402

    asyncio.run(story())


def test_a_child_without_its_parent_stays_closed() -> None:
    async def story() -> None:
        orphan = record("inv_2", parent="inv_1", root="inv_1")
        world = World(recovered=Recovered(invocations=[orphan]))
        assert len(world.worker.invocations) == 0

    asyncio.run(story())


def test_a_conversation_goes_on_after_a_restart() -> None:
    async def story() -> None:
        talked = record("inv_1")
        known = replace(talked.invocation, grouping=Grouping.CONVERSATION, external_id=None)
        now_us = World().clock.now_us()
        world = World(
            recovered=Recovered(invocations=[replace(talked, invocation=known, last_us=now_us)])
        )
        assert await joined(world) == "inv_1"

    asyncio.run(story())


@given(st.permutations(range(6)))
def test_runs_that_a_restart_found_expire_in_the_order_of_their_last_call(
    order: list[int],
) -> None:
    async def story() -> None:
        now_us = World().clock.now_us()
        found = [
            record(f"inv_{number}", last_us=now_us - number * 250 * SECOND_US) for number in order
        ]
        world = World(recovered=Recovered(invocations=found))
        for _ in range(12):
            world.worker.tidy()
            idle_us = world.clock.now_us() - Limits().idle_seconds * 1_000_000
            assert len(world.worker.invocations) == sum(x.last_us > idle_us for x in found)
            world.clock.advance(250 * SECOND_US)

    asyncio.run(story())


def test_memory_of_closed_runs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.enforcement.invocation._CLOSED_KEPT", 3)
    monkeypatch.setattr("ringfence.enforcement.directory.DROPPED_KEPT", 2)

    async def story() -> None:
        world = World()
        path = "/ringfence/v1/invocations"
        tokens = []
        for _ in range(8):
            given = msgspec.json.decode((await world.ask(path, {})).body)
            await world.ask(f"{path}/{given['id']}/finish", {})
            tokens.append(given["token"])
        codes = [code_of(await world.ask(token=token)) for token in tokens]
        assert codes == [
            *["credential_unknown"] * 3,
            *["credential_revoked"] * 2,
            *["invocation_closed"] * 3,
        ]

    asyncio.run(story())


def test_an_answer_after_the_end_changes_nothing() -> None:
    async def story() -> None:
        world = World()
        world.providers.answering = always(partial(whole, chat_answer()))
        name = await joined(world)
        live = world.worker.invocations.find(name)
        assert live is not None
        now_us = world.clock.now_us()
        world.worker.invocations.finish(live, now_us)
        world.worker.invocations.finish(live, now_us)
        assert world.ledger.changes == ["invocation.finished"]

    asyncio.run(story())


def test_the_name_of_a_finished_run_stays_closed_over_a_restart() -> None:
    async def story() -> None:
        before = record("inv_1")
        named = replace(before.invocation, grouping=Grouping.HEADER, external_id="job")
        ended = replace(before, invocation=named, state=InvocationState.FINISHED)
        world = World(recovered=Recovered(closed=[ended]))
        for name in ("job", "inv_1"):
            again = await world.ask(headers={"ringfence-invocation": name})
            assert (again.status, code_of(again)) == (402, "invocation_closed")
        assert (await world.ask(headers={"ringfence-invocation": "another"})).status == 200

    asyncio.run(story())


def test_what_has_ended_is_remembered_without_what_calls_need() -> None:
    async def story() -> None:
        world = World()
        run = await joined(world, headers={"ringfence-invocation": "r"})
        live = world.worker.invocations.find(run)
        assert live is not None
        assert live.forms is not None
        assert live.demands
        world.worker.invocations.finish(live, world.clock.now_us())
        kept = [live.forms, *live.demands, *live.children]
        assert kept == [None]
        refused = await world.ask(headers={"ringfence-invocation": "r"})
        assert refused.status == 402

    asyncio.run(story())


def test_what_a_tree_had_read_is_known_after_a_restart() -> None:
    async def story() -> None:
        runs = [
            record("inv_1", seen=("untrusted",), doubts=(("act_1", "not paid"),)),
            record("inv_2", parent="inv_1", root="inv_1"),
        ]
        world = World(recovered=Recovered(invocations=runs))
        for name in ("inv_1", "inv_2"):
            live = world.worker.invocations.find(name)
            assert live is not None
            assert live.tree.seen == {"untrusted"}
            assert live.tree.doubts == {"act_1": "not paid"}

    asyncio.run(story())
