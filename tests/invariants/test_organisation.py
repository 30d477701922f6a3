"""I7: two organisations of one installation, hostile to each other; nothing crosses."""

import asyncio
import hashlib
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.api.event import intent, outcome, refusal
from tests.api.plane import Answer, Plane
from tests.api.plane import organisation as configured
from tests.decisions.test_approval import BINDING, held
from tests.gateways.world import Upstream as Up
from tests.gateways.world import (
    World,
    agent,
    always,
    chat,
    chat_answer,
    chat_stream,
    model,
    organisation,
    respond,
    response_answer,
    whole,
)
from tests.invariants.test_authority import ROUTES as DATA_ROUTES
from tests.signing import AUDIENCE, ISSUER, claims, key, key_set, token

from ringfence.api.application import ROUTES
from ringfence.api.route import AnyRoute
from ringfence.domain.agent import Limits
from ringfence.domain.credential import AgentCredential
from ringfence.domain.issuer import Issuer
from ringfence.domain.organisation import Configuration, Organisation, Role, Team, User
from ringfence.domain.tool import ToolServer
from ringfence.testing.http import MemoryResponse

INVOCATIONS = "/ringfence/v1/invocations"
EVIL = "rf_agt_evil"


# The data plane


def evil() -> Organisation:
    """The same names as `acme` for everything, other ids."""
    plain = organisation(name="evil", id="org_evil")
    return replace(
        plain,
        agents={"triage": agent(id="agt_evil")},
        teams={"support": Team(name="support", id="team_evil")},
        users={each: User(name=each, id="user_evil") for each in plain.users},
    )


def acme() -> Organisation:
    plain = organisation()
    here = Issuer(name="a", issuer=ISSUER, audience=AUDIENCE, keys=key_set(key()).decode())
    secret = model("acme-secret-model")
    scope = replace(plain.agents["triage"].scope, models=frozenset({"small", "acme-secret-model"}))
    return replace(
        plain,
        issuers={"a": here},
        models={**plain.models, "acme-secret-model": secret},
        agents={"triage": agent(scope=scope)},
        users={**plain.users, "ann@acme.example": User(name="ann@acme.example", id="user_ann")},
    )


def credential(secret: str, **more: Any) -> AgentCredential:  # noqa: ANN401 (fields of it)
    digest = hashlib.sha256(secret.encode()).digest()
    return AgentCredential(id=f"crd_{len(secret)}", digest=digest, created_us=0, **more)


async def two() -> World:
    """Both organisations in one worker; `acme` has been used."""
    world = World(acme())
    both = {"acme": acme(), "evil": evil()}
    await world.worker.configuration_changed(
        Configuration(organisations=both, digest="sha256:both", epoch=2), {}
    )
    await world.worker.credentials_changed(
        [
            credential(EVIL, organisation="org_evil", agent="agt_evil"),
            credential(
                "rf_usr_acmes", organisation="org_acme", agent="", user="user_ann", revoked_us=2**62
            ),
        ]
    )
    return world


def neutral(response: MemoryResponse, *names: str) -> tuple[int, list[Any], bytes]:
    """An answer without what each request is given anew, and without the name it asked for."""
    body = response.body
    headers = sorted(response.headers.items())
    for name in names:
        body = body.replace(name.encode(), b"NAME")
        headers = [(k, v.replace(name.encode(), b"NAME")) for k, v in headers]
    fresh = re.compile(rb"rf_inv_[\w-]+|(act|inv)_[0-9a-f_]+|\d+")
    return (
        response.status,
        [(k, fresh.sub(b"ID", v)) for k, v in headers if k != b"content-length"],
        fresh.sub(b"ID", body),
    )


