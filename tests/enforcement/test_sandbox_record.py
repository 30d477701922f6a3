import asyncio

from tests.enforcement.test_sandbox import box
from tests.gateways.world import MemoryLedger, World

from ringfence.domain.agent import SandboxTier
from ringfence.domain.event import Change
from ringfence.domain.monitoring import Ended, Join
from ringfence.domain.sandbox import ListenerKind, SandboxEnd
from ringfence.enforcement.sandbox_record import PlainRecord

JOIN = Join(
    version="1",
    ticket="rf_tkt_canary",
    tier=SandboxTier.STRICT,
    pid=7,
    plan="ab12",
    binds=("ro /usr", "rw /srv/work"),
    kinds=(ListenerKind.GATEWAY, ListenerKind.PROXY),
)


def written(ledger: MemoryLedger) -> list[Change]:
    return [each for each in ledger.events if isinstance(each, Change)]


def test_a_start_says_how_the_sandbox_is_made_and_never_its_ticket() -> None:
    async def story() -> None:
        world = World()
        record = PlainRecord(
            ledger=world.ledger, directory=world.worker.directory, clock=world.clock
        )
        record.started(box(SandboxTier.STRICT), JOIN)
        (change,) = written(world.ledger)
        assert (change.what, change.subject, change.invocation) == (
            "sandbox.started",
            "sbx_1",
            "inv_1",
        )
        assert change.actor == "cli:uid=0"
        assert change.detail["tier"] == "strict"
        assert change.detail["plan"] == "ab12"
        assert change.detail["binds"] == "ro /usr\nrw /srv/work"
        assert change.detail["listeners"] == "gateway proxy"
        assert change.detail["command"] == "true"
        assert "canary" not in repr(change)

    asyncio.run(story())


def test_an_end_says_why_and_how_as_far_as_somebody_knows() -> None:
    async def story() -> None:
        world = World()
        record = PlainRecord(
            ledger=world.ledger, directory=world.worker.directory, clock=world.clock
        )
        ended = Ended(exit_code=137, signal=9, cpu_us=5, memory_bytes=6)
        record.ended(box(SandboxTier.STRICT), SandboxEnd.TIME, ended)
        record.ended(box(SandboxTier.STRICT), SandboxEnd.MONITOR_LOST, None)
        timed, lost = written(world.ledger)
        assert timed.detail["why"] == "time"
        assert timed.detail["signal"] == "9"
        assert lost.detail["why"] == "monitor_lost"
        assert "exit_code" not in lost.detail

    asyncio.run(story())
