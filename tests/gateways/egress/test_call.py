"""Secrets of requests through egress: added where they belong, and seen by nobody else."""

import asyncio
import base64
import gzip
import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from tests.gateways.egress.outside import HOST, Outside, outside, plain, scope
from tests.gateways.egress.test_traffic import tell

from ringfence.domain.event import Change, Status
from ringfence.domain.policy import PolicySource
from ringfence.domain.secret import (
    FromStore,
    Grant,
    InHeader,
    InQuery,
    Minting,
    SecretBinding,
    SecretDefinition,
    SecretValue,
)
from ringfence.enforcement.minting import Mint
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server

VALUE = "sk-canary-4nT7Zq98-wallaby"
BEARER = SecretDefinition(
    name="crm",
    origin=FromStore(),
    bindings=(SecretBinding(host=HOST, location=InHeader(prefix="Bearer ")),),
    placeholder="CRM_TOKEN",
)
NOT_V1 = """
forbid (principal, action == Action::"http.request", resource)
when { context.arguments.path like "/v1*" };
"""
REACH = (HOST + ":{port}", HOST + ":{plain}", "other.test:{port}")


def with_secret(folder: Path, story: object, secret: SecretDefinition = BEARER) -> None:
    tell(
        folder,
        story,  # type: ignore[arg-type] # a story
        secrets=(secret,),
        values={secret.name: VALUE},
        hosts=REACH,
    )


def held(place: Outside) -> str:
    """What the sandbox has in the secret's place."""
    assert place.box.placeholders is not None
    return place.box.placeholders.variables["CRM_TOKEN"]


def nowhere(place: Outside, *said: bytes) -> None:
    """INVARIANT (I5): the value is in nothing that the agent or the record sees."""
    assert all(VALUE.encode() not in each for each in said)
    assert VALUE not in str(place.world.ledger.events)
    assert all(VALUE.encode() not in body for body in place.world.ledger.bodies.values())