async def foreign_ids(world: World) -> dict[str, tuple[str, str]]:
    """Of each kind of id: one that is `acme`'s, and one of the same form that nobody has."""
    world.providers.answering = always(lambda: whole(response_answer("resp_acmes")))
    assert (await world.ask("/v1/responses", respond())).status == 200
    opened = msgspec.json.decode((await world.ask(INVOCATIONS, {})).body)
    closed = msgspec.json.decode((await world.ask(INVOCATIONS, {})).body)
    done = await world.ask(f"{INVOCATIONS}/{closed['id']}/finish", {}, token=closed["token"])
    assert done.status == 200
    proof = token(claims(world.clock.now_us(), sub="ann@acme.example")).decode()
    none = token(claims(world.clock.now_us(), iss="https://nobody.example")).decode()
    return {
        "open": (opened["id"], "inv_" + "0" * (len(opened["id"]) - 4)),
        "closed": (closed["id"], "inv_" + "f" * (len(closed["id"]) - 4)),
        "response": ("resp_acmes", "resp_nobody"),
        "user token": ("rf_usr_acmes", "rf_usr_nobody"),
        "signed": (proof, none),
        "model": ("acme-secret-model", "nobodys-one-model"),
    }


def test_every_foreign_id_is_answered_exactly_as_one_that_nobody_has() -> None:
    async def story() -> None:
        world = await two()
        ids = await foreign_ids(world)
        sent = len(world.providers.sent)
        asked: list[tuple[str, dict[str, Any]]] = []
        for kind in ("open", "closed"):
            for method, target, body in DATA_ROUTES:
                plain = {"method": method, "target": target, "body": body}
                asked += [
                    (kind, {**plain, "headers": {"ringfence-invocation": "{}"}}),
                    (kind, {**plain, "target": "/invocation/{}" + target}),
                ]
            asked.append((kind, {"target": INVOCATIONS + "/{}/finish", "body": {}}))
        for kind in ("user token", "signed"):
            asked += [
                (
                    kind,
                    {
                        "method": m,
                        "target": t,
                        "body": b,
                        "headers": {"ringfence-on-behalf-of": "{}"},
                    },
                )
                for m, t, b in DATA_ROUTES
            ]
            asked.append((kind, {"target": INVOCATIONS, "body": {"on_behalf_of": "{}"}}))
        more = respond("go on", previous_response_id="{}")
        asked += [
            ("response", {"target": "/v1/responses", "body": more}),
            ("model", {"target": "/v1/chat/completions", "body": chat(model="{}")}),
            ("model", {"target": INVOCATIONS, "body": {"models": ["{}"]}}),
            ("model", {"target": "/v1/models/{}", "method": "GET", "body": b""}),
        ]
        for kind, request in asked:
            answers = []
            for name in ids[kind]:
                # A minute apart: neither is a repeat of the other, neither meets a rate.
                world.clock.advance(61_000_000)
                answers.append(neutral(await world.ask(**filled(request, name), token=EVIL), name))
            assert answers[0] == answers[1], (kind, request)
        ours = [each for each in world.ledger.events if each.organisation == "org_evil"]
        text = msgspec.json.encode(ours).decode()
        for mark in ("org_acme", "agt_triage", "user_ann", "team_support", "crd_triage"):
            assert mark not in text
        assert all(b"acmes" not in each.body for each in world.providers.sent[sent:])

    asyncio.run(story())


def filled(request: dict[str, Any], name: str) -> dict[str, Any]:
    """A request with a name in the place of each `{}`."""

    def fill(value: Any) -> Any:  # noqa: ANN401 (any document)
        match value:
            case str():
                return value.replace("{}", name)
            case dict():
                return {each: fill(inner) for each, inner in value.items()}
            case list():
                return [fill(each) for each in value]
            case _:
                return value

    return {each: fill(value) for each, value in request.items()}


def test_the_same_names_are_other_things_in_each_organisation() -> None:
    async def story() -> None:
        world = await two()
        said = {"ringfence-invocation": "run-1", "x-claude-code-session-id": "s-1"}
        mine = await world.ask(headers=said)
        theirs = await world.ask(headers=said, token=EVIL)
        name = b"ringfence-invocation"
        assert mine.headers[name] != theirs.headers[name]
        listed = await world.ask("/v1/models", method="GET", body=b"", token=EVIL)
        assert b"acme" not in listed.body
        for line in await world.worker.budgets("org_evil"):
            assert line.key.organisation == "org_evil"
            assert line.key.holder in {"org_evil", "team_evil", "agt_evil"}

    asyncio.run(story())


