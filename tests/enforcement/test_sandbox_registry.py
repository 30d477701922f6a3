import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from tests.gateways.world import SECOND_US, World, agent, chat, code_of, organisation

from ringfence.domain.agent import Agent, AgentState, SandboxTier, Scope
from ringfence.domain.error import RingfenceError, UnavailableError, UsageError
from ringfence.domain.invocation import InvocationState
from ringfence.domain.monitoring import Close, Ended, Join
from ringfence.domain.sandbox import SandboxEnd, SandboxGrant, SandboxOrder
from ringfence.enforcement.directory import Caller, digest_of
from ringfence.enforcement.sandbox import Listeners, LiveSandbox
from ringfence.enforcement.sandbox_registry import Sandboxes, SandboxParts
from ringfence.testing.http import MemoryRequest, MemoryResponse
from ringfence.transport.work import until_over


class Record:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.ends: list[tuple[SandboxEnd, Ended | None]] = []

    def started(self, sandbox: LiveSandbox, join: Join) -> None:
        self.told.append(f"started {sandbox.id} {join.pid}")

    def ended(self, sandbox: LiveSandbox, why: SandboxEnd, ended: Ended | None) -> None:
        self.told.append(f"ended {sandbox.id} {why}")
        self.ends.append((why, ended))


class Door:
    """A door that remembers whom it serves."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    async def serve(self, sandbox: LiveSandbox, listeners: Listeners) -> None:
        self.told.append(f"serve {sandbox.id} {len(listeners)}")

    async def stop(self, sandbox: LiveSandbox) -> None:
        self.told.append(f"stop {sandbox.id}")


class Monitor:
    """A monitor that ends everything when it is told to."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    async def end(self, close: Close) -> Ended | None:
        self.told.append(f"told {close.why}")
        return Ended(exit_code=143, signal=15)

    def tell(self, message: object) -> None:
        self.told.append(type(message).__name__)


class Yard:
    """One worker's sandboxes, with everything around them in memory."""

    def __init__(self, of: Agent | None = None) -> None:
        used = of or agent()
        self.world = World(organisation(agents={used.name: used}))
        self.record = Record()
        worker = self.world.worker
        self.sandboxes = Sandboxes(
            SandboxParts(
                directory=worker.directory,
                invocations=worker.invocations,
                ledger=self.world.ledger,
                clock=self.world.clock,
                ids=self.world.ids,
                record=self.record,
                doors=(Door(self.record.told),),
            ),
            "/run/sandboxes.sock",
        )

    async def open(self, **more: object) -> SandboxGrant:
        return await self.sandboxes.open(order(**more))

    async def join(self, grant: SandboxGrant) -> LiveSandbox:
        join = Join(
            version="1",
            ticket=grant.ticket,
            tier=grant.tier,
            pid=7,
            plan="",
            binds=(),
            kinds=(),
        )
        return await self.sandboxes.join(join, (), Monitor(self.record.told))

    def caller(self, grant: SandboxGrant) -> Caller | None:
        found = self.world.worker.directory.identify(
            digest_of(grant.token.encode()), self.world.clock.now_us()
        )
        return found if isinstance(found, Caller) else None

    async def ask(self, grant: SandboxGrant | None, token: str) -> MemoryResponse:
        """A model call: on the sandbox's own listener, or on the data port."""
        plane = self.world.worker.data_plane
        box = None if grant is None else self.sandboxes.find(grant.id)
        handle = plane.handle if box is None else plane.within(box)
        response = MemoryResponse()
        request = MemoryRequest(
            "POST",
            "/v1/chat/completions",
            headers=[(b"authorization", b"Bearer " + token.encode())],
            body=msgspec.json.encode(chat()),
        )
        going = handle(request, response)
        if asyncio.iscoroutine(going):
            await going
        elif going is not None:
            await until_over(going)
        return response


def order(**more: object) -> SandboxOrder:
    plain: dict[str, object] = {
        "organisation": "org_acme",
        "agent": "agt_triage",
        "tier": SandboxTier.STRICT,
        "command": ("true",),
        "workspace": "/srv/work",
        "directory": "/srv/work",
        "actor": "cli:uid=0",
    }
    return SandboxOrder(**(plain | more))  # type: ignore[arg-type] # an order's parts