def test_a_secret_takes_the_place_of_whatever_the_agent_sends(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        host = f"{HOST}:{place.port}"
        for own in (
            "",
            f"Authorization: Bearer {held(place)}\r\n",
            "Authorization: Basic evil\r\n",
        ):
            answer = await place.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: evil\r\n{own}")
            assert answer.startswith(b"HTTP/1.1 200 ")
            nowhere(place, answer)
        for heard in place.host.heard:
            sent = [value for name, value in heard.headers if name == b"authorization"]
            assert sent == [f"Bearer {VALUE}".encode()]
            assert heard.header(b"x-api-key") is None
        await place.settled()
        assert {tuple(each.secrets) for each in place.world.ledger.outcomes} == {("crm",)}

    with_secret(tmp_path, story)


def test_a_secret_goes_nowhere_else(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        await place.get(authority=f"other.test:{place.port}")
        host = f"{HOST}:{place.plain}"
        request = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        await place.say(request, place.proxy)
        assert len(place.host.heard) == 2
        assert all(each.header(b"authorization") is None for each in place.host.heard)

    with_secret(tmp_path, story)


@pytest.mark.parametrize(
    "where", ["header", "target", "body", "late", "basic", "gzip", "late gzip"]
)
def test_a_placeholder_for_another_host_is_refused_and_found(tmp_path: Path, where: str) -> None:
    async def story(place: Outside) -> None:
        host, token = f"other.test:{place.port}", held(place)
        target, lines, body = "/", "", b""
        match where:
            case "header":
                lines = f"X-Thing: a{token}b\r\n"
            case "target":
                target = f"/x?key={token}"
            case "basic":
                lines = (
                    f"Authorization: Basic {base64.b64encode(f'u:{token}'.encode()).decode()}\r\n"
                )
            case "body":
                body = f'{{"key": "{token}"}}'.encode()
            case "gzip":
                body = gzip.compress(f'{{"key": "{token}"}}'.encode())
            case "late gzip":
                body = gzip.compress(os.urandom(150_000) + token.encode() + os.urandom(50_000))
            case _:
                body = b"x" * 150_000 + token.encode() + b"x" * 50_000
        if body:
            lines = f"Content-Length: {len(body)}\r\n"
        if where.endswith("gzip"):
            lines += "Content-Encoding: gzip\r\n"
        head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\n{lines}"
        answer = await place.ask(head, host, body=body)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"placeholder of secret `crm`" in answer
        await place.settled()
        assert "finding.secret_misplaced" in place.world.ledger.changes
        assert all(token.encode() not in each.body for each in place.host.heard)

    with_secret(tmp_path, story)


@pytest.mark.parametrize(
    "shown",
    [
        VALUE.encode(),
        f"Bearer {VALUE}".encode(),
        base64.b64encode(VALUE.encode()),
        VALUE.encode().hex().encode(),
        VALUE.replace("-", "%2D").encode(),
        VALUE.replace("-", "\\u002d").encode(),
    ],
)
def test_what_a_host_shows_of_a_secret_does_not_come_back(tmp_path: Path, shown: bytes) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: plain(
            b"you sent " + shown + b"!", b"200 OK", b"x: " + shown
        )
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"you sent " in answer
        assert shown not in answer
        nowhere(place, answer)
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.redactions >= 1
        assert "finding.secret_shown" in place.world.ledger.changes

    with_secret(tmp_path, story)


def test_nor_does_it_in_single_bytes_or_in_a_redirect(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            place_ = b"location: https://other.test/?t=" + VALUE.encode()
            body = b"moved " + VALUE.encode() + b" there"
            writer.write(b"HTTP/1.1 302 Found\r\n" + place_ + b"\r\n")
            writer.write(b"content-length: %d\r\n\r\n" % len(body))
            for at in range(len(body)):
                writer.write(body[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
            await reader.read()

        place.host.talk = drip
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 302 ")
        assert b"moved " in answer
        nowhere(place, answer)

    with_secret(tmp_path, story)


def test_an_answer_that_breaks_off_has_shown_what_it_has_shown(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            begun = b"it is " + VALUE.encode() + b" and "
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + begun)
            await writer.drain()
            await asyncio.sleep(0.05)

        place.host.talk = cut
        nowhere(place, await place.get())
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.error, outcome.redactions) == ("provider_malformed", 1)
        assert place.world.ledger.changes.count("finding.secret_shown") == 1

    with_secret(tmp_path, story)


def test_an_answer_in_a_coding_is_read_all_the_same_or_refused(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        packed = gzip.compress(f"it is {VALUE}".encode())
        place.host.answer = lambda _heard: plain(packed, b"200 OK", b"content-encoding: gzip")
        answer = await place.get()
        assert b"it is " in answer
        assert b"content-encoding" not in answer
        nowhere(place, answer)
        assert place.host.heard[0].header(b"accept-encoding") == b"identity"
        place.host.answer = lambda _heard: plain(b"\x8b\x00", b"200 OK", b"content-encoding: br")
        refused = await place.get()
        assert refused.startswith(b"HTTP/1.1 502 ")
        assert b"it comes in `br`, which was not asked for" in refused
        shown = b"content-encoding: " + VALUE.encode()
        place.host.answer = lambda _heard: plain(b"x", b"200 OK", shown)
        refused = await place.get()
        assert b"it comes in a coding that is not known" in refused
        nowhere(place, refused)
        assert VALUE.lower().encode() not in refused

    with_secret(tmp_path, story)


def in_query(name: str, path: str = "/") -> SecretDefinition:
    """A secret that goes into the parameter `key`."""
    binding = SecretBinding(host=HOST, location=InQuery("key"), path=path)
    return SecretDefinition(name=name, origin=FromStore(), bindings=(binding,))


def test_a_secret_in_a_query_is_in_no_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        answer = await place.get("/tiles?key=mine&z=1")
        (heard,) = place.host.heard
        assert heard.line == f"GET /tiles?z=1&key={VALUE} HTTP/1.1".encode()
        nowhere(place, answer)

    with_secret(tmp_path, story, in_query("maps"))


def test_without_its_value_nothing_is_sent(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"cannot add the credential" in answer
        assert place.host.heard == []
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.FAILED, "secret_missing")

    tell(tmp_path, story, secrets=(BEARER,), hosts=REACH)


@dataclass(frozen=True)
class Line:
    """One connection out of a sandbox, on which requests follow one another."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, head: str) -> tuple[bytes, bytes]:
        """Head and body of the answer, which states a length."""
        self.writer.write(head.encode())
        async with asyncio.timeout(60):
            said = await self.reader.readuntil(b"\r\n\r\n")
            lines = dict(line.split(b": ", 1) for line in said.split(b"\r\n")[1:-2])
            return said, await self.reader.readexactly(int(lines[b"content-length"]))


def test_what_is_kept_of_a_repeated_request_outlives_no_change(tmp_path: Path) -> None:
    """A new value, a policy, a host that is taken away: each holds for the very next request."""

    async def story(place: Outside) -> None:
        place.host.answer = lambda heard: plain(heard.header(b"authorization") or b"none")
        where = f"{HOST}:{place.port}"
        kept = Line(*await place.tunnel(where))
        one = f"GET /v1?a=1 HTTP/1.1\r\nHost: {where}\r\nAuthorization: evil\r\n\r\n"
        for _ in range(3):
            said, body = await kept.ask(one)
            assert b" 200 " in said
            nowhere(place, said, body)
        other = "another-value-123456"
        new = SecretValue(organisation="acme", name="crm", value=other)
        secrets = EnvironmentSecrets(frozenset(), {}, [new])
        place.world.worker.injections.replace_secrets(secrets)
        said, body = await kept.ask(one)
        assert other.encode() not in body
        sent = [heard.header(b"authorization") for heard in place.host.heard]
        assert sent == [f"Bearer {VALUE}".encode()] * 3 + [f"Bearer {other}".encode()]
        world = place.world
        source = PolicySource(files={"egress.cedar": NOT_V1}, digest="sha256:p")
        await world.reload(replace(world.config, policies=source))
        said, _ = await kept.ask(one)
        assert b" 403 " in said
        said, _ = await kept.ask(one.replace("/v1", "/v2"))
        assert b" 200 " in said
        agents = {
            name: replace(each, scope=scope("other.test"))
            for name, each in world.config.agents.items()
        }
        await world.reload(replace(world.config, agents=agents))
        said, _ = await kept.ask(one.replace("/v1", "/v2"))
        assert b" 403 " in said
        assert len(place.host.heard) == 5
        actions = [each.action for each in world.ledger.intents]
        assert len(set(actions)) == len(actions) == 5
        assert [each.target[-7:] for each in world.ledger.intents[-2:]] == ["/v1?a=1", "/v2?a=1"]
        kept.writer.close()

    with_secret(tmp_path, story)


def test_a_repeated_head_with_a_misplaced_placeholder_is_refused_each_time(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        where = f"other.test:{place.port}"
        kept = Line(*await place.tunnel(where))
        head = f"GET / HTTP/1.1\r\nHost: {where}\r\nX-Mine: {held(place)}\r\n\r\n"
        for _ in range(3):
            said, _ = await kept.ask(head)
            assert b" 403 " in said
        said, _ = await kept.ask(head.replace("GET /", "GET /other"))
        assert b" 403 " in said
        clean = f"GET / HTTP/1.1\r\nHost: {where}\r\n\r\n"
        for _ in range(2):
            assert b" 200 " in (await kept.ask(clean))[0]
        said, _ = await kept.ask(clean.replace("GET /", f"GET /?k={held(place)}"))
        assert b" 403 " in said
        assert len(place.host.heard) == 2
        kept.writer.close()

    with_secret(tmp_path, story)


def test_no_copy_becomes_an_empty_object_or_leads_a_secret_elsewhere(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        lines = "X-Amz-Copy-Source: /other/a\r\nContent-Length: 0\r\n"
        where = f"{HOST}:{place.port}"
        answer = await place.ask(f"PUT /v1/a HTTP/1.1\r\nHost: {where}\r\n{lines}")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"`x-amz-copy-source` names a second path" in answer
        assert place.host.heard == []
        answer = await place.ask(f"PUT /v2/a HTTP/1.1\r\nHost: {where}\r\n{lines}")
        assert answer.startswith(b"HTTP/1.1 200 ")
        (heard,) = place.host.heard
        assert heard.header(b"x-amz-copy-source") == b"/other/a"
        assert VALUE.encode() not in heard.line

    with_secret(tmp_path, story, in_query("crm", "/v1"))


def test_other_targets_of_the_same_lines_get_their_own_secrets(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        where = f"{HOST}:{place.port}"
        kept = Line(*await place.tunnel(where))
        for target in ("/v1/a?x=1", "/v1/b?key=mine&y=2", "/v2?key=mine", "/v1/a?x=1", "/v1/b"):
            head = f"GET {target} HTTP/1.1\r\nHost: {where}\r\nX-Kept: yes\r\n\r\n"
            said, body = await kept.ask(head)
            assert b" 200 " in said
            nowhere(place, said, body)
        asked = [heard.line.split(b" ")[1].decode() for heard in place.host.heard]
        own = f"key={VALUE}"
        assert asked == [
            f"/v1/a?x=1&{own}",
            f"/v1/b?y=2&{own}",
            "/v2",
            f"/v1/a?x=1&{own}",
            f"/v1/b?{own}",
        ]
        assert {heard.header(b"x-kept") for heard in place.host.heard} == {b"yes"}
        targets = [each.target.partition(where)[2] for each in place.world.ledger.intents]
        assert targets[:3] == ["/v1/a?x=1", "/v1/b?key=mine&y=2", "/v2?key=mine"]
        kept.writer.close()

    with_secret(tmp_path, story, in_query("crm", "/v1"))


def test_a_token_that_a_host_refuses_is_got_again_and_that_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.enforcement.minting._FRESH_S", 0.0)
    given: list[str] = []

    async def give(request: Request, response: Response) -> None:
        await request.read(10_000)
        given.append(f"minted-token-number-{len(given)}")
        body = b'{"access_token":"%b","expires_in":3600}' % given[-1].encode()
        response.send(200, ((b"content-type", b"application/json"),), body)

    async def story() -> None:
        server, pool = Server(give), Pool()
        port = await server.listen("127.0.0.1", 0)
        minting = Minting(
            grant=Grant.CLIENT_CREDENTIALS, token_url=f"http://127.0.0.1:{port}/t", client="us"
        )
        minted = msgspec.structs.replace(BEARER, minting=minting)
        async with outside(tmp_path, secrets=(minted,), values={"crm": VALUE}) as place:
            place.world.worker.injections._mint = Mint(pool)  # noqa: SLF001 (a world has no network)
            place.host.answer = lambda heard: (
                plain(b"who are you?", b"401 Unauthorized")
                if heard.header(b"authorization") == b"Bearer minted-token-number-0"
                else plain()
            )
            statuses = [(await place.get())[9:12] for _ in range(3)]
            assert statuses == [b"401", b"200", b"200"]
            assert len(given) == 2
            (change,) = [
                each
                for each in place.world.ledger.events
                if isinstance(each, Change) and each.what == "secret.token_refused"
            ]
            assert change.detail == {"secret": "crm", "at": f"{HOST}:{place.port}"}
            await place.settled()
            assert not any(each in str(place.world.ledger.events) for each in given)
        await pool.close()
        await server.close()

    asyncio.run(story())