def test_what_one_spends_or_does_too_often_is_not_missed_by_the_other() -> None:
    async def story() -> None:
        world = await two()
        world.providers.answering = always(lambda: whole(chat_answer(5, 50)))
        before = await world.worker.budgets("org_acme")
        for number in range(50):
            await world.ask(token=EVIL, headers={"ringfence-invocation": f"r{number}"})
        assert await world.worker.budgets("org_acme") == before
        assert (await world.ask()).status == 200
        assert {each.organisation for each in world.ledger.intents[:-1]} == {"org_evil"}

    asyncio.run(story())


def test_runs_of_one_take_no_place_of_the_other() -> None:
    async def story() -> None:
        world = await two()
        few = {"triage": agent(limits=Limits(open_invocations=3))}
        many = {"triage": agent(id="agt_evil", limits=Limits(open_invocations=3))}
        both = {"acme": replace(acme(), agents=few), "evil": replace(evil(), agents=many)}
        await world.worker.configuration_changed(
            Configuration(organisations=both, digest="sha256:3", epoch=3), {}
        )
        for given in (EVIL, "rf_agt_triage"):
            statuses = [(await world.ask(INVOCATIONS, {}, token=given)).status for _ in range(4)]
            assert statuses == [201, 201, 201, 429]

    asyncio.run(story())


def test_a_change_in_one_organisation_leaves_no_mark_in_the_others_events() -> None:
    async def story() -> None:
        world = await two()
        assert (await world.ask()).status == 200
        both = {"acme": acme(), "evil": replace(evil(), digest="sha256:new")}
        await world.worker.configuration_changed(
            Configuration(organisations=both, digest="sha256:other", epoch=3), {}
        )
        assert (await world.ask()).status == 200
        assert len({each.configuration for each in world.ledger.intents}) == 1

    asyncio.run(story())


def test_a_running_stream_of_one_is_not_touched_by_what_happens_to_the_other() -> None:
    async def story() -> None:
        world = await two()
        world.providers.answering = always(lambda: Up(200, chat_stream(3)))
        response = MemoryResponse()
        running = asyncio.create_task(
            world.handle("/v1/chat/completions", chat(stream=True), response)
        )
        await asyncio.sleep(0)
        only = Configuration(organisations={"acme": acme()}, digest="sha256:3", epoch=3)
        await world.worker.configuration_changed(only, {})
        await running
        assert response.body.endswith(b"data: [DONE]\n\n")
        assert (await world.ask(token=EVIL)).status == 403

    asyncio.run(story())


# The control plane


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Two organisations with the same names; `acme` has a record, tokens, keys and grants."""
    folder: Path = tmp_path_factory.mktemp("shared")
    made = Plane(folder / "data", configured(), configured("evil"))
    one, two_ = intent(made, "act_acme1"), intent(made, "act_acme2", invocation="inv_acme2")
    made.write((one, b"only acme knows"), outcome(made, one), two_, refusal(made, "act_acme3"))
    made.key(Role.ADMIN)
    made.token()
    for method, path, body in (
        ("POST", "agents/triage/tokens", {"label": "acme laptop"}),
        ("POST", "keys", {"user": "builder", "label": "acme dashboard"}),
        ("POST", "users/viewer/tokens", {"label": "acme phone"}),
    ):
        answer = made.ask(method, f"{path}?organisation=acme", body=body)
        assert answer.status == 200, answer.body
    binding = replace(BINDING, organisation=made.acme.id)
    made.state.approvals.add(replace(held(), id="apr_acme1", binding=binding, expires_us=2**60))
    yield made
    made.close()


def known(plane: Plane, what: str) -> str:
    """An id of `acme`'s."""
    listed = plane.ask("GET", f"{what}?organisation=acme").json()["items"]
    return str(listed[0]["id"])


