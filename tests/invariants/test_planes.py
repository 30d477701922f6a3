"""I1 to I3 and authority over several planes on one database: as over the workers of one."""

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.app.installation import TOKEN, Installation, plane, process, provider
from tests.cli.installation import call
from tests.postgresql.server import execute

from ringfence.app.plane import Plane
from ringfence.app.storage import storage_of
from ringfence.decisions.agent import AgentChange
from ringfence.domain.budget import Per
from ringfence.domain.error import UsageError
from ringfence.domain.event import AnyEvent, Intent, Outcome, Status
from ringfence.stores.verification import Kept, Outside, verify_folder
from ringfence.testing.model.script import parse
from ringfence.testing.model.serving import Running

WHOLE = "usage: {input_tokens: 5, output_tokens: 50}"
CALL_NANO = 500_000
"""What one call is reserved at and costs."""


def pair(folder: Path, database: str, url: str, usd: str, workers: int = 1) -> list[Installation]:
    """Two installations of one organisation on one database, each with a folder of its own."""
    made = [Installation(folder / n, workers=workers, database=database) for n in ("one", "two")]
    for each in made:
        each.folder.mkdir()
        each.configure(url, usd=usd, input_usd="0")
    made[0].give_token()
    return made


@asynccontextmanager
async def planes(installed: list[Installation]) -> AsyncIterator[list[Plane]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(plane(each)) for each in installed]


async def spent(running: Plane) -> int:
    """What the books say of the agent's budget."""
    acme = running.configuration().organisations["acme"]
    lines = await running.workers.budgets(acme.id)
    return sum(int(line.spent) for line in lines if line.key.per is Per.DAY)


async def decided(installed: Installation, text: str, **more: object) -> int:
    """How a call ends; on a machine that is too busy to decide it is asked again, as clients do."""
    for _ in range(100):
        status = (await installed.ask(text, **more)).status  # type: ignore[arg-type] # of `ask`
        if status != 503:
            return status
        await asyncio.sleep(0.2)
    raise AssertionError("nothing was decided for a long time")


def verified(installed: Installation) -> None:
    """What this plane has written is whole and vouched for."""
    storage = storage_of(installed.settings)
    logs, shelves = storage.logs(), storage.shelves()
    kept = Kept(logs=logs, shelves=shelves, owns=storage.owns)
    try:
        report = verify_folder(installed.data, Outside(), is_running=False, kept=kept)
        assert report.holds, report.findings
    finally:
        shelves.close()
        logs.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_budget_for_exactly_fifty_lets_exactly_fifty_through_two_planes(
    postgresql_url: str, tmp_path: Path, workers: int, patient_lending: None
) -> None:
    del patient_lending
    script = f"format: 1\nrules: [{{answer: {{text: a b c d e f, {WHOLE}}}}}]\n"

    async def story() -> None:
        async with provider(parse(script)) as there:
            both = pair(tmp_path, postgresql_url, there.url, "0.025", workers)
            async with planes(both) as running:
                # Each has its part in it, however slow one of them is then.
                statuses = [await decided(each, "the first") for each in both]
                statuses += await asyncio.gather(
                    *(decided(both[n % 2], f"task {n}", stream=n % 4 < 2) for n in range(198))
                )
                assert sorted(statuses) == [200] * 50 + [402] * 150
                assert there.journal.total == 50
                async with asyncio.timeout(60):
                    for one in running:
                        while await spent(one) != 50 * CALL_NANO:  # noqa: ASYNC110 (as asked)
                            await asyncio.sleep(0.1)
        outcomes = [e for e in both[0].events() if isinstance(e, Outcome)]
        assert sum(int(each.cost_nano) for each in outcomes) == 50 * CALL_NANO
        assert len({each.log for each in outcomes}) >= 2
        for each in both:
            verified(each)
        left = execute(postgresql_url, "SELECT state->'lent' FROM shared_limits")
        assert all(not lent for (lent,) in left), left
        assert execute(postgresql_url, "SELECT id FROM shared_planes") == []

    asyncio.run(story())


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_plane_that_is_killed_under_load_loses_nothing_and_doubles_nothing(
    postgresql_url: str,
    tmp_path: Path,
    comes_back: bool,  # noqa: FBT001 (a case of the table)
) -> None:
    slow = "faults: {delay_ms: 30}"
    lost = "{when: {user: lost}, answer: {text: a, faults: {hang: true}}}"
    script = f"format: 1\nrules: [{lost}, {{answer: {{text: a b c, {WHOLE}, {slow}}}}}]\n"
    limit = 300 * CALL_NANO
    served: set[str] = set()
    is_over = asyncio.Event()
    number = itertools.count()

    async def client(installed: Installation) -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError, IndexError, TimeoutError):
                answer = await installed.ask(f"task {next(number) // 20}")
                served.add(f"{installed.folder.name} {answer.status}")
                if answer.status == 402:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(0.01)

    async def story() -> None:
        async with provider(parse(script)) as there, contextlib.AsyncExitStack() as stack:
            staying, dying = pair(tmp_path, postgresql_url, there.url, "0.15", 2)
            running = await stack.enter_async_context(plane(staying))
            async with process(dying) as killed:
                clients = [
                    asyncio.create_task(client(each)) for each in (staying, dying) for _ in range(5)
                ]
                clients.append(asyncio.create_task(ask_in_vain(dying)))
                async with asyncio.timeout(60):
                    while there.journal.total < KILLED_AFTER or not hangs(there):  # noqa: ASYNC110 (a count)
                        await asyncio.sleep(0.01)
                for pid in (killed.pid, *children(killed.pid)):
                    os.kill(pid, signal.SIGKILL)
                await killed.wait()
            if comes_back:
                await stack.enter_async_context(process(dying))
            async with asyncio.timeout(60):
                while await spent(running) != limit:
                    await asyncio.sleep(0.2)
                    assert there.journal.total * CALL_NANO <= limit
            is_over.set()
            await asyncio.gather(*clients)
            assert await decided(staying, "one more") == 402
            check(staying.events(), there.journal.total, limit)
        verified(staying)

    asyncio.run(story())
    assert {"one 200", "two 200"} <= served


