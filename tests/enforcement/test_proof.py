"""An agent acts for a user only with a proof, and then with the rights of both."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.gateways.world import (
    NANO,
    OWNER,
    SECOND_US,
    TOKEN,
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    code_of,
    error_of,
    organisation,
    respond,
    response_answer,
    turns,
    usd,
    whole,
)
from tests.gateways.world import Upstream as Up
from tests.signing import AUDIENCE, ISSUER, claims, key, key_set, token

from ringfence.domain.agent import AgentState, Limits
from ringfence.domain.budget import Per
from ringfence.domain.credential import AgentCredential
from ringfence.domain.event import Change
from ringfence.domain.invocation import Grouping, Invocation, InvocationState
from ringfence.domain.issuer import Issuer
from ringfence.domain.money import ZERO
from ringfence.domain.organisation import Organisation, User, UserDefaults
from ringfence.domain.verdict import Deny
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.issuer_keys import FRESH_US
from ringfence.enforcement.proof import Proofs
from ringfence.protocols import jwt
from ringfence.stores.ledger import InvocationRecord, Recovered
from ringfence.stores.ledger.invocation import read_opening
from ringfence.testing.http import MemoryResponse

PATH = "/ringfence/v1/invocations"
HEADER = "ringfence-on-behalf-of"
ANN = User(name="ann@acme.example", id="user_ann")
ANNS_TOKEN = "rf_usr_ann"
HERE = Issuer(name="acme", issuer=ISSUER, audience=AUDIENCE, keys=key_set(key()).decode())
DEEP = Limits(depth=2, sub_agents=3, default_output_tokens=100)

Story = Callable[[], Coroutine[Any, Any, None]]


def acme(ann: User | None = ANN, **changes: Any) -> Organisation:  # noqa: ANN401 (fields of it)
    plain = organisation(agents={"triage": agent(limits=DEEP), "spy": agent("spy")})
    users = {**plain.users} | ({} if ann is None else {ann.name: ann})
    return replace(plain, users=users, issuers={"acme": HERE}, **changes)


def user_token(
    secret: str = ANNS_TOKEN, user: str = ANN.id, org: str = "org_acme", ends_us: int = 2**62
) -> AgentCredential:
    return AgentCredential(
        id=f"crd_{len(secret)}_{user}_{org}",
        organisation=org,
        agent="",
        user=user,
        digest=hashlib.sha256(secret.encode()).digest(),
        created_us=0,
        revoked_us=ends_us,
    )


async def world(ann: User | None = ANN, /, **changes: Any) -> World:  # noqa: ANN401 (fields)
    made = World(acme(ann, **changes))
    await made.worker.credentials_changed([user_token()])
    return made


async def opened(world: World, proof: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (a request)
    response = await world.ask(PATH, {"on_behalf_of": proof}, **more)
    assert response.status == 201, response.body
    given: dict[str, Any] = msgspec.json.decode(response.body)
    return given


async def call(world: World, proof: str = ANNS_TOKEN, **more: Any) -> MemoryResponse:  # noqa: ANN401 (a request)
    return await world.ask(headers={HEADER: proof}, **more)


def signed(world: World, **changes: object) -> str:
    return token(claims(world.clock.now_us(), **changes)).decode()


def test_without_a_proof_the_chain_begins_at_the_agent() -> None:
    async def story() -> None:
        here = await world()
        assert (await here.ask()).status == 200
        assert here.ledger.intents[0].chain == ["agt_triage"]

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["token", "signed"])
def test_with_a_proof_every_event_names_user_agent_and_sub_agent(kind: str) -> None:
    async def story() -> None:
        here = await world()
        proof = ANNS_TOKEN if kind == "token" else signed(here)
        root = await opened(here, proof)
        child = msgspec.json.decode((await here.ask(PATH, {}, token=root["token"])).body)
        for given in (root["token"], child["token"]):
            assert (await here.ask(token=given)).status == 200
            assert (await here.ask(token=given, body=chat(model="other"))).status == 403
        assert (await call(here, proof)).status == 200
        chains = [["user_ann", "agt_triage"], ["user_ann", "agt_triage", "agt_triage"]]
        assert [each.chain for each in here.ledger.intents] == [*chains, chains[0]]
        assert [each.chain for each in here.ledger.outcomes] == [*chains, chains[0]]
        assert [each.chain for each in here.ledger.refusals] == chains
        assert proof not in repr(here.ledger.events)
        assert all(
            proof.encode() not in repr(each.headers).encode() for each in here.providers.sent
        )
        assert {each.tier for each in here.ledger.intents} == {"api", "subagent"}

    asyncio.run(story())


@pytest.mark.parametrize(
    "changes",
    [{"aud": "another"}, {"exp": 1}, {"iss": "https://evil.example"}, {"sub": None}],
)
def test_a_token_that_is_not_for_us_now_is_refused(changes: Mapping[str, object]) -> None:
    async def story() -> None:
        here = await world()
        for response in (
            await here.ask(PATH, {"on_behalf_of": signed(here, **changes)}),
            await call(here, signed(here, **changes)),
        ):
            assert (response.status, code_of(response)) == (401, "proof_refused")
        assert here.providers.sent == []
        assert {each.decision.code for each in here.ledger.refusals} == {"proof_refused"}

    asyncio.run(story())


@pytest.mark.parametrize("proof", ["ann@acme.example", "user_ann", "rf_usr_none", "a.b.c", "x"])
def test_a_bare_name_is_no_proof(proof: str) -> None:
    async def story() -> None:
        here = await world()
        response = await here.ask(PATH, {"on_behalf_of": proof})
        assert (response.status, code_of(response)) == (401, "proof_refused")
        assert proof.encode() not in response.body.replace(b"proof", b"") or proof == "x"

    asyncio.run(story())


def test_another_organisations_user_token_is_as_unknown_as_any() -> None:
    async def story() -> None:
        here = await world()
        await here.worker.credentials_changed([user_token("rf_usr_foreign", org="org_other")])
        foreign, unknown = await call(here, "rf_usr_foreign"), await call(here, "rf_usr_unknown")
        assert foreign.status == unknown.status == 401
        assert error_of(foreign)["message"] == error_of(unknown)["message"]

    asyncio.run(story())


def test_a_run_has_one_user_who_is_decided_when_it_is_opened() -> None:
    async def story() -> None:
        here = await world()
        root = await opened(here, ANNS_TOKEN)
        more = await here.ask(headers={HEADER: ANNS_TOKEN}, token=root["token"])
        assert (more.status, code_of(more)) == (401, "proof_refused")
        # Nor can the agent continue the run of a user as its own, or the other way round.
        bare = await here.ask(headers={"ringfence-invocation": root["id"]})
        assert (bare.status, code_of(bare)) == (403, "invocation_unknown")
        mine = await here.ask(headers={"ringfence-invocation": "run-1"})
        anns = await here.ask(headers={"ringfence-invocation": "run-1", HEADER: ANNS_TOKEN})
        name = b"ringfence-invocation"
        assert mine.headers[name] != anns.headers[name]

    asyncio.run(story())


def test_calls_without_ids_are_grouped_by_user_too() -> None:
    async def story() -> None:
        here = await world()
        said = chat("the same beginning")
        runs = {
            (await here.ask(body=said)).headers[b"ringfence-invocation"],
            (await call(here, body=said)).headers[b"ringfence-invocation"],
            (await call(here, signed(here, sub=OWNER), body=said)).headers[b"ringfence-invocation"],
        }
        assert len(runs) == 3
        again = await call(here, body=said)
        assert again.headers[b"ringfence-invocation"] in runs

    asyncio.run(story())


def test_rights_are_what_both_have() -> None:
    async def story() -> None:
        here = await world(replace(ANN, models=frozenset({"claude", "other"})))
        assert (await here.ask()).status == 200
        refused = await call(here)
        assert (refused.status, code_of(refused)) == (403, "out_of_scope")
        assert "claude" in error_of(refused)["message"]
        assert "other" not in error_of(refused)["message"]
        beyond = await call(here, body=chat(model="other"))
        assert (beyond.status, code_of(beyond)) == (403, "out_of_scope")
        wider = await here.ask(PATH, {"on_behalf_of": ANNS_TOKEN, "models": ["small"]})
        assert (wider.status, code_of(wider)) == (403, "out_of_scope")
        listed = await here.ask("/v1/models", method="GET", headers={HEADER: ANNS_TOKEN})
        assert b"small" not in listed.body

    asyncio.run(story())


def test_a_right_that_a_reload_takes_away_is_gone_at_once_in_streams_too() -> None:
    async def story() -> None:
        here = await world()
        root = await opened(here, ANNS_TOKEN)
        upstream = Up(200, chat_stream(3)[:2], ending="hang")
        here.providers.answering = always(lambda: upstream)
        response = MemoryResponse()
        asking = asyncio.create_task(
            here.handle("/v1/chat/completions", chat(stream=True), response, token=root["token"])
        )
        await turns()
        await here.reload(acme(replace(ANN, models=frozenset({"claude"}))))
        await asking
        assert upstream.is_closed
        assert b"out_of_scope" in response.body
        here.providers.answering = always(lambda: whole(chat_answer()))
        refused = await here.ask(token=root["token"])
        assert (refused.status, code_of(refused)) == (403, "out_of_scope")
        assert (await here.ask()).status == 200
        await here.reload(acme())
        assert (await here.ask(token=root["token"])).status == 200

    asyncio.run(story())


def test_a_user_who_is_not_known_any_more_stops_whatever_runs_for_them() -> None:
    async def story() -> None:
        here = await world()
        root = await opened(here, ANNS_TOKEN)
        await here.reload(acme(None))
        for response in (await here.ask(token=root["token"]), await call(here)):
            assert (response.status, code_of(response)) == (403, "user_unknown")
        assert (await here.ask()).status == 200
        await here.suspend(state=AgentState.ACTIVE)
        assert (await here.ask(token=root["token"])).status == 403
        await here.reload(acme(None, default_user=UserDefaults()))
        assert (await here.ask(token=root["token"])).status == 200

    asyncio.run(story())


def test_a_suspended_agent_is_suspended_for_its_users_too() -> None:
    async def story() -> None:
        here = await world()
        root = await opened(here, ANNS_TOKEN)
        child = msgspec.json.decode((await here.ask(PATH, {}, token=root["token"])).body)
        await here.suspend()
        for given in (root["token"], child["token"]):
            refused = await here.ask(token=given)
            assert (refused.status, code_of(refused)) == (403, "agent_suspended")
        assert code_of(await call(here)) == "agent_suspended"
        await here.suspend(state=AgentState.ACTIVE)
        assert (await here.ask(token=child["token"])).status == 200

    asyncio.run(story())


def test_a_revoked_user_token_ends_what_lives_by_it() -> None:
    async def story() -> None:
        here = await world()
        root = await opened(here, ANNS_TOKEN)
        upstream = Up(200, chat_stream(3)[:2], ending="hang")
        here.providers.answering = always(lambda: upstream)
        response = MemoryResponse()
        asking = asyncio.create_task(
            here.handle("/v1/chat/completions", chat(stream=True), response, token=root["token"])
        )
        await turns()
        await here.worker.credentials_changed([user_token(ends_us=here.clock.now_us())])
        await asking
        assert upstream.is_closed
        assert b"proof_refused" in response.body
        here.providers.answering = always(lambda: whole(chat_answer()))
        for refused in (await here.ask(token=root["token"]), await call(here)):
            assert (refused.status, code_of(refused)) == (401, "proof_refused")

    asyncio.run(story())


def test_a_run_lasts_no_longer_than_its_proof() -> None:
    async def story() -> None:
        here = await world()
        proof = signed(here)
        root = await opened(here, proof)
        ends_us = here.clock.now_us() + 330 * SECOND_US
        assert root["expires_at_us"] == str(ends_us)
        assert (await call(here, proof)).status == 200
        here.clock.advance(330 * SECOND_US)
        over = await here.ask(token=root["token"])
        assert (over.status, code_of(over)) == (402, "limit_reached")
        late = await call(here, proof)
        assert (late.status, code_of(late)) == (401, "proof_refused")

    asyncio.run(story())


def test_an_issuer_that_is_taken_out_proves_nobody_any_more() -> None:
    async def story() -> None:
        here = await world()
        proof = signed(here)
        assert (await call(here, proof)).status == 200
        await here.reload(replace(acme(), issuers={}))
        assert (await call(here, proof)).status == 401

    asyncio.run(story())


class Withdrawing:
    """An issuer's keys, until they are withdrawn."""

    def __init__(self) -> None:
        self.kept = jwt.read_keys(key_set(key()))

    async def of(self, organisation: str, issuer: Issuer, kid: str) -> jwt.Keys:
        del organisation, issuer, kid
        return self.kept


