"""Real worker processes over loopback, each story with one group of them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from tests.app.installation import TOKEN, Answer, Installation, plane, process, provider

from ringfence.api.context import WorkerStatus
from ringfence.app import remote_worker
from ringfence.app.plane import Plane
from ringfence.app.supervisor import Supervisor
from ringfence.domain.agent import AgentState
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Change, Intent, Outcome, Status
from ringfence.telemetry.metric import Measured
from ringfence.testing.model.script import parse

RUNS = "/ringfence/v1/invocations"
BEARER = {"authorization": f"Bearer {TOKEN}"}
SLOWLY = parse("""\
format: 1
rules:
  - {when: {user: "slow"}, answer: {text: a b c d e f g h i j k l m n o p q r s t u v w x y z,
     faults: {trickle_ms: 100}}}
  - {when: {user: "long"}, answer: {text: a b c d e f g h i j k l m n o p q r s t u v w x y z
     1 2 3 4 5 6 7 8 9 10, faults: {trickle_ms: 600}}}
  - {when: {user: "hang"}, answer: {text: never, faults: {hang: true}}}
  - answer: {text: hello there, usage: {input_tokens: 5, output_tokens: 7}}
""")


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation(tmp_path, workers=3)


async def until(true: object, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    assert callable(true)
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (what is waited for tells nobody)
            await asyncio.sleep(0.01)


async def told(running: Plane, true: Callable[[WorkerStatus], bool]) -> None:
    """Wait until every worker has told that it is so."""
    async with asyncio.timeout(60):
        while not all(map(true, await running.workers.status())):  # noqa: ASYNC110 (as asked)
            await asyncio.sleep(0.02)


async def set_state(running: Plane, state: AgentState) -> None:
    acme = running.configuration().organisations["acme"]
    await running.workers.agent_state_changed(acme.id, acme.agents["triage"].id, state)


async def answers(installed: Installation, count: int = 24) -> list[Answer]:
    """Enough connections that every worker gets some."""
    return await asyncio.gather(*(installed.ask() for _ in range(count)))


def seed_of(pid: int) -> bytes:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    [found] = [each for each in variables if each.startswith(b"PYTHONHASHSEED=")]
    return found.removeprefix(b"PYTHONHASHSEED=")


def assert_hashing_alike(pids: Iterable[int]) -> None:
    """A conversation hashes to the same wherever its calls arrive."""
    if os.geteuid() == 0:  # what a process that holds secrets was given only root can still see
        seeds = {seed_of(each) for each in pids}
        assert len(seeds) == 1
        assert seeds != {b"0"}


def supervisor(running: Plane) -> Supervisor:
    assert isinstance(running.workers, Supervisor)
    return running.workers


def assert_counted(measured: Measured, calls: int) -> None:
    """All workers' calls, and that they were lent something for them."""
    assert sum(count.calls for _, count in measured.calls) == calls
    assert calls >= measured.totals["slab_takes"] > 0


def test_several_workers_serve_one_port_and_obey_every_change(installed: Installation) -> None:
    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                assert {each.status for each in await answers(installed, 60)} == {200}
                measured = await running.workers.metrics()
                assert_counted(measured, 60)
                await told(running, lambda each: (each.epoch, each.open_invocations) == (1, 1))
                statuses = await running.workers.status()
                assert len({each.pid for each in statuses} | {os.getpid()}) == 4
                assert [each.trouble for each in statuses] == [""] * 3
                assert all(each.memory_bytes > 0 for each in statuses)
                assert_hashing_alike(each.pid for each in statuses)

                await set_state(running, AgentState.SUSPENDED)
                assert {each.code for each in await answers(installed)} == {"agent_suspended"}
                await set_state(running, AgentState.ACTIVE)
                assert {each.status for each in await answers(installed)} == {200}

                # A reload reaches all of them, or none.
                config = installed.folder / "ringfence.yaml"
                good = config.read_text()
                config.write_text(good.replace("category: bounded", "category: nonsense"))
                with pytest.raises(RingfenceError):
                    await running.reload("test")
                assert {each.status for each in await answers(installed)} == {200}
                installed.configure(there.url, models="claude")
                await running.reload("test")
                assert {each.code for each in await answers(installed)} == {"out_of_scope"}
                await told(running, lambda each: each.epoch == 2)
            assert list(await running.workers.status()) == [], "none is being started again"
            events = installed.events()
            intents = [e for e in events if isinstance(e, Intent)]
            outcomes = [e for e in events if isinstance(e, Outcome)]
            assert len({e.action for e in intents}) == len(intents) == len(outcomes)
            assert there.journal.total == len(intents)
            assert len({e.log for e in intents}) == 3

    asyncio.run(story())


