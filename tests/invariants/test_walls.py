"""I7 with four workers, on files and on PostgreSQL: nothing crosses, whoever answers."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from tests.app.installation import CONFIG, ENVIRONMENT, TOKEN, Answer, Installation, plane, provider
from tests.invariants.test_organisation import QUERIES

from ringfence.app.configuration import prepare, register
from ringfence.app.storage import storage_of
from ringfence.domain.credential import AgentCredential, ApiKey
from ringfence.domain.organisation import Organisation, Role
from ringfence.stores.state.key import KeyRecord
from ringfence.stores.state.token import TokenRecord
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds

EVIL, KEY = "rf_agt_evil", "rf_key_evil"
INVOCATIONS = "/ringfence/v1/invocations"
ASKED = 8
"""So often each question is asked, each time on a connection of its own: four workers answer."""
SECRET = "only acme knows 4711"


@pytest.fixture(params=["sqlite", "postgresql"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    database = "sqlite"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql_url")
    return Installation(tmp_path, workers=4, database=database)


def configure(installed: Installation, url: str) -> tuple[Organisation, Organisation]:
    """Two organisations with the same names for everything, a token each, and a key of one."""
    text = CONFIG.format(url=url, models="small, claude", usd="5", input_usd="1")
    (installed.folder / "ringfence.yaml").write_text(text)
    others = installed.folder / "organisations"
    others.mkdir()
    (others / "evil.yaml").write_text(text.replace("{name: acme,", "{name: evil,", 1))
    clock = SystemClock()
    ids = RandomIds(clock)
    loaded = prepare(installed.settings, ENVIRONMENT, clock.now_us()).configuration
    state = storage_of(installed.settings).state()
    known = register(state, loaded, clock=clock, ids=ids, actor="test").organisations
    for name, secret in (("acme", TOKEN), ("evil", EVIL)):
        credential = AgentCredential(
            id=ids.make("crd"),
            organisation=known[name].id,
            agent=known[name].agents["triage"].id,
            digest=hashlib.sha256(secret.encode()).digest(),
            created_us=clock.now_us(),
        )
        state.tokens.add(TokenRecord(credential=credential, label="", created_by="test"))
    key = ApiKey(
        id=ids.make("key"),
        organisation=known["evil"].id,
        user=known["evil"].users["owner@acme.example"].id,
        digest=hashlib.sha256(KEY.encode()).digest(),
        roles=frozenset({Role.ADMIN}),
        created_us=clock.now_us(),
    )
    state.keys.add(KeyRecord(key=key, label="", created_by="test"))
    state.close()
    return known["acme"], known["evil"]


async def declared(installed: Installation) -> Mapping[str, str]:
    answer = await installed.send("POST", INVOCATIONS, b"{}", {"authorization": f"Bearer {TOKEN}"})
    assert answer.status == 201
    opened: Mapping[str, str] = msgspec.json.decode(answer.body)
    return opened


def neutral(answer: Answer, *names: str) -> tuple[int, tuple[str, ...], bytes]:
    """An answer without what each request is given anew, and without the name it asked for."""
    body = answer.body
    for name in names:
        body = body.replace(name.encode(), b"NAME")
    fresh = re.compile(rb"rf_inv_[\w-]+|(act|inv)_[0-9a-f_]+|\d+")
    return answer.status, tuple(sorted(answer.headers)), fresh.sub(b"ID", body)


async def as_evil(installed: Installation, identifier: str, kind: str) -> Answer:
    match kind:
        case "header":
            asked = {"authorization": f"Bearer {EVIL}", "ringfence-invocation": identifier}
            return await installed.ask("x", headers=asked)
        case "finish":
            own = {"authorization": f"Bearer {EVIL}"}
            return await installed.send("POST", f"{INVOCATIONS}/{identifier}/finish", b"{}", own)
        case _:
            return await control(installed, f"{kind}{identifier}")


async def control(installed: Installation, path: str) -> Answer:
    target = path if path.startswith("/") else f"/api/v1/{path}"
    lines = {"authorization": f"Bearer {KEY}", "host": f"127.0.0.1:{installed.control_port}"}
    return await installed.send("GET", target, b"", lines, port=installed.control_port)


def test_four_workers_tell_nobody_anything_of_another_organisation(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there:
            acme, evil = configure(installed, there.url)
            async with plane(installed):
                await used(installed)
                opened, closed = await declared(installed), await declared(installed)
                token = {"authorization": f"Bearer {closed['token']}"}
                done = await installed.send(
                    "POST", f"{INVOCATIONS}/{closed['id']}/finish", b"{}", token
                )
                assert done.status == 200
                nobodys = "inv_" + "0" * (len(opened["id"]) - 4)
                for kind in ("header", "finish", "traces/", "audit/proof?action="):
                    seen = {}
                    for name in (opened["id"], closed["id"], nobodys):
                        asked = [as_evil(installed, name, kind) for _ in range(ASKED)]
                        seen[name] = {neutral(each, name) for each in await asyncio.gather(*asked)}
                        assert {status for status, _, _ in seen[name]} != {200}, kind
                    assert seen[opened["id"]] == seen[closed["id"]] == seen[nobodys], kind
                await listed(installed, acme, evil)

    asyncio.run(story())


async def used(installed: Installation) -> None:
    """Both use the same name for a run: it is a run of each, at whatever worker."""
    runs: dict[str, set[str]] = {}
    for name, secret in (("acme", TOKEN), ("evil", EVIL)):
        lines = {"authorization": f"Bearer {secret}", "ringfence-invocation": "run-7"}
        text = SECRET if name == "acme" else "nothing"
        answers = await asyncio.gather(*[installed.ask(text, headers=lines) for _ in range(ASKED)])
        assert {each.status for each in answers} == {200}
        runs[name] = {each.headers["ringfence-invocation"] for each in answers}
    assert [len(each) for each in runs.values()] == [1, 1]
    assert runs["acme"] != runs["evil"]


async def listed(installed: Installation, acme: Organisation, evil: Organisation) -> None:
    """Every listing, search and figure, asked with a key of one over the network."""
    marks = [acme.id, SECRET, *[each.id for each in acme.agents.values()]]
    marks += [each.id for each in acme.users.values()] + [each.id for each in acme.teams.values()]
    own = 0
    queries = [each for each in QUERIES if "viewer" not in each]
    for query in [*queries, "audit/events?text=4711", "traces?limit=1000"]:
        answer = await control(installed, query)
        text = answer.body.decode()
        assert answer.status == 200, (query, text)
        assert [mark for mark in marks if mark in text] == [], query
        own += evil.id in text or "nothing" in text
    assert own, "the key sees something of its own, or nothing was tested"