KILLED_AFTER = 60
"""Calls, of 300 that the budget allows; one that is never answered is among them."""


async def ask_in_vain(installed: Installation) -> None:
    """A call that is on its way when its plane is killed, however slow the machine is."""
    with contextlib.suppress(OSError, IndexError, TimeoutError):
        await decided(installed, "lost")


def hangs(there: Running) -> bool:
    """Whether that call is with the provider."""
    return any(entry.user == "lost" for entry in there.journal.entries)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(each) for each in listed.split()]


def check(events: list[AnyEvent], provided: int, limit: int) -> None:
    """Every intent has its one outcome, and what was charged covers what was provided."""
    intents = [e.action for e in events if isinstance(e, Intent)]
    outcomes = [e for e in events if isinstance(e, Outcome)]
    assert sorted(intents) == sorted(e.action for e in outcomes)
    assert len(intents) == len(set(intents))
    assert provided <= len(intents)
    charged = sum(int(e.cost_nano) for e in outcomes)
    assert provided * CALL_NANO <= charged == limit
    assert any(e.status is Status.UNKNOWN for e in outcomes)


async def change_state(installed: Installation, running: Plane, change: AgentChange) -> None:
    """As the control plane does it."""
    organisation = running.configuration().organisations["acme"]
    state = await asyncio.to_thread(storage_of(installed.settings).state)
    try:
        now_us = time.time_ns() // 1000
        after = await asyncio.to_thread(
            lambda: state.agents.change(
                organisation.id, "triage", change, now_us=now_us, actor="test"
            )
        )
    finally:
        state.close()
    await running.workers.agent_state_changed(organisation.id, after.id, after.state)


class Stream:
    """A streamed answer that is read as it comes, to its end."""

    def __init__(self) -> None:
        self.received = b""

    async def read(self, installed: Installation) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", installed.port)
        writer.write(installed.request("slow", stream=True))
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                self.received += data
        writer.close()

    async def has_begun(self) -> None:
        async with asyncio.timeout(60):
            while b"data:" not in self.received:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.01)


SLOWLY = """\
format: 1
rules:
  - {when: {user: "slow"}, answer: {text: a b c d e f g h i j k l m n o p q r s t u v w x y z
     1 2 3 4 5 6 7 8 9, faults: {trickle_ms: 600}}}
  - answer: {text: hello there, usage: {input_tokens: 5, output_tokens: 7}}
"""