def same(one: Answer, other: Answer, *names: str) -> None:
    bodies = []
    for answer in (one, other):
        body = answer.body
        for name in names:
            body = body.replace(name.encode(), b"NAME")
        bodies.append((answer.status, body, sorted(set(answer.headers) - {"content-length"})))
    assert bodies[0] == bodies[1]


WITH_ID = [each for each in ROUTES if "{" in each.path]


@pytest.mark.parametrize("route", WITH_ID, ids=[f"{each.method} {each.path}" for each in WITH_ID])
def test_a_foreign_id_in_a_path_is_as_unknown_as_any(shared: Plane, route: AnyRoute) -> None:
    key_ = shared.key(Role.ADMIN, organisation="evil")
    ids = {
        "/agents/{name}/tokens/": known(shared, "agents/triage/tokens"),
        "/users/{name}/tokens/": known(shared, "users/viewer/tokens"),
        "/keys/": known(shared, "keys"),
        "/traces/": "inv_1",
        "/approvals/": "apr_acme1",
    }
    for prefix, foreign in [*ids.items(), ("/traces/", "act_acme1"), ("/traces/", "inv_acme2")]:
        if "{id}" not in route.path or not route.path.startswith(prefix):
            continue
        nobodys = foreign[:-3] + "zzz"
        name = "viewer" if "/users/" in route.path else "triage"
        before = shared.state.tokens.all()
        answers = [
            shared.ask(
                route.method,
                route.target.replace("{name}", name).replace("{id}", each),
                key=key_,
                body={} if route.method == "POST" else None,
            )
            for each in (foreign, nobodys)
        ]
        assert answers[0].status == 404
        same(answers[0], answers[1], foreign, nobodys)
        assert shared.state.tokens.all() == before


@pytest.mark.parametrize("route", ROUTES, ids=[f"{each.method} {each.path}" for each in ROUTES])
def test_another_organisation_cannot_be_asked_for(shared: Plane, route: AnyRoute) -> None:
    if route.is_installation:
        return
    key_ = shared.key(Role.ADMIN, organisation="evil")
    target = route.target.replace("{name}", "triage").replace("{id}", "x")
    one, other = (
        shared.ask(route.method, f"{target}?organisation={name}", key=key_)
        for name in ("acme", "nobody")
    )
    assert (one.status, one.code) == (404, "organisation_unknown")
    same(one, other, "acme", "nobody")


QUERIES = [
    "agents",
    "keys",
    "users",
    "users/viewer/tokens",
    "agents/triage/tokens",
    "agents/triage",
    "agents/triage/reliability",
    "agents/triage/reach",
    "policies",
    "policies/tools",
    "policies/explain?agent=triage&resource=small",
    "policies/replay?since_us=0",
    "tools",
    "tools/changes",
    "tools/lint",
    "tools/stats",
    "approvals",
    "approvals?after=apr_acme2",
    "approvals?state=pending",
    "traces",
    "traces?agent=triage",
    "traces?after=inv_1",
    "budgets",
    "budgets/counts",
    "budgets/grants",
    "audit/events",
    "audit/events?agent=triage",
    "audit/events?text=only",
    "audit/events?invocation=inv_1",
    "audit/events?action=act_acme1",
    "audit/events?user=viewer",
    "audit/export",
    "audit/holds",
    "status",
    "sandboxes",
    "secrets",
    "upstreams",
    "/metrics",
    "openapi.json",
]


@pytest.mark.parametrize("query", QUERIES)
def test_no_listing_search_or_figure_holds_anything_of_the_other(shared: Plane, query: str) -> None:
    key_ = shared.key(Role.ADMIN, organisation="evil")
    answer = shared.ask("GET", query, key=key_)
    assert answer.status == 200, answer.body
    text = answer.body.decode()
    foreign = shared.acme
    ids = [foreign.id, *[each.id for each in foreign.agents.values()]]
    ids += [each.id for each in foreign.users.values()]
    ids += [each.id for each in foreign.teams.values()]
    for mark in (
        *ids,
        "act_acme",
        "inv_1",
        "inv_acme",
        "apr_acme",
        "acme laptop",
        "acme phone",
        "only acme",
    ):
        assert mark not in text


