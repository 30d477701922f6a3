import asyncio

from tests.gateways.tool.streaming import Client
from tests.gateways.tool.world import SECRET, World, play, text_of

from ringfence.domain.tool import ServerEra
from ringfence.testing.tools.plan import Plan
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server


def test_a_servers_own_credential_reaches_it_and_the_agents_never_does() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        await client.begin()
        [answer] = await client.ask("tools/call", {"name": "echo", "arguments": {"text": "x"}})
        assert text_of(answer) == "x"

    play(scene, Plan(name="crm", token=SECRET), credential="CRM")


def test_a_stream_that_its_server_leaves_is_left_and_taken_up_again() -> None:  # noqa: PLR0915 (a server and its client)
    """SEP-1699: the server closes the stream in the middle of a call."""

    async def scene(world: World) -> None:
        resumed: list[bytes] = []

        async def handle(request: Request, response: Response) -> None:
            if request.method == b"GET" and request.header(b"last-event-id") is None:
                response.send(405, (), b"")
                return
            head = [(b"content-type", b"text/event-stream")]
            if request.method == b"GET":
                resumed.append(request.header(b"last-event-id") or b"")
                response.start(200, head)
                answer = b'{"jsonrpc":"2.0","id":5,"result":{"content":[]}}'
                response.write(b"id: e2\ndata: " + answer + b"\n\n")
                response.end()
                return
            body = await request.read(1 << 20)
            if b"tools/call" in body:
                response.start(200, head)
                response.write(b"id: e1\nretry: 10\ndata: \n\n")
                response.end()
            elif b'"initialize"' in body:
                result = b'{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{}}'
                _answer(response, body, result, (b"mcp-session-id", b"s"))
            elif b'"tools/list"' in body:
                _answer(response, body, b'{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}')
            else:
                response.send(202, (), b"")

        server = Server(handle)
        port = await server.listen("127.0.0.1", 0)
        await world.reload_server("crm", f"http://127.0.0.1:{port}/mcp")
        client = Client(world)
        await client.begin()
        async with client.open("tools/call", {"name": "t"}) as (_, stream):
            assert await stream.next() is None
            [mark] = stream.marks
        assert mark.retry_ms == 10
        async with client.open("", verb=b"GET", last=mark.id) as (_, stream):
            [answer] = await stream.rest()
        await world.turns(lambda: not world.works())
        assert (answer["id"], resumed) == (5, [b"e1"])
        await world.turns(lambda: world.ledger.outcomes)
        assert str(world.ledger.outcomes[0].status) == "ok"
        await server.close()

    play(scene)


def _answer(response: Response, body: bytes, result: bytes, *own: tuple[bytes, bytes]) -> None:
    number = body.partition(b'"id":')[2].partition(b",")[0]
    document = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (number, result)
    response.send(200, [(b"content-type", b"application/json"), *own], document)


def test_one_handshake_serves_all_who_wait_for_it() -> None:
    async def scene(world: World) -> None:
        client = Client(world)
        params = {"name": "counter"}
        answers = await asyncio.gather(*(client.ask("tools/call", params) for _ in range(5)))
        assert sorted(text_of(each[-1]) for each in answers) == ["1", "2", "3", "4", "5"]
        greetings = [each for each in world.journal.requests if each["method"] == "initialize"]
        assert len(greetings) == 1

    play(scene, Plan(name="crm", eras="legacy"), era=ServerEra.LEGACY)