def test_what_one_plane_takes_back_no_other_plane_allows(
    postgresql_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with provider(parse(SLOWLY)) as there:
            both = pair(tmp_path, postgresql_url, there.url, "5")
            async with planes(both) as running:
                for here, other in ((0, 1), (1, 0)):
                    stream = Stream()
                    reading = asyncio.create_task(stream.read(both[other]))
                    await stream.has_begun()
                    await change_state(both[here], running[here], AgentChange.SUSPEND)
                    answers = await asyncio.gather(*(each.ask("hello") for each in both))
                    assert [each.code for each in answers] == ["agent_suspended"] * 2
                    await asyncio.wait_for(reading, 60)
                    assert b"agent_suspended" in stream.received
                    await change_state(both[other], running[other], AgentChange.RESUME)
                    for each in both:
                        assert await decided(each, "hello") == 200

                # The same for a token, and for the run that it opened.
                declared = await both[0].send("POST", RUNS, b'{"task": "t"}', BEARER)
                assert declared.status == 201
                run = msgspec.json.decode(declared.body)
                bearer = {"authorization": f"Bearer {run['token']}"}
                for each in both:
                    answer = await each.ask("in the run", headers=bearer)
                    assert answer.status == 200, answer.body
                    assert answer.headers["ringfence-invocation"] == run["id"]
                await end_token(both[1], running[1])
                for each in both:
                    assert (await each.ask("hello")).code == "credential_revoked"
                    assert (await each.ask("hello", headers=bearer)).code == "credential_revoked"

    asyncio.run(story())


RUNS = "/ringfence/v1/invocations"
BEARER = {"authorization": f"Bearer {TOKEN}"}


async def end_token(installed: Installation, running: Plane) -> None:
    organisation = running.configuration().organisations["acme"]
    agent = organisation.agents["triage"].id
    state = await asyncio.to_thread(storage_of(installed.settings).state)
    try:
        [record] = state.tokens.list(organisation.id, agent)
        now_us = time.time_ns() // 1000
        ended = state.tokens.revoke(organisation.id, agent, record.credential.id, now_us=now_us)
    finally:
        state.close()
    await running.workers.credentials_changed([ended])


def test_a_frozen_plane_lets_nothing_through_that_was_taken_back_meanwhile(
    postgresql_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with provider(parse(SLOWLY)) as there:
            awake, frozen = pair(tmp_path, postgresql_url, there.url, "5")
            async with plane(awake) as running, process(frozen) as other:
                pids = (other.pid, *children(other.pid))
                stream = Stream()
                reading = asyncio.create_task(stream.read(frozen))
                await stream.has_begun()
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.3)
                async with asyncio.timeout(30):  # who is frozen says nothing, however long
                    await change_state(awake, running, AgentChange.SUSPEND)
                before = stream.received
                late = asyncio.create_task(frozen.ask("hello"))
                await asyncio.sleep(0.3)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                assert (await late).status in {403, 503}
                await asyncio.wait_for(reading, 60)
                assert stream.received == before
                async with asyncio.timeout(60):
                    while (await frozen.ask("hello")).status != 403:  # noqa: ASYNC110 (as asked)
                        await asyncio.sleep(0.05)

    asyncio.run(story())


def test_a_run_is_one_run_on_both_planes_and_is_limited_once(
    postgresql_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with provider(parse(SLOWLY)) as there:
            both = pair(tmp_path, postgresql_url, there.url, "5", 2)
            for each in both:
                with each.settings.config.open("a") as config:
                    config.write("    limits: {model_calls: 30}\n")
            async with planes(both):
                named = {"ringfence-invocation": "ticket-7"}
                found = await asyncio.gather(
                    *(both[n % 2].ask(f"step {n}", headers=named) for n in range(80))
                )
                statuses = [each.status for each in found]
                assert sorted(statuses) == [200] * 30 + [402] * 50
                runs = {each.headers["ringfence-invocation"] for each in found}
                assert len(runs) == 1

                # What one plane ends has ended on the other.
                declared = await both[0].send("POST", RUNS, b'{"task": "t"}', BEARER)
                run = msgspec.json.decode(declared.body)
                bearer = {"authorization": f"Bearer {run['token']}"}
                assert (await both[1].ask("hello", headers=bearer)).status == 200
                finish = f"{RUNS}/{run['id']}/finish"
                assert (await both[1].send("POST", finish, b"", bearer)).status == 200
                assert (await both[0].ask("hello", headers=bearer)).code == "invocation_closed"

                # A conversation goes on wherever its next call comes to.
                said: list[dict[str, str]] = [{"role": "user", "content": "first"}]
                ids = []
                for turn in range(6):
                    answer = await both[turn % 2].ask(messages=said)
                    ids.append(answer.headers["ringfence-invocation"])
                    said += [
                        {"role": "assistant", "content": "hello there"},
                        {"role": "user", "content": f"turn {turn}"},
                    ]
                    await asyncio.sleep(0.2)
                assert len(set(ids)) == 1

    asyncio.run(story())


def test_planes_with_different_configurations_say_so(postgresql_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with provider() as there:
            first, second = pair(tmp_path, postgresql_url, there.url, "5")
            second.configure(there.url, usd="7", input_usd="0")
            async with plane(first) as running:
                with pytest.raises(UsageError) as caught:
                    async with plane(second):
                        pytest.fail("two planes with different rules")
                assert caught.value.code == "configuration_differs"
                assert await decided(first, "hello") == 200

                # New files come in by a reload; who has not reloaded yet says so.
                second.configure(there.url, usd="5", input_usd="0")
                async with plane(second) as other:
                    for each in (first, second):
                        each.configure(there.url, usd="8", input_usd="0")
                    await running.reload("test")
                    async with asyncio.timeout(60):
                        while (await second.send("GET", "/readyz")).status != 503:  # noqa: ASYNC110 (as asked)
                            await asyncio.sleep(0.05)
                    assert "epoch 2" in other.workers.readiness()
                    assert "epoch" not in running.workers.readiness()
                    await other.reload("test")
                    async with asyncio.timeout(60):  # a worker says four times a second how it is
                        while "epoch" in other.workers.readiness():  # noqa: ASYNC110 (as asked)
                            await asyncio.sleep(0.05)
                    async with asyncio.timeout(60):
                        while (await second.send("GET", "/readyz")).status != 200:  # noqa: ASYNC110 (as asked)
                            await asyncio.sleep(0.05)
                    assert other.configuration().epoch == running.configuration().epoch == 2
                    for each in (first, second):
                        assert await decided(each, "hello") == 200

    asyncio.run(story())


def test_a_key_that_one_plane_changes_leaves_the_record_of_every_plane_whole(
    postgresql_url: str, tmp_path: Path
) -> None:
    """Each plane signs its own logs with its own key, idle ones too, also while it does not run."""

    async def rotated(installed: Installation) -> None:
        place = ("--data", str(installed.data), "--config", str(installed.settings.config))
        done = await asyncio.to_thread(call, "audit", "rotate-key", *place)
        assert done.code == 0, done.written

    async def story() -> None:
        async with provider(parse(SLOWLY)) as there:
            both = pair(tmp_path, postgresql_url, there.url, "5")
            one, other = both
            async with plane(one):
                async with plane(other):
                    for each in both:
                        assert await decided(each, "hello") == 200
                    await rotated(one)
                    assert await decided(one, "hello") == 200
                await rotated(one)  # the logs of the other are idle now
            for each in both:
                await asyncio.to_thread(verified, each)
            async with plane(other):
                await rotated(other)
                assert await decided(other, "hello") == 200
        for each in both:
            await asyncio.to_thread(verified, each)

    asyncio.run(story())


def test_a_pace_is_each_planes_own(postgresql_url: str, tmp_path: Path) -> None:
    """What planes do not share is what the documents say: an upstream gets its pace from each."""
    late = "format: 1\nrules: [{answer: {text: a, faults: {delay_ms: 1000}}}]\n"

    async def story() -> None:
        async with provider(parse(late)) as there:
            both = pair(tmp_path, postgresql_url, there.url, "5")
            for each in both:
                path = each.settings.config
                paced = path.read_text().replace(
                    "protocol: openai,", "protocol: openai, pace: {concurrent: 1},"
                )
                path.write_text(paced)
            async with planes(both):
                asking = [asyncio.create_task(each.ask()) for each in both for _ in range(2)]
                async with asyncio.timeout(60):
                    while there.journal.total < len(both):  # noqa: ASYNC110 (it tells nobody)
                        await asyncio.sleep(0.05)
                await asyncio.sleep(0.3)
                assert there.journal.total == len(both)
                assert [each.status for each in await asyncio.gather(*asking)] == [200] * 4

    asyncio.run(story())
