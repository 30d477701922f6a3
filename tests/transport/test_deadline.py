import asyncio
from dataclasses import dataclass, field

from ringfence.transport.deadline import NEVER, Sweeper


@dataclass(eq=False)
class Member:
    deadline: float
    expired: list[int] = field(default_factory=list)

    def expire(self) -> None:
        self.expired.append(1)
        self.deadline = NEVER


def test_only_what_has_passed_expires() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        sweeper = Sweeper(loop, 0.01)
        late, later, never = Member(loop.time()), Member(loop.time() + 60), Member(NEVER)
        for member in (late, later, never):
            sweeper.add(member)
        await asyncio.sleep(0.05)
        assert (late.expired, later.expired, never.expired) == ([1], [], [])
        for member in (late, later, never):
            sweeper.discard(member)

    asyncio.run(scenario())


def test_what_left_expires_no_more_and_may_come_back() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        sweeper = Sweeper(loop, 0.01)
        member = Member(loop.time())
        sweeper.add(member)
        sweeper.discard(member)
        sweeper.discard(member)
        await asyncio.sleep(0.03)
        assert member.expired == []
        sweeper.add(member)
        await asyncio.sleep(0.03)
        assert member.expired == [1]
        sweeper.discard(member)

    asyncio.run(scenario())


def test_a_member_may_leave_while_others_expire() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        sweeper = Sweeper(loop, 0.01)

        class Leaver(Member):
            def expire(self) -> None:
                super().expire()
                sweeper.discard(self)

        leavers = [Leaver(loop.time()) for _ in range(3)]
        for leaver in leavers:
            sweeper.add(leaver)
        await asyncio.sleep(0.05)
        assert [leaver.expired for leaver in leavers] == [[1]] * 3

    asyncio.run(scenario())