def test_a_proof_that_is_remembered_outlives_a_withdrawn_key_by_minutes_only() -> None:
    async def story() -> None:
        here = await world()
        keys = Withdrawing()
        proofs = Proofs(
            directory=here.worker.directory, keys=keys, users=here.users, clock=here.clock
        )
        digest = hashlib.sha256(TOKEN.encode()).digest()
        caller = here.worker.directory.identify(digest, here.clock.now_us())
        assert isinstance(caller, Caller)
        proof = signed(here, exp=here.clock.now_us() // SECOND_US + 86_400).encode()
        proven = await proofs.prove(caller, proof)
        assert isinstance(proven, Caller)
        keys.kept = jwt.read_keys(key_set(key("EC", "two")))
        here.clock.advance(FRESH_US - 1)
        assert await proofs.prove(caller, proof) is proven
        here.clock.advance(1)
        assert isinstance(await proofs.prove(caller, proof), Deny)

    asyncio.run(story())


def test_a_user_has_a_budget_over_all_agents() -> None:
    async def story() -> None:
        ann = replace(ANN, budgets=(usd(0.002, Per.DAY),))
        here = await world(ann)
        here.providers.answering = always(lambda: whole(chat_answer(5, 50)))
        statuses = set()
        for given in ("rf_agt_triage", "rf_agt_spy") * 5:
            statuses.add((await call(here, token=given)).status)
        assert statuses == {200, 402}
        refused = await call(here)
        assert error_of(refused)["ringfence"]["budget"] == "user per day"
        assert "ann@acme.example" in error_of(refused)["message"]
        spent = sum(int(each.cost_nano) for each in here.ledger.outcomes)
        assert 0 < spent <= NANO // 500
        assert (await here.ask()).status == 200

    asyncio.run(story())


def test_first_parallel_calls_of_an_unknown_user_meet_the_default_budget() -> None:
    async def story() -> None:
        defaults = UserDefaults(budgets=(usd(0.004, Per.DAY),))
        here = await world(None, default_user=defaults)
        here.providers.answering = always(lambda: whole(chat_answer(5, 50)))
        proof = signed(here, sub="never@seen.example")
        calls = [
            call(here, proof, token=f"rf_agt_{'triage' if n % 2 else 'spy'}") for n in range(40)
        ]
        statuses = [each.status for each in await asyncio.gather(*calls)]
        assert set(statuses) == {200, 402}
        assert len(here.users.ids) == 1
        spent = sum(int(each.cost_nano) for each in here.ledger.outcomes)
        assert 0 < spent <= NANO // 250
        [line] = [
            each
            for each in here.worker.book.standing("org_acme", here.clock.now_us())
            if each.key.scope == "user"
        ]
        assert (line.key.holder, line.spent, line.reserved) == ("user_0", spent, 0)
        here.check_books()

    asyncio.run(story())


def test_a_user_has_a_rate_over_all_agents() -> None:
    async def story() -> None:
        here = await world(replace(ANN, calls_per_minute=3))
        for given in ("rf_agt_triage", "rf_agt_spy", "rf_agt_triage"):
            assert (await call(here, token=given)).status == 200
        fast = await call(here, token="rf_agt_spy")
        assert (fast.status, code_of(fast)) == (429, "rate_exceeded")
        assert int(fast.headers[b"retry-after"]) == 60
        assert (await here.ask()).status == 200
        here.clock.advance(60 * SECOND_US)
        assert (await call(here)).status == 200
        here.check_books()
        here.clock.advance(120 * SECOND_US)
        here.worker.tidy()

    asyncio.run(story())


def test_a_stranger_without_defaults_leaves_no_trace() -> None:
    async def story() -> None:
        here = await world(None)
        refused = await call(here, signed(here, sub="stranger"))
        assert (refused.status, code_of(refused)) == (403, "user_unknown")
        assert here.users.ids == {}

    asyncio.run(story())


def test_a_registry_that_does_not_answer_denies() -> None:
    async def story() -> None:
        here = await world(None, default_user=UserDefaults())
        here.users.is_failing = True
        refused = await call(here, signed(here, sub="new"))
        assert (refused.status, code_of(refused)) == (503, "store_unavailable")
        here.users.is_failing = False
        assert (await call(here, signed(here, sub="new"))).status == 200

    asyncio.run(story())


def test_what_is_kept_at_a_provider_for_one_user_is_not_there_for_another() -> None:
    async def story() -> None:
        here = await world()
        here.providers.answering = always(lambda: whole(response_answer("resp_anns")))
        target = "/v1/responses"
        assert (await call(here, target=target, body=respond())).status == 200
        more = respond("go on", previous_response_id="resp_anns")
        assert (await call(here, target=target, body=more)).status == 200
        for refused in (
            await here.ask(target, more),
            await call(here, signed(here, sub=OWNER), target=target, body=more),
        ):
            assert (refused.status, code_of(refused)) == (403, "provider_object")

    asyncio.run(story())


def test_a_proof_is_remembered_and_forgotten_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.enforcement.proof.KEPT", 2)

    async def story() -> None:
        here = await world(None, default_user=UserDefaults())
        for name in ("a", "b", "c", "a"):
            assert (await call(here, signed(here, sub=name))).status == 200
        assert len(here.users.ids) == 3

    asyncio.run(story())


def restored(before: World) -> list[InvocationRecord]:
    """The open runs of a world as a restart finds them."""
    records = []
    for event in before.ledger.events:
        if isinstance(event, Change) and event.what == "invocation.opened":
            known = read_opening(event)
            identity = Invocation(
                id=event.subject,
                organisation=event.organisation,
                agent=known.agent,
                root=event.root,
                parent=known.parent,
                depth=known.depth,
                credential=known.credential,
                opened_us=int(event.time_us),
                grouping=Grouping(known.grouping),
                external_id=known.external_id,
                deadline_us=known.deadline_us,
            )
            records.append(
                InvocationRecord(
                    invocation=identity,
                    is_identified=True,
                    state=InvocationState.OPEN,
                    last_us=int(event.time_us),
                    steps=0,
                    cost=ZERO,
                    refusals=0,
                    token_digest=known.token_digest,
                    narrowing=known.narrowing,
                )
            )
    return records


def test_a_restart_knows_for_whom_each_run_is_and_what_it_lives_by() -> None:
    async def story() -> None:
        before = await world()
        root = await opened(before, ANNS_TOKEN)
        child = msgspec.json.decode((await before.ask(PATH, {}, token=root["token"])).body)
        named = {HEADER: ANNS_TOKEN, "ringfence-invocation": "run-1"}
        run = (await before.ask(headers=named)).headers[b"ringfence-invocation"]
        narrow = acme(replace(ANN, models=frozenset({"small"})))
        here = World(narrow, Recovered(invocations=restored(before)))
        await here.worker.credentials_changed([user_token()])
        for given in (root["token"], child["token"]):
            assert (await here.ask(token=given)).status == 200
            beyond = await here.ask("/v1/embeddings", {"model": "embed", "input": "x"}, token=given)
            assert (beyond.status, code_of(beyond)) == (403, "out_of_scope")
        assert (await here.ask(headers=named)).headers[b"ringfence-invocation"] == run
        bare = await here.ask(headers={"ringfence-invocation": "run-1"})
        assert bare.headers[b"ringfence-invocation"] != run
        chains = {tuple(each.chain) for each in here.ledger.intents[:3]}
        assert chains == {
            ("user_ann", "agt_triage"),
            ("user_ann", "agt_triage", "agt_triage"),
        }
        await here.worker.credentials_changed([user_token(ends_us=here.clock.now_us())])
        for given in (root["token"], child["token"]):
            assert code_of(await here.ask(token=given)) == "proof_refused"

    asyncio.run(story())


def test_two_proofs_in_one_request_are_refused() -> None:
    async def story() -> None:
        here = await world()
        twice = [(HEADER.encode(), ANNS_TOKEN.encode()), (HEADER.encode(), b"rf_usr_bob")]
        response = await here.ask(headers=twice)
        assert (response.status, code_of(response)) == (400, "request_malformed")

    asyncio.run(story())