def test_a_sandbox_is_served_when_its_start_is_on_record() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        assert yard.record.told == []
        box = await yard.join(grant)
        assert yard.record.told == [f"started {grant.id} 7", f"serve {grant.id} 0"]
        assert box.is_open
        assert box.sandbox.invocation == grant.invocation
        assert box.sandbox.monitor_pid == 7

    asyncio.run(story())


def test_a_start_that_cannot_be_recorded_is_none() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        yard.world.ledger.is_failing = True
        with pytest.raises(UnavailableError):
            await yard.join(grant)
        assert yard.caller(grant) is None
        assert yard.sandboxes.find(grant.id) is None
        assert not any(each.startswith("serve") for each in yard.record.told)

    asyncio.run(story())


def test_a_ticket_is_good_once() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        with pytest.raises(UsageError) as caught:
            await yard.join(grant)
        assert caught.value.code == "ticket_unknown"

    asyncio.run(story())


def test_a_grant_that_nobody_takes_up_is_over_after_a_minute() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        yard.world.clock.advance(61 * SECOND_US)
        yard.sandboxes.check()
        await asyncio.sleep(0.01)
        assert yard.record.ends == [(SandboxEnd.NOT_STARTED, None)]
        with pytest.raises(UsageError):
            await yard.join(grant)
        assert yard.caller(grant) is None

    asyncio.run(story())


def test_its_token_is_the_invocations_and_dies_with_it() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        box = await yard.join(grant)
        caller = yard.caller(grant)
        assert caller is not None
        assert caller.invocation == grant.invocation
        assert caller.credential == grant.id
        await yard.sandboxes.close(grant.id, SandboxEnd.STOPPED)
        assert yard.caller(grant) is None
        assert box.live.state is InvocationState.FINISHED

    asyncio.run(story())


def test_network_goes_before_the_processes_and_the_record_comes_last() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        yard.record.told.clear()
        await asyncio.gather(
            yard.sandboxes.close(grant.id, SandboxEnd.STOPPED),
            yard.sandboxes.close(grant.id, SandboxEnd.STOPPED),
        )
        assert yard.record.told == [
            f"stop {grant.id}",
            "told stopped",
            f"ended {grant.id} stopped",
        ]
        assert yard.record.ends[0][1] == Ended(exit_code=143, signal=15)

    asyncio.run(story())


def test_a_monitor_that_says_it_has_ended_is_not_told_to() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        ended = Ended(exit_code=3)
        await yard.sandboxes.close(grant.id, SandboxEnd.EXITED, ended=ended)
        assert yard.record.ends == [(SandboxEnd.EXITED, ended)]
        assert "told exited" not in yard.record.told

    asyncio.run(story())


@pytest.mark.parametrize("state", [AgentState.SUSPENDED, AgentState.RETIRED])
def test_an_agent_that_may_not_act_loses_its_sandbox(state: AgentState) -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        await yard.world.suspend(state=state)
        yard.sandboxes.check()
        await asyncio.sleep(0.01)
        assert [why for why, _ in yard.record.ends] == [SandboxEnd.AGENT_NOT_ACTIVE]

    asyncio.run(story())


def test_an_agent_that_is_suspended_before_the_start_never_starts() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.world.suspend()
        with pytest.raises(UsageError, match="suspended"):
            await yard.join(grant)

    asyncio.run(story())


def test_a_stopped_invocation_ends_its_sandbox() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open(seconds=60)
        await yard.join(grant)
        yard.world.clock.advance(61 * SECOND_US)
        yard.world.worker.tidy()
        await asyncio.sleep(0.01)
        assert [why for why, _ in yard.record.ends] == [SandboxEnd.INVOCATION_ENDED]

    asyncio.run(story())


def test_a_sandbox_that_is_open_is_not_idle() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        box = await yard.join(grant)
        for _ in range(3):
            yard.world.clock.advance(1000 * SECOND_US)
            yard.sandboxes.check()
            yard.world.worker.tidy()
        assert box.live.state is InvocationState.OPEN

    asyncio.run(story())


