import asyncio
import os
import signal
import sys
from collections.abc import Awaitable

import pytest

from ringfence.app import remote_worker
from ringfence.app.change_message import StateChange
from ringfence.app.message import Drain, Measure, Message, Pulse
from ringfence.app.remote_worker import RemoteWorker, unexpected
from ringfence.domain.agent import AgentState
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError, UsageError
from ringfence.enforcement.authority import LEASE_US
from ringfence.transport.clock import SystemClock

CHANGE = StateChange(change=1, organisation="org_1", agent="agt_1", state=AgentState.SUSPENDED)

KILLED = {-signal.SIGKILL, 255}
"""255 is what asyncio's own loop says of a child that a second signal has reaped before it."""


class Nobody:
    """A supervisor that knows nothing."""

    def told(self, _: RemoteWorker, message: Message) -> None:
        raise unexpected(message)

    def asked(self, _: RemoteWorker, message: Message) -> Message | Awaitable[Message]:
        raise unexpected(message)


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


async def spawned(clock: SystemClock) -> RemoteWorker:
    worker = RemoteWorker(1, clock, Nobody())
    await worker.spawn({})
    return worker


def test_a_worker_is_another_process_that_greets_and_ends_in_order(clock: SystemClock) -> None:
    async def story() -> None:
        worker = await spawned(clock)
        assert worker.is_linked
        assert worker.pid not in {0, os.getpid()}
        with pytest.raises(UnavailableError, match="does not serve yet"):
            await worker.ask(Measure())
        with pytest.raises(PeerError, match="does not take"):
            await worker.ask(
                Pulse(
                    epoch=0,
                    open_invocations=0,
                    connections=0,
                    memory_bytes=0,
                    cpu_us=0,
                    inquiries=0,
                    lapses=0,
                    lost=0,
                    trouble="",
                )
            )
        await worker.drain(5, 10)
        assert await worker.ended() == 0
        assert not worker.is_linked

    asyncio.run(story())


def test_a_worker_of_another_version_is_refused(
    clock: SystemClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_worker, "VERSION", "another")

    async def story() -> None:
        worker = RemoteWorker(1, clock, Nobody())
        with pytest.raises(RingfenceError) as refused:
            await worker.spawn({})
        worker.kill()
        await worker.ended()
        assert isinstance(refused.value, UsageError | UnavailableError)

    asyncio.run(story())


def test_a_change_to_a_frozen_worker_is_over_with_its_authority(clock: SystemClock) -> None:
    async def story() -> None:
        worker = await spawned(clock)
        worker.renew(0)
        os.kill(worker.pid, signal.SIGSTOP)
        began_us = clock.monotonic_us()
        granted_us = worker.granted_until_us
        await worker.obey(worker.ask(CHANGE))
        now_us = clock.monotonic_us()
        assert granted_us <= now_us <= began_us + LEASE_US + 300_000
        worker.kill()
        assert await worker.ended() in KILLED
        with pytest.raises(UnavailableError):
            await worker.ask(Drain(0))

    asyncio.run(story())


def test_a_worker_that_cannot_take_a_change_is_killed(clock: SystemClock) -> None:
    async def story() -> None:
        worker = await spawned(clock)
        worker.renew(0)
        failed: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        failed.set_exception(UsageError("secret_missing", "there is no such secret"))
        await worker.obey(failed)
        async with asyncio.timeout(60):
            assert await worker.ended() in KILLED

    asyncio.run(story())


def test_a_worker_that_cannot_be_started_says_by_what(
    clock: SystemClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(RemoteWorker(1, clock, Nobody()).spawn({}))
    assert caught.value.code == "worker_failed"
    assert "`/no/such/python`" in caught.value.message
