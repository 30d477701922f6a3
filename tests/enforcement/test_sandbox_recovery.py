import asyncio

from tests.enforcement.test_sandbox_registry import Yard

from ringfence.domain.event import Observation
from ringfence.domain.invocation import InvocationState
from ringfence.enforcement.sandbox_recovery import LostSandboxes


def lost_of(yard: Yard) -> LostSandboxes:
    worker = yard.world.worker
    return LostSandboxes(worker.observations, worker.invocations, yard.world.clock)


def test_a_sandbox_that_nobody_serves_ended_with_its_plane_on_the_record() -> None:
    async def story() -> None:
        yard = Yard()
        grant, other = await yard.open(), await yard.open()
        await yard.world.ask(headers={"ringfence-invocation": "of an agent outside"})
        yard.world.worker.invocations.on_end = None  # whoever served it is no more
        lost_of(yard).end({grant.id})
        invocations = yard.world.worker.invocations
        gone, left = invocations.find(grant.invocation), invocations.find(other.invocation)
        assert gone is not None
        assert left is not None
        assert (gone.state, left.state) == (InvocationState.STOPPED, InvocationState.OPEN)
        (seen,) = [each for each in yard.world.ledger.events if isinstance(each, Observation)]
        assert (seen.what, seen.subject) == ("sandbox.ended", "plane_stopped")
        assert (seen.sandbox, seen.invocation) == (grant.id, grant.invocation)
        assert yard.world.ledger.changes[-1] == "invocation.stopped"

    asyncio.run(story())


def test_at_a_start_every_sandbox_is_lost_and_no_other_run_is() -> None:
    async def story() -> None:
        yard = Yard()
        await yard.open()
        await yard.open()
        await yard.world.ask(headers={"ringfence-invocation": "of an agent outside"})
        yard.world.worker.invocations.on_end = None
        lost_of(yard).end()
        assert [each.identity.credential for each in yard.world.worker.invocations.open()] == [
            "crd_triage"
        ]

    asyncio.run(story())