def test_a_worker_that_is_killed_is_recovered_and_replaced(installed: Installation) -> None:
    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                waiting = [asyncio.create_task(installed.ask("hang")) for _ in range(12)]
                await until(lambda: there.journal.total == 12)
                victim = max(await running.workers.status(), key=lambda each: each.pid)
                os.kill(victim.pid, signal.SIGKILL)
                group = supervisor(running)
                await until(lambda: group.readiness() != "", 3)
                await until(lambda: group.readiness() == "")
                pids = [each.pid for each in await group.status()]
                assert len(set(pids)) == 3
                assert victim.pid not in pids
                assert {each.status for each in await answers(installed)} == {200}
                outcomes = [e for e in installed.events() if isinstance(e, Outcome)]
                unknown = [e for e in outcomes if e.status is Status.UNKNOWN]
                lost = sum(task.done() for task in waiting)
                assert len(unknown) == lost
                assert all(e.cost_nano == e.reserved_nano for e in unknown)
                running.hurry()
            for task in waiting:
                with contextlib.suppress(ConnectionError, IndexError):
                    await task
            events = installed.events()
            intents = sorted(e.action for e in events if isinstance(e, Intent))
            assert intents == sorted(e.action for e in events if isinstance(e, Outcome))
            assert len(intents) == there.journal.total

    asyncio.run(story())


def test_a_frozen_worker_writes_nothing_to_an_agent_that_was_suspended_meanwhile(
    installed: Installation,
) -> None:
    """The streams of every worker are running when all of them are frozen."""

    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                streams = [await Stream.open(installed) for _ in range(9)]
                await until(lambda: all(b"data:" in each.received for each in streams))
                pids = [each.pid for each in await running.workers.status()]
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.1)
                async with asyncio.timeout(30):  # frozen workers say nothing, however long
                    await set_state(running, AgentState.SUSPENDED)
                before = [bytes(each.received) for each in streams]
                late = asyncio.create_task(installed.ask())
                await asyncio.sleep(0.3)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                await asyncio.gather(*(each.ended.wait() for each in streams))
                assert [bytes(each.received) for each in streams] == before
                assert (await late).code == "agent_suspended"
                await until(lambda: supervisor(running).readiness() == "")
            outcomes = [e for e in installed.events() if isinstance(e, Outcome)]
            assert [e.status for e in outcomes] == [Status.CUT] * 9

    asyncio.run(story())


