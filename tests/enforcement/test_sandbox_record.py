"""The life of a sandbox stands in the trace of its invocation."""

import asyncio

import msgspec
from tests.enforcement.cell import Cell

from ringfence.domain.event import Change, Observation, Outcome
from ringfence.domain.monitoring import Ended
from ringfence.domain.observation import Seen
from ringfence.domain.sandbox import SandboxEnd
from ringfence.enforcement.observation import Sighting


def test_its_start_says_how_it_is_confined_and_what_for() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open(command=("claude", "-p", "hello"))
        [event] = cell.seen
        assert (event.what, event.subject, event.sandbox) == (
            "sandbox.started",
            "claude -p hello",
            box.id,
        )
        assert event.invocation == box.sandbox.invocation
        assert event.detail["tier"] == "strict"
        assert event.detail["binds"] == "ro /usr, rw /project"
        assert event.detail["bounds"] == "64 processes: cgroup v2, memory: no bound"
        assert event.detail["plan"] == "sha256:plan"
        assert event.detail["actor"] == "cli:uid=0"
        told = msgspec.json.encode(cell.ledger.events).decode()
        assert "rf_tkt" not in told
        assert "rf_inv" not in told

    asyncio.run(story())


def test_what_still_ran_is_settled_before_the_end_is_told() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        await cell.go()
        await cell.close(Ended(exit_code=3, cpu_us=5, memory_bytes=7))
        *_, outcome, ended, finished = cell.ledger.events
        assert isinstance(outcome, Outcome)
        assert isinstance(ended, Observation)
        assert isinstance(finished, Change)
        assert (ended.what, ended.subject) == ("sandbox.ended", SandboxEnd.EXITED)
        assert ended.detail == {"exit_code": "3", "cpu_us": "5", "memory_bytes": "7"}
        assert finished.what == "invocation.finished"

    asyncio.run(story())


def test_the_bounds_that_it_ran_into_stand_at_its_end() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        await cell.go()
        await cell.close(Ended(exit_code=0, killed_for_memory=2, processes_refused=31))
        *_, ended, _ = cell.ledger.events
        assert isinstance(ended, Observation)
        assert ended.detail["killed_for_memory"] == "2"
        assert ended.detail["processes_refused"] == "31"

    asyncio.run(story())


def test_what_was_counted_of_it_is_told_before_its_end() -> None:
    async def story() -> None:
        cell = Cell()
        box = await cell.open()
        for _ in range(3):
            cell.refused("/usr/bin/curl")
            sighting = Sighting(what=Seen.DNS_QUERY, subject="evil.example")
            cell.world.worker.observations.see(box.caller, box.sandbox, sighting)
        await cell.close()
        assert [each.repeats for each in cell.ledger.refusals] == [0, 2]
        told = [(each.what, each.repeats) for each in cell.seen[1:]]
        assert told == [("dns.query", 0), ("dns.query", 2), ("sandbox.ended", 0)]

    asyncio.run(story())


def test_a_signal_is_named_and_nobodys_word_is_left_out() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        cell.shell.record.ended(cell.box, SandboxEnd.STOPPED, Ended(exit_code=0, signal=15))
        cell.shell.record.ended(cell.box, SandboxEnd.MONITOR_LOST, None)
        first, unseen, second = cell.seen[1:]
        assert first.detail["signal"] == "SIGTERM"
        assert (unseen.what, unseen.subject) == ("workspace", cell.box.sandbox.workspace)
        assert unseen.detail == {"trouble": "nobody has looked at it after the run"}
        assert second.detail == {}

    asyncio.run(story())


def test_a_workspace_that_was_looked_at_is_not_said_to_be_unseen() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open()
        cell.box.is_seen = True
        cell.shell.record.ended(cell.box, SandboxEnd.MONITOR_LOST, None)
        assert [each.what for each in cell.seen[1:]] == ["sandbox.ended"]

    asyncio.run(story())


def test_where_the_agent_may_write_no_program_is_of_the_system() -> None:
    async def story() -> None:
        cell = Cell()
        await cell.open(workspace="/opt/project")
        shell = cell.path.shell(cell.box.id)
        assert shell is not None
        assert shell.writable == ("/project", "/opt/project")
        assert cell.refused("/opt/project/git", "git").code == "out_of_scope"

    asyncio.run(story())
