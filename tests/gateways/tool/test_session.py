import asyncio
from dataclasses import replace

from tests.gateways.tool.world import World, play

from ringfence.enforcement.directory import Caller
from ringfence.gateways.tool import session as sessions
from ringfence.gateways.tool.child import ChildChannel
from ringfence.gateways.tool.outlet import Outlet
from ringfence.gateways.tool.session import IDLE_US, Session, Sessions
from ringfence.protocols.mcp import message
from ringfence.protocols.mcp.version import Era
from ringfence.testing.http import MemoryResponse


def caller(world: World, name: str = "triage") -> Caller:
    runtime = world.worker.directory.agent(f"agt_{name}")
    assert runtime is not None
    return Caller(runtime=runtime, credential=f"crd_{name}")


def made(world: World, name: str = "s1", owner: str = "triage") -> Session:
    return Session(
        name=name, caller=caller(world, owner), server="crm", introduction=b"{}", version="x"
    )


def test_a_session_is_found_by_its_owner_at_its_address_alone() -> None:
    async def scene(world: World) -> None:
        kept = Sessions()
        session = made(world)
        kept.add(session, 0)
        assert kept.find("s1", caller(world), "crm", 1) is session
        assert kept.find("s1", caller(world), "", 1) is None
        assert kept.find("s1", caller(world, "other"), "crm", 1) is None
        assert kept.find("s2", caller(world), "crm", 1) is None

    play(scene)


def test_idle_sessions_end_and_busy_ones_stay() -> None:
    async def scene(world: World) -> None:
        kept = Sessions()
        idle, busy = made(world), made(world, "s2")
        busy.attach(Outlet(MemoryResponse(), (), 0))
        kept.add(idle, 0)
        kept.add(busy, 0)
        assert kept.idle(IDLE_US) == []
        assert kept.idle(IDLE_US + 1) == [idle]
        assert kept.all() == [busy]

    play(scene)


def test_of_too_many_sessions_of_one_credential_an_idle_one_makes_room() -> None:
    async def scene(world: World) -> None:
        kept = Sessions()
        kept.add(made(world, "theirs", "other"), 0)
        first = made(world, "0")
        kept.add(first, 0)
        first.attach(Outlet(MemoryResponse(), (), 0))
        dropped = [kept.add(made(world, str(n)), n) for n in range(1, sessions.MOST_OF_ONE + 1)]
        assert [each.name for each in dropped if each is not None] == ["1"]
        assert len(kept) == sessions.MOST_OF_ONE + 1

    play(scene)


def test_sessions_of_one_credential_have_only_so_many_processes_to_themselves() -> None:
    async def scene(world: World) -> None:
        kept = Sessions()
        dispatcher = world.worker.tooling.dispatcher
        server = replace(world.config.tools["crm"], url=None, command=("run",))
        dropped = []
        for number in range(sessions.PROCESSES_OF_ONE + 1):
            session = made(world, str(number))
            session.channels["crm"] = ChildChannel(
                server, dispatcher, Era.LEGACY, b"{}", is_shared=False, is_owned=True
            )
            dropped.append(kept.add(session, number))
        assert [each.name for each in dropped if each is not None] == ["0"]

    play(scene)


def test_a_question_is_answered_once_under_an_id_of_the_session() -> None:
    async def scene(world: World) -> None:
        session = made(world)
        answers: list[tuple[bytes, bytes]] = []
        raw = b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}'
        posed = session.pose(raw, lambda result, error: answers.append((result, error)))
        number = message.read(posed).id
        assert number != b"1"
        answer = message.read(message.response(number, b'{"roots":[]}'))
        assert session.take(answer)
        assert not session.take(answer)
        assert answers == [(b'{"roots":[]}', b"")]

    play(scene)


def test_what_is_said_to_nobody_waits_for_the_next_stream() -> None:
    async def scene(world: World) -> None:
        session = made(world)
        session.say(b'{"a":1}')
        first, second = MemoryResponse(), MemoryResponse()
        session.attach(Outlet(first, (), 0))
        assert b'{"a":1}' in first.body
        session.attach(Outlet(second, (), 0))
        assert first.is_ended
        session.say(b'{"b":2}')
        assert b'{"b":2}' in second.body
        await session.close()
        assert second.is_ended

    play(scene)


def test_streams_that_nobody_takes_up_again_are_forgotten() -> None:
    class Call:
        def give_up(self) -> None:
            """Nothing."""

        def resume(self, outlet: Outlet) -> None:
            """Nothing."""

    async def scene(world: World) -> None:
        session = made(world)
        for number in range(150):
            session.may_resume(b"%d" % number, Call())
        assert len(session.streams) == 100
        assert b"149" in session.streams
        await asyncio.sleep(0)

    play(scene)