def test_streams_end_on_every_worker_when_their_agent_is_suspended(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                streams = [await Stream.open(installed) for _ in range(9)]
                await until(lambda: all(b"data:" in each.received for each in streams))
                await set_state(running, AgentState.SUSPENDED)
                async with asyncio.timeout(60):
                    await asyncio.gather(*(each.ended.wait() for each in streams))
                assert all(b"agent_suspended" in each.received for each in streams)

    asyncio.run(story())


def test_a_run_is_one_run_whichever_worker_its_calls_come_to(installed: Installation) -> None:
    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                named = {"ringfence-invocation": "ticket-7"}
                found = await asyncio.gather(*(installed.ask(headers=named) for _ in range(20)))
                assert {each.status for each in found} == {200}
                assert len({each.headers["ringfence-invocation"] for each in found}) == 1

                # A declared run is known everywhere when its token is given out, and ended so too.
                opened = await installed.send("POST", RUNS, b'{"task": "t"}', BEARER)
                assert opened.status == 201
                run = msgspec.json.decode(opened.body)
                token = {"authorization": f"Bearer {run['token']}"}
                used = await asyncio.gather(*(installed.ask(headers=token) for _ in range(20)))
                assert {each.headers["ringfence-invocation"] for each in used} == {run["id"]}

                # Whoever takes a dead worker's place knows it as well.
                group = supervisor(running)
                before = [each.pid for each in await group.status()]
                os.kill(before[0], signal.SIGKILL)
                await until(lambda: group.readiness() != "", 3)
                await until(lambda: group.readiness() == "")
                used = await asyncio.gather(*(installed.ask(headers=token) for _ in range(20)))
                assert {each.status for each in used} == {200}

                done = await installed.send("POST", f"{RUNS}/{run['id']}/finish", b"", token)
                assert done.status == 200
                late = await asyncio.gather(*(installed.ask(headers=token) for _ in range(20)))
                assert {each.status for each in late} == {402}
            async with plane(installed):
                again = await installed.ask(headers=named)
                assert (
                    again.headers["ringfence-invocation"]
                    == found[0].headers["ringfence-invocation"]
                )
            openings = [
                each.subject
                for each in installed.events()
                if isinstance(each, Change) and each.what == "invocation.opened"
            ]
            assert len(openings) == len(set(openings)) == 2

    asyncio.run(story())


def test_a_plane_whose_workers_cannot_start_says_so_at_once(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_worker, "VERSION", "another")

    async def story() -> None:
        installed.configure("http://127.0.0.1:9")
        installed.give_token()
        async with asyncio.timeout(40):  # workers that say nothing are given a minute
            with pytest.raises(RingfenceError):
                async with plane(installed):
                    raise AssertionError("it must not start")

    asyncio.run(story())


def test_when_the_supervisor_is_killed_its_workers_end_and_a_restart_recovers_everything(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with process(installed) as running:
                assert (await installed.ask()).status == 200
                waiting = [asyncio.create_task(installed.ask("hang")) for _ in range(6)]
                await until(lambda: there.journal.total == 7)
                running.send_signal(signal.SIGKILL)
                # Not a byte of an answer, whatever became of the connections.
                for task in waiting:
                    with contextlib.suppress(ConnectionError, IndexError):
                        assert (await task).status in {0, 503}
            async with plane(installed):
                assert (await installed.ask()).status == 200
            events = installed.events()
            intents = sorted(e.action for e in events if isinstance(e, Intent))
            outcomes = [e for e in events if isinstance(e, Outcome)]
            assert intents == sorted(e.action for e in outcomes)
            assert len(intents) == there.journal.total == 8
            hung = [e for e in outcomes if e.status is not Status.OK]
            assert len(hung) == 6
            assert all(e.cost_nano == e.reserved_nano for e in hung)

    asyncio.run(story())


def test_sigterm_drains_every_worker_and_a_second_signal_does_not_wait(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider(SLOWLY) as there:
            installed.configure(there.url)
            installed.give_token()
            async with process(installed) as running:
                slow = [asyncio.create_task(installed.ask("slow", stream=True)) for _ in range(6)]
                hung = asyncio.create_task(installed.ask("hang"))
                await until(lambda: there.journal.total == 7)
                running.send_signal(signal.SIGTERM)
                for answer in await asyncio.gather(*slow):
                    assert b"[DONE]" in answer.body
                assert running.returncode is None
                running.send_signal(signal.SIGTERM)
                async with asyncio.timeout(60):
                    assert await running.wait() == 0
                with contextlib.suppress(ConnectionError, IndexError):
                    assert (await hung).status != 200
            events = installed.events()
            assert len([e for e in events if isinstance(e, Outcome)]) == 7

    asyncio.run(story())


class Stream(asyncio.Protocol):
    """One streamed request, byte for byte as it comes."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()

    @classmethod
    async def open(cls, installed: Installation) -> "Stream":
        loop = asyncio.get_running_loop()
        transport, stream = await loop.create_connection(cls, "127.0.0.1", installed.port)
        transport.write(installed.request("long", stream=True))
        return stream

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.ended.set()


def test_workers_share_a_pace_and_tell_of_it_together(installed: Installation) -> None:
    late = parse("{format: 1, rules: [{answer: {text: fine, faults: {delay_ms: 800}}}]}")

    async def story() -> None:
        async with provider(late) as there:
            installed.configure(there.url)
            config = installed.folder / "ringfence.yaml"
            pace = "small: {pace: {concurrent: 5, agent_share: 1, queue_seconds: 60}, "
            config.write_text(config.read_text().replace("small: {", pace, 1))
            installed.give_token()
            async with plane(installed) as running:
                acme = running.configuration().organisations["acme"].id
                asked = asyncio.create_task(answers(installed, 24))
                await until(lambda: there.journal.total >= 5)
                [small] = await running.workers.upstreams(acme)
                assert (small.kind, small.name) == ("model", "small")
                assert there.journal.total == small.going == 5
                assert {each.status for each in await asked} == {200}
                [small] = await running.workers.upstreams(acme)
                assert (small.going, small.waiting) == (0, 0)

    asyncio.run(story())


def test_a_credential_that_one_worker_has_seen_refused_is_shown_by_none(
    installed: Installation,
) -> None:
    refusing = parse("{format: 1, rules: [{answer: {faults: {status: 401}}}]}")

    async def story() -> None:
        async with provider(refusing) as there:
            installed.configure(there.url)
            installed.give_token()
            async with plane(installed) as running:
                acme = running.configuration().organisations["acme"].id
                for _ in range(20):
                    await answers(installed, 1)
                    if there.journal.total >= 3:
                        for _ in range(2):  # messages keep their order: told of, and passed on
                            await running.workers.metrics()
                # Each may have seen two refusals before one saw the third.
                assert there.journal.total <= 2 * installed.workers + 1
                found = await running.workers.upstreams(acme)
                assert [(each.kind, each.state) for each in found] == [("credential", "open")]

    asyncio.run(story())