def test_every_listing_of_the_api_is_in_that_matrix() -> None:
    asked = {re.sub(r"triage|viewer", "{name}", each.partition("?")[0]) for each in QUERIES}
    reading = {each for each in ROUTES if each.method == "GET" and "{id}" not in each.path}
    # Of one event, of one tool and of one server; see below.
    asked |= {"audit/proof", "tools/history", "tools/servers/{server}/grant"}
    assert {each.path.removeprefix("/") for each in reading} == {each.lstrip("/") for each in asked}


def test_no_grant_is_shown_of_a_foreign_server(tmp_path: Path) -> None:
    """One that only the other has is as unknown as one that nobody has."""
    crm = {"crm": ToolServer(name="crm", url="https://crm.example/mcp")}
    plane = Plane(tmp_path / "data", replace(configured(), tools=crm), configured("evil"))
    key_ = plane.key(Role.ADMIN, organisation="evil")
    foreign, nobody_s = (
        plane.ask("GET", f"tools/servers/{name}/grant", key=key_) for name in ("crm", "xyz")
    )
    plane.close()
    assert foreign.code == nobody_s.code == "tool_server_unknown"
    assert foreign.status == nobody_s.status
    assert foreign.body.replace(b"crm", b"xyz") == nobody_s.body


def test_no_history_is_given_of_a_foreign_tool(shared: Plane) -> None:
    key_ = shared.key(Role.ADMIN, organisation="evil")
    foreign, nobodys = (
        shared.ask("GET", f"tools/history?name={name}", key=key_)
        for name in ("crm__acme1", "crm__nobody1")
    )
    assert foreign.code == "tool_unknown"
    same(foreign, nobodys, "crm__acme1", "crm__nobody1")


def test_no_proof_is_given_of_a_foreign_event(shared: Plane) -> None:
    key_ = shared.key(Role.AUDITOR, organisation="evil", user="auditor")
    foreign, nobodys = (
        shared.ask("GET", f"audit/proof?action={name}", key=key_)
        for name in ("act_acme1", "act_nobody1")
    )
    assert foreign.code == "no_such_event"
    same(foreign, nobodys, "act_acme1", "act_nobody1")


def test_a_foreign_cursor_continues_ones_own_listing_only(shared: Plane) -> None:
    events = shared.ask("GET", "audit/events?organisation=acme&limit=1").json()
    assert events["next"]
    key_ = shared.key(Role.ADMIN, organisation="evil")
    page = shared.ask("GET", f"audit/events?after={events['next']}", key=key_)
    assert page.status == 200
    assert b"acme" not in page.body


def test_figures_of_all_together_are_the_operators_alone(shared: Plane) -> None:
    key_ = shared.key(Role.ADMIN, organisation="evil")
    status = shared.ask("GET", "status", key=key_).json()
    assert (status["workers"], status["configuration"]) == ([], "")
    assert shared.ask("GET", "status").json()["workers"]
    assert b"connections" not in shared.ask("GET", "/metrics", key=key_).body
    assert b"connections" in shared.ask("GET", "/metrics?organisation=evil").body


def test_a_key_of_one_organisation_reloads_nothing(shared: Plane) -> None:
    key_ = shared.key(Role.ADMIN, organisation="evil")
    answer = shared.ask("POST", "reload", key=key_)
    assert (answer.status, answer.code) == (403, "local_only")


def test_a_foreign_id_takes_no_longer_than_one_that_nobody_has(shared: Plane) -> None:
    """A generous bound: medians of alternating questions, in one process, on a busy machine."""
    key_ = shared.key(Role.ADMIN, organisation="evil")
    took: dict[str, list[float]] = {"inv_1": [], "inv_z": []}
    for _ in range(60):
        for name, times in took.items():
            began = time.perf_counter()
            assert shared.ask("GET", f"traces/{name}", key=key_).status == 404
            times.append(time.perf_counter() - began)
    foreign, nobodys = (statistics.median(each) for each in took.values())
    assert abs(foreign - nobodys) < 0.5 * max(foreign, nobodys)
