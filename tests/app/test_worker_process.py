import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from tests.app.installation import ENVIRONMENT, TOKEN, Installation, provider
from tests.planes import soon

from ringfence.analysis.tool_pin import pin_of
from ringfence.app.change_message import Configure, CredentialsChange, Renewal, StateChange
from ringfence.app.data_port import reserve
from ringfence.app.group import Place
from ringfence.app.message import (
    VERSION,
    CatchUp,
    Done,
    Drain,
    Measure,
    Measurement,
    Message,
    Pulse,
    Start,
    Started,
)
from ringfence.app.worker_process import WorkerProcess
from ringfence.domain.agent import AgentState, DeclaredTools, Scope
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import RingfenceError
from ringfence.domain.event import Outcome, Status
from ringfence.domain.invocation import Grouping, Invocation
from ringfence.domain.lease import Slab, Take, Taken, Want
from ringfence.domain.organisation import Configuration
from ringfence.domain.registry import Card, Resolve, Resolved
from ringfence.domain.tool_source import ToolListing, ToolPin, ToolSource
from ringfence.enforcement.authority import LEASE_US
from ringfence.enforcement.directory import digest_of
from ringfence.enforcement.tool_registry import readable
from ringfence.transport.clock import SystemClock
from ringfence.transport.link import Link

FAR_US = 3600 * 1_000_000


@dataclass
class Over:
    """The supervisor's side: it keeps what it is told."""

    installed: Installation
    configuration: Configuration
    place: Place
    pulses: list[Pulse] = field(default_factory=list)
    listings: list[ToolListing] = field(default_factory=list)
    link: Link[Message] | None = None
    change: int = 0

    def told(self, message: Message) -> None:
        if isinstance(message, Pulse):
            self.pulses.append(message)
        if isinstance(message, ToolListing):
            self.listings.append(message)

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        """One run for all calls, and all that is wanted of every limit."""
        if isinstance(message, Take):
            return Taken(slabs=tuple(map(whole, message.wants)))
        assert isinstance(message, Resolve)
        organisation = self.configuration.organisations["acme"].id
        run = Invocation(
            id="inv_1",
            organisation=organisation,
            agent=self.agent,
            root="inv_1",
            parent=None,
            depth=0,
            credential=message.who.credential,
            opened_us=1,
            grouping=Grouping.TIME,
        )
        return Resolved(cards=(Card(identity=run, last_us=SystemClock().now_us()),))

    def closed(self, why: RingfenceError) -> None:
        """Nobody waits for it."""

    def ask(self, message: Message) -> asyncio.Future[Message]:
        assert self.link is not None
        return self.link.ask(message)

    def renew(self, for_us: int = FAR_US) -> None:
        assert self.link is not None
        self.link.tell(Renewal(SystemClock().monotonic_us() + for_us, self.change))

    @property
    def agent(self) -> str:
        return self.configuration.organisations["acme"].agents["triage"].id

    def next(self) -> int:
        self.change += 1
        return self.change

    def configure(self) -> Configure:
        return Configure(
            change=self.next(),
            configuration=self.configuration,
            states={},
            secrets=frozenset({"PROVIDER_KEY"}),
        )

    def start(self) -> Start:
        credential = AgentCredential(
            id="crd_1",
            organisation=self.configuration.organisations["acme"].id,
            agent=self.agent,
            digest=digest_of(TOKEN.encode()),
            created_us=0,
        )
        return Start(
            worker=1,
            data=str(self.installed.data),
            log="log_worker",
            place=self.place,
            configure=self.configure(),
            credentials=(credential,),
        )

    def suspend(self, state: AgentState = AgentState.SUSPENDED) -> asyncio.Future[Message]:
        organisation = self.configuration.organisations["acme"].id
        return self.ask(
            StateChange(
                change=self.next(), organisation=organisation, agent=self.agent, state=state
            )
        )


def whole(want: Want) -> Slab:
    return Slab(
        key=want.key,
        window_start_us=want.window_start_us,
        window_end_us=want.window_end_us,
        amount=want.limit,
        limit=want.limit,
        free=0,
    )


@asynccontextmanager
async def worker(
    installed: Installation, url: str
) -> AsyncIterator[tuple[Over, asyncio.Task[None]]]:
    """A worker in this process, and the other end of its link."""
    installed.configure(url)
    configuration = installed.give_token()
    held = reserve(Place(host="127.0.0.1", port=0))
    installed.port = held.getsockname()[1]
    ours, theirs = socket.socketpair()
    over = Over(installed, configuration, Place(host="127.0.0.1", port=installed.port))
    serving = asyncio.create_task(WorkerProcess(ENVIRONMENT).serve(theirs))
    over.link = await Link[Message].over(ours, Message, VERSION, over)
    try:
        yield over, serving
    finally:
        over.link.close()
        await asyncio.wait({serving}, timeout=60)
        held.close()
        theirs.close()


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_a_worker_serves_as_long_as_it_has_authority(
    installed: Installation, pass_by: Callable[[float], None]
) -> None:
    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, serving):
            assert await over.ask(over.start()) == Started(port=installed.port)
            over.renew(60 * LEASE_US)
            assert (await installed.ask()).status == 200
            pass_by(61)
            health = await installed.send("GET", "/readyz")
            assert (health.status, b"supervisor" in health.body) == (503, True)
            asking = asyncio.create_task(installed.ask())
            await asyncio.sleep(0.2)
            assert not asking.done()
            over.renew()
            assert (await asking).status == 200
            assert await over.ask(CatchUp(with_bodies=True)) == Done()
            measured = await over.ask(Measure())
            assert isinstance(measured, Measurement)
            assert sum(count.calls for _, count in measured.measured.calls) == 2
            await soon(lambda: over.pulses[-1].open_invocations == 1)
            assert over.pulses[-1].memory_bytes > 0
            assert await over.ask(Drain(1)) == Done()
            await asyncio.wait_for(serving, 60)
        assert len([e for e in installed.events() if isinstance(e, Outcome)]) == 2

    asyncio.run(story())