REFUSED = [
    (agent(), {"tier": SandboxTier.REDUCED}, "sandbox_tier"),
    (agent(scope=Scope(commands=("git",))), {}, "allow_list_empty"),
    (agent(), {"agent": "agt_nobody"}, "worker_behind"),
    (agent(), {"organisation": "org_other"}, "worker_behind"),
]


@pytest.mark.parametrize(("of", "more", "code"), REFUSED)
def test_what_may_not_be_run_gets_nothing(of: Agent, more: dict[str, object], code: str) -> None:
    async def story() -> None:
        yard = Yard(of)
        with pytest.raises(RingfenceError) as caught:
            await yard.open(**more)
        assert caught.value.code == code
        assert list(yard.sandboxes.all()) == []
        assert len(yard.world.worker.invocations) == 0

    asyncio.run(story())


def test_a_suspended_agent_is_refused_by_name() -> None:
    async def story() -> None:
        yard = Yard()
        await yard.world.suspend()
        with pytest.raises(UsageError, match="agent `triage` is suspended") as caught:
            await yard.open()
        assert caught.value.code == "agent_state"

    asyncio.run(story())


def test_limits_on_new_runs_hold_for_sandboxes() -> None:
    async def story() -> None:
        plain = agent()
        yard = Yard(replace(plain, limits=replace(plain.limits, open_invocations=1)))
        await yard.open()
        with pytest.raises(UsageError) as caught:
            await yard.open()
        assert caught.value.code == "sandbox_refused"
        assert len(list(yard.sandboxes.all())) == 1

    asyncio.run(story())


def test_two_sandboxes_share_neither_token_nor_invocation() -> None:
    async def story() -> None:
        yard = Yard()
        one, other = await yard.open(), await yard.open()
        assert len({one.token, other.token, one.ticket, other.ticket}) == 4
        assert one.invocation != other.invocation
        await yard.join(one)
        await yard.join(other)
        assert (await yard.ask(one, one.token)).status == 200
        assert code_of(await yard.ask(other, one.token)) == "credential_unknown"

    asyncio.run(story())


def test_its_token_works_on_its_own_listener_alone() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        inside = await yard.ask(grant, grant.token)
        assert inside.status == 200
        assert inside.headers[b"ringfence-invocation"].decode() == grant.invocation
        assert code_of(await yard.ask(None, grant.token)) == "credential_unknown"

    asyncio.run(story())


@pytest.mark.parametrize("token", ["rf_agt_triage", "rf_agt_nobody", ""])
def test_no_other_token_works_on_its_listener_and_the_attempt_is_recorded(token: str) -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        before = len(yard.world.ledger.refusals)
        answer = await yard.ask(grant, token)
        assert answer.status == 401
        refused: Sequence[object] = yard.world.ledger.refusals[before:]
        assert [each.credential for each in yard.world.ledger.refusals[before:]] == [grant.id]
        assert len(refused) == 1

    asyncio.run(story())


def test_another_worker_knows_its_token_only_from_the_worker_that_serves_it() -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        directory = yard.world.worker.directory
        digest, now_us = digest_of(grant.token.encode()), yard.world.clock.now_us()
        directory.drop_credential(grant.id)  # as on every worker but the one that serves it
        assert not isinstance(directory.identify(digest, now_us), Caller)
        assert isinstance(directory.identify(digest, now_us, is_forwarded=True), Caller)

    asyncio.run(story())


@pytest.mark.parametrize(("peer", "status"), [("local", 200), ("127.0.0.1", 401)])
def test_saying_that_a_request_was_handed_over_is_believed_on_the_workers_own_socket_alone(
    peer: str, status: int
) -> None:
    async def story() -> None:
        yard = Yard()
        grant = await yard.open()
        await yard.join(grant)
        response = MemoryResponse()
        bearer = (b"authorization", b"Bearer " + grant.token.encode())
        request = MemoryRequest(
            "GET", "/v1/models", headers=[bearer, (b"ringfence-forwarded", b"1")]
        )
        request.peer = peer
        yard.world.worker.data_plane.handle(request, response)
        assert response.status == status

    asyncio.run(story())
