from collections.abc import Callable

from tests.gateways.tool.test_session import caller
from tests.gateways.tool.test_session import made as session_of
from tests.gateways.tool.world import World, play

from ringfence.enforcement.allowance import Allowance, Portion
from ringfence.gateways.tool.ask import Ask
from ringfence.gateways.tool.client_side import ClientSide
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.session import Session
from ringfence.protocols.mcp import message, request
from ringfence.protocols.mcp.version import Era
from ringfence.testing.http import MemoryRequest, MemoryResponse

CALL = b'{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add"}}'


class Running:
    def give_up(self) -> None:
        """Nobody asks here."""

    def resume(self, outlet: Outlet) -> None:
        """Nor here."""


def playing(check: Callable[[Session, Running, MemoryResponse, ClientSide], None]) -> None:
    """Give a check the client's side of one call, in a session."""

    async def scene(world: World) -> None:
        session, call, response = session_of(world), Running(), MemoryResponse()
        portion = Allowance().enter(caller(world))
        assert isinstance(portion, Portion)
        ask = Ask(
            request=MemoryRequest("POST", "/mcp/crm"),
            response=response,
            caller=caller(world),
            asked=request.read(message.read(CALL)),
            era=Era.LEGACY,
            session=session,
            portion=portion,
        )
        check(session, call, response, ClientSide(ask, call, (), 0, None))

    play(scene)


def test_a_client_that_leaves_its_stream_for_now_is_given_the_rest_when_it_comes_back() -> None:
    def check(
        session: Session, call: Running, response: MemoryResponse, client: ClientSide
    ) -> None:
        client.pause()
        assert client.is_there  # it has no place yet from which it could go on
        client.mark(call, b"e1", None)
        client.pause()
        assert (response.is_ended, client.is_there) == (True, False)
        client.say(b'{"n":1}')
        client.answer(b"{}", 200)
        client.end()
        assert (session.calls, list(session.streams.values())) == ({}, [call])
        again = MemoryResponse()
        client.resume(Outlet(again, (), 0), is_over=True)
        assert again.body == b'event: message\ndata: {"n":1}\n\nevent: message\ndata: {}\n\n'
        assert (again.is_ended, session.streams) == (True, {})

    playing(check)


def test_a_session_knows_a_call_until_it_is_over() -> None:
    def check(
        session: Session, call: Running, response: MemoryResponse, client: ClientSide
    ) -> None:
        assert session.calls == {b"3": call}
        client.mark(call, b"e1", None)
        client.answer(b"{}", 200)
        client.end()
        assert (response.is_ended, session.calls, session.streams) == (True, {}, {})

    playing(check)
