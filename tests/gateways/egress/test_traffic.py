"""Requests of a sandbox from end to end: what is allowed arrives, recorded, and nothing else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.gateways.egress.outside import HOST, Outside, outside, plain
from tests.gateways.world import agent

from ringfence.domain.agent import AgentState, Limits
from ringfence.domain.egress import EgressRules
from ringfence.domain.event import Status
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicySource

Story = Callable[[Outside], Awaitable[None]]


def tell(folder: Path, story: Story, **more: Any) -> None:  # noqa: ANN401 (what `outside` takes)
    """Let a story happen to a sandbox."""

    async def told() -> None:
        async with outside(folder, **more) as place:
            await story(place)

    asyncio.run(told())


def policies(text: str) -> Callable[[Organisation], Organisation]:
    source = PolicySource(files={"egress.cedar": text}, digest="sha256:p")
    return lambda plain: replace(plain, policies=source)


def test_an_allowed_request_arrives_and_is_on_the_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: plain(b"hello there")
        answer = await place.get("/v1/items?page=2")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"hello there")
        assert b"ringfence-action: act_" in answer
        (heard,) = place.host.heard
        assert heard.line == b"GET /v1/items?page=2 HTTP/1.1"
        assert heard.header(b"host") == f"{HOST}:{place.port}".encode()
        assert heard.header(b"connection") is None
        ledger = place.world.ledger
        (intent,) = ledger.intents
        (outcome,) = ledger.outcomes
        assert intent.action_kind == "http.request"
        assert intent.resource == f"{HOST}:{place.port}"
        assert intent.operation == "GET"
        assert intent.target == f"https://{HOST}:{place.port}/v1/items?page=2"
        assert intent.sandbox == place.box.id
        assert intent.invocation == place.box.live.id
        assert outcome.status is Status.OK
        assert outcome.http_status == 200
        assert outcome.address == "127.0.0.2"
        assert (outcome.sent_bytes, outcome.received_bytes) == (0, 11)
        place.world.check_books()

    tell(tmp_path, story)


FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    ("target", "headers", "body"),
    [
        ("/items?_method=DELETE", "Content-Length: 0\r\n", b""),
        ("/items?a=1&%5Fmethod=DELETE", "Content-Length: 0\r\n", b""),
        ("/items", "X_HTTP_Method_Override: DELETE\r\nContent-Length: 0\r\n", b""),
        ("/items", FORM + "Content-Length: 14\r\n", b"_method=DELETE"),
        ("/items", FORM + "Transfer-Encoding: chunked\r\n", b"e\r\n_method=DELETE\r\n0\r\n\r\n"),
    ],
)
def test_no_request_is_another_than_it_says(
    tmp_path: Path, target: str, headers: str, body: bytes
) -> None:
    async def story(place: Outside) -> None:
        where = f"{HOST}:{place.port}"
        head = f"POST {target} HTTP/1.1\r\nHost: {where}\r\n{headers}"
        answer = await place.ask(head, body=body)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"is another than it says" in answer
        assert place.host.heard == []
        (refusal,) = place.world.ledger.refusals
        assert (refusal.resource, refusal.operation) == (HOST, "POST")

    tell(tmp_path, story)


def test_a_connection_serves_many_requests_and_so_does_the_host_s(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        reader, writer = await place.tunnel(f"{HOST}:{place.port}")
        for number in range(5):
            writer.write(
                b"POST /%d HTTP/1.1\r\nHost: %b:%d\r\nContent-Length: 3\r\n\r\nabc"
                % (number, HOST.encode(), place.port)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(4)
        writer.close()
        assert [each.body for each in place.host.heard] == [b"abc"] * 5
        assert place.host.connections == 1
        assert len(place.world.ledger.outcomes) == 5

    tell(tmp_path, story)


@pytest.mark.parametrize("size", [65_535, 65_536, 300_000, 3_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_long_body_goes_out_while_it_comes(
    tmp_path: Path,
    size: int,
    is_chunked: bool,  # noqa: FBT001 (a case)
) -> None:
    async def story(place: Outside) -> None:
        body = bytes(range(256)) * (size // 256 + 1)
        body = body[:size]
        framing, sent = f"Content-Length: {size}", body
        if is_chunked:
            framing = "Transfer-Encoding: chunked"
            pieces = [body[at : at + 50_000] for at in range(0, size, 50_000)]
            sent = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
        host = f"{HOST}:{place.port}"
        answer = await place.ask(f"PUT /up HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n", body=sent)
        assert answer.startswith(b"HTTP/1.1 200 ")
        (heard,) = place.host.heard
        assert heard.body == body
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.sent_bytes == size

    tell(tmp_path, story)


def test_a_long_answer_comes_whole(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        body = bytes(range(256)) * 20_000
        place.host.answer = lambda _heard: plain(body)
        answer = await place.get()
        assert answer.partition(b"\r\n\r\n")[2] == body
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.received_bytes == len(body)
        assert outcome.body_bytes == EgressRules().kept_bytes

    tell(tmp_path, story)


def test_head_and_empty_answers_keep_their_form(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda heard: (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"
            if heard.line.startswith(b"HEAD")
            else b"HTTP/1.1 204 No Content\r\n\r\n"
        )
        host = f"{HOST}:{place.port}"
        head = await place.ask(f"HEAD / HTTP/1.1\r\nHost: {host}\r\n")
        assert b"content-length: 5000\r\n" in head
        assert head.endswith(b"\r\n\r\n")
        gone = await place.ask(f"DELETE /x HTTP/1.1\r\nHost: {host}\r\n")
        assert gone.startswith(b"HTTP/1.1 204 ")
        assert b"content-length" not in gone

    tell(tmp_path, story)


def test_a_head_without_a_length_is_given_none(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        head = await place.ask(f"HEAD / HTTP/1.1\r\nHost: {HOST}:{place.port}\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"content-length" not in head
        assert head.endswith(b"\r\n\r\n")

    tell(tmp_path, story)


@pytest.mark.parametrize("status", [b"301 M", b"302 F", b"307 T", b"308 P"])
def test_redirects_are_shown_and_never_followed(tmp_path: Path, status: bytes) -> None:
    async def story(place: Outside) -> None:
        location = b"location: http://169.254.169.254/latest"
        place.host.answer = lambda _heard: plain(b"", status, location)
        answer = await place.get()
        assert location in answer
        assert len(place.host.heard) == 1

    tell(tmp_path, story)


def test_plain_http_passes_in_the_absolute_form_and_in_a_tunnel(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        host = f"{HOST}:{place.plain}"
        request = f"GET http://{host}/a?b=c HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        assert (await place.say(request, place.proxy)).startswith(b"HTTP/1.1 200 ")
        tunnel = f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        inner = f"GET /d HTTP/1.1\r\nHost: {host}\r\n\r\n"
        answer = await place.say((tunnel + inner).encode(), place.proxy, answers=2)
        assert b" 200 Connection established" in answer
        assert answer.endswith(b"fine")
        caught = f"GET /e HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        assert (await place.say(caught, place.plain)).endswith(b"fine")
        assert [each.line for each in place.host.heard] == [
            b"GET /a?b=c HTTP/1.1",
            b"GET /d HTTP/1.1",
            b"GET /e HTTP/1.1",
        ]
        schemes = {each.target[:7] for each in place.world.ledger.intents}
        assert schemes == {"http://"}

    tell(tmp_path, story, hosts=(HOST + ":{port}", HOST + ":{plain}"))


def test_policies_judge_method_port_and_path(tmp_path: Path) -> None:
    text = """
    @reason("items are only read")
    forbid (principal, action == Action::"http.request", resource == Host::"allowed.test")
    when { context.arguments has method && context.arguments.method != "GET" };
    forbid (principal, action == Action::"http.request", resource)
    when { context.arguments has path && context.arguments.path like "/admin*" };
    """

    async def story(place: Outside) -> None:
        assert (await place.get("/items")).startswith(b"HTTP/1.1 200 ")
        host = f"{HOST}:{place.port}"
        posted = await place.ask(f"POST /items HTTP/1.1\r\nHost: {host}\r\n")
        assert posted.startswith(b"HTTP/1.1 403 ")
        assert b"items are only read" in posted
        for path in ("/admin", "/%61dmin", "/admin/x"):
            assert (await place.get(path)).startswith(b"HTTP/1.1 403 "), path
        for path in ("/x%2f..%2fadmin", "//admin", "/a%2fadmin", "/a;b", "/%2561dmin"):
            assert not (await place.get(path)).startswith(b"HTTP/1.1 200 "), path
        assert len(place.host.heard) == 1
        codes = {each.decision.code for each in place.world.ledger.refusals}
        assert {"policy_denied", "destination_refused", "request_malformed"} == codes

    tell(tmp_path, story, more=policies(text))


def test_npm_may_ask_for_scoped_names_where_no_policy_reads_paths(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        assert (await place.get("/@types%2fnode")).startswith(b"HTTP/1.1 200 ")
        (heard,) = place.host.heard
        assert heard.line == b"GET /@types%2fnode HTTP/1.1"

    tell(tmp_path, story)


def test_a_request_may_have_to_wait_for_a_person(tmp_path: Path) -> None:
    text = """
    @ask("writing needs a person")
    forbid (principal, action == Action::"http.request", resource)
    when { context.tier != "read" };
    """

    async def told() -> None:
        rules = EgressRules(approval_s=5)
        async with outside(tmp_path, more=policies(text), asks=True, rules=rules) as place:
            host = f"{HOST}:{place.port}"
            ask = f"POST /refund HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n"
            asking = asyncio.create_task(place.ask(ask, body=b"42"))
            held = await place.held()
            assert held.binding.action.value == "http.request"
            assert b'"body":"42"' in held.binding.arguments
            assert place.host.heard == []
            await place.approve(held)
            assert (await asking).startswith(b"HTTP/1.1 200 ")
            assert place.host.heard[0].body == b"42"
            (intent,) = place.world.ledger.intents
            assert intent.approval == held.id

    asyncio.run(told())


def test_nobody_answers_and_the_client_is_told_to_ask_again(tmp_path: Path) -> None:
    text = '@ask("a person") forbid (principal, action == Action::"http.request", resource);'

    async def told() -> None:
        rules = EgressRules(approval_s=0)
        async with outside(tmp_path, more=policies(text), asks=True, rules=rules) as place:
            answer = await place.get()
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert b"make exactly the same call again later" in answer
            await place.approve(await place.held())
            assert (await place.get()).startswith(b"HTTP/1.1 200 ")
            assert len(place.host.heard) == 1

    asyncio.run(told())


def test_requests_and_bytes_are_limited(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: plain(b"x" * 700)
        for _ in range(2):
            assert (await place.get()).startswith(b"HTTP/1.1 200 ")
        assert (await place.get()).startswith(b"HTTP/1.1 403 ")
        assert len(place.host.heard) == 2
        assert {each.decision.code for each in place.world.ledger.refusals} == {"limit_reached"}

    tell(tmp_path, story, of=agent(limits=Limits(http_requests=2)))


def test_an_answer_that_is_too_long_is_cut(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: plain(b"x" * 5000)
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"1000 bytes" in answer
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "limit_reached")

    tell(tmp_path, story, of=agent(limits=Limits(http_call_bytes=1000)))


def test_what_is_left_of_the_bytes_is_what_the_next_may_move(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.host.answer = lambda _heard: plain(b"x" * 150_000)
        assert (await place.get()).startswith(b"HTTP/1.1 200 ")
        await place.settled()
        assert b"x" * 150_000 not in await place.get()
        await place.settled()
        assert (await place.get()).startswith(b"HTTP/1.1 403 ")
        first, second = place.world.ledger.outcomes
        assert first.status is Status.OK
        assert second.status is Status.CUT

    tell(tmp_path, story, of=agent(limits=Limits(http_bytes=250_000)))


def test_a_suspended_agent_is_refused_and_what_it_has_open_is_cut(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbeginning")
            await reader.read()

        place.host.talk = drip
        reader, writer = await place.tunnel(f"{HOST}:{place.port}")
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}:{place.port}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            await reader.readuntil(b"beginning")
            await place.world.suspend(state=AgentState.SUSPENDED)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        (outcome,) = place.world.ledger.outcomes
        assert (outcome.status, outcome.error) == (Status.CUT, "agent_suspended")
        with pytest.raises(ConnectionRefusedError):
            await place.get()

    tell(tmp_path, story)


def test_a_client_that_leaves_is_on_the_record(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        begun = asyncio.Event()

        async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            begun.set()
            await reader.read()

        place.host.talk = wait
        _, writer = await place.tunnel(f"{HOST}:{place.port}")
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}:{place.port}\r\n\r\n".encode())
        await begun.wait()
        writer.close()
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.status is Status.CLIENT_GONE
        place.world.check_books()

    tell(tmp_path, story)


def test_nothing_leaves_whose_intent_is_not_durable(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        place.world.ledger.is_failing = True
        answer = await place.get()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert place.host.heard == []
        assert place.host.connections == 0

    tell(tmp_path, story)


def test_a_host_that_breaks_off_is_seen_to_break_off(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin")
            await writer.drain()
            await asyncio.sleep(0.05)

        place.host.talk = cut
        answer = await place.get()
        assert not answer.endswith(b"\r\n\r\n")
        await place.settled()
        (outcome,) = place.world.ledger.outcomes
        assert outcome.status is Status.FAILED
        assert outcome.error == "provider_malformed"

    tell(tmp_path, story)


def test_a_host_whose_certificate_nobody_vouches_for_is_not_spoken_to(tmp_path: Path) -> None:
    async def story(place: Outside) -> None:
        answer = await place.get(authority=f"stranger.test:{place.port}")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"is not trusted" in answer
        assert place.host.heard == []

    tell(tmp_path, story, hosts=("stranger.test:{port}",))