def test_changes_that_come_while_it_starts_are_taken_in_order(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, _):
            starting = over.ask(over.start())
            changes = [over.suspend(), over.suspend(AgentState.ACTIVE), over.suspend()]
            over.renew()
            assert await asyncio.gather(*changes) == [Done()] * 3
            await starting
            over.renew()
            assert (await installed.ask()).code == "agent_suspended"

    asyncio.run(story())


def test_a_renewal_of_an_older_change_lets_nobody_in(
    installed: Installation, pass_by: Callable[[float], None]
) -> None:
    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, _):
            await over.ask(over.start())
            over.renew(LEASE_US)
            pass_by(2)
            over.change -= 1
            over.renew()
            assert (await installed.ask()).code == "store_unavailable"
            assert there.journal.total == 0

    asyncio.run(story())


def test_a_revoked_credential_and_a_new_configuration_are_taken(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, _):
            start = over.start()
            await over.ask(start)
            acme = over.configuration.organisations["acme"]
            narrow = replace(acme.agents["triage"], scope=Scope(models=frozenset({"claude"})))
            changed = {"acme": replace(acme, agents={"triage": narrow})}
            over.configuration = replace(over.configuration, organisations=changed, epoch=9)
            await over.ask(over.configure())
            over.renew()
            assert (await installed.ask()).code == "out_of_scope"
            revoked = tuple(replace(each, revoked_us=1) for each in start.credentials)
            await over.ask(CredentialsChange(change=over.next(), credentials=revoked))
            over.renew()
            assert (await installed.ask()).code == "credential_revoked"

    asyncio.run(story())


def test_a_configuration_whose_secret_is_not_there_is_refused_whole(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, _):
            await over.ask(over.start())
            wrong = Configure(
                change=over.change + 1,
                configuration=over.configuration,
                states={},
                secrets=frozenset({"PROVIDER_KEY", "NEVER_SET"}),
            )
            with pytest.raises(RingfenceError, match="NEVER_SET"):
                await over.ask(wrong)
            over.renew()
            assert (await installed.ask()).status == 200

    asyncio.run(story())


def test_when_the_supervisor_goes_nothing_more_is_written_and_all_is_recorded(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, serving):
            await over.ask(over.start())
            over.renew()
            asking = asyncio.create_task(installed.ask("stall", stream=True))
            async with asyncio.timeout(60):
                while there.journal.total == 0:  # noqa: ASYNC110 (the provider tells nobody)
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            assert over.link is not None
            over.link.close()
            async with asyncio.timeout(60):
                await serving
            answer = await asking
            assert b"[DONE]" not in answer.body
        [outcome] = [e for e in installed.events() if isinstance(e, Outcome)]
        assert outcome.status in {Status.CUT, Status.FAILED}
        assert outcome.cost_nano == outcome.reserved_nano

    asyncio.run(story())


def test_what_is_accepted_of_tools_is_known_from_the_start_and_whenever_it_changes(
    installed: Installation,
) -> None:
    function = {"name": "get", "description": "Gets.", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}]

    async def story() -> None:
        async with provider() as there, worker(installed, there.url) as (over, _):
            acme = over.configuration.organisations["acme"]
            holding = replace(acme.agents["triage"], declared_tools=DeclaredTools.HOLD)
            held = {"acme": replace(acme, agents={"triage": holding})}
            over.configuration = replace(over.configuration, organisations=held)
            source = f"agent/{over.agent}/unnamed"
            other = ToolPin(
                name="get", pin="sha256:other", raw=b"{}", pinned_us=1, pinned_by="user:ann"
            )
            listing = ToolListing(organisation=acme.id, source=source, raw=())
            known = ToolSource(listing=listing, pins=(other,))
            await over.ask(msgspec.structs.replace(over.start(), tools=(known,)))
            over.renew()
            assert (await installed.ask(tools=tools)).code == "tool_changed"
            [seen] = over.listings
            assert (seen.source, len(seen.raw)) == (source, 1)
            (definition,) = readable(source, seen.raw)
            accepted = msgspec.structs.replace(other, pin=pin_of(definition), raw=definition.raw)
            assert over.link is not None
            over.link.tell(ToolSource(listing=seen, pins=(accepted,)))
            await over.ask(Measure())
            assert (await installed.ask(tools=tools)).status == 200

    asyncio.run(story())
