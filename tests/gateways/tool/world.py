"""A worker with its tool door on a real port, in front of scripted tool servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.gateways.world import MemoryLedger, MemoryUsers, agent, organisation
from tests.gateways.world import _credential as credential
from tests.testing.tools.asking import Asking

from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.domain.agent import Limits, Scope
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.tool import PermissionTier, ToolServer
from ringfence.enforcement.approval import Approvals
from ringfence.gateways.tool.neighbour import Neighbours
from ringfence.stores.ledger import Recovered
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.testing.ids import SequentialIds
from ringfence.testing.tools.plan import Journal, Plan
from ringfence.testing.tools.serving import Running, serving
from ringfence.transport.client import Pool
from ringfence.transport.clock import SystemClock
from ringfence.transport.server import Server

Json = dict[str, Any]
TIERS = (("*", PermissionTier.READ),)
SECRET = "a-credential-of-the-server-0123456789"


@dataclass(slots=True)
class World:
    """Everything around one door."""

    worker: Worker
    ledger: MemoryLedger
    servers: Mapping[str, Running]
    pool: Pool
    url: str
    config: Organisation
    server: Server

    def works(self) -> int:
        """How many requests are being answered."""
        return len(self.server._service.works)  # noqa: SLF001 (what is left is what is asked)

    @property
    def journal(self) -> Journal:
        """What the first server has executed."""
        return next(iter(self.servers.values())).journal

    def client(
        self, path: str = "/mcp/crm", *headers: tuple[bytes, bytes], name: str = "triage"
    ) -> Asking:
        """A client with an agent's token."""
        token = (b"authorization", f"Bearer rf_agt_{name}".encode())
        return Asking(self.pool, self.url + path, token, *headers)

    async def reload_server(self, name: str, url: str) -> None:
        """Have a server at another address from now on."""
        await self.redefine(name, url=url)

    async def redefine(self, name: str, **fields: Any) -> None:  # noqa: ANN401 (of a server)
        """Have a server be another from now on."""
        tools = {**self.config.tools, name: replace(self.config.tools[name], **fields)}
        self.config = replace(self.config, tools=tools)
        made = Configuration(organisations={"acme": self.config}, digest="sha256:2", epoch=2)
        await self.worker.configuration_changed(made, {})

    async def turns(self, until: Callable[[], object]) -> None:
        """Wait for a moment until something is so."""
        async with asyncio.timeout(60):
            while not until():  # noqa: ASYNC110 (any condition, and no event for it)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def world(  # noqa: PLR0913 (a world has these parts)
    *plans: Plan,
    tools: tuple[str, ...] = (),
    approvals: Approvals | None = None,
    number: int = 1,
    count: int = 1,
    folder: Path = Path(),
    url: str = "",
    **fields: Any,  # noqa: ANN401 (of the servers)
) -> AsyncIterator[World]:
    """A door in front of one server per plan, named after it."""
    plans = plans or (Plan(name="crm"),)
    async with AsyncExitStack() as stack:
        running = {each.name: await stack.enter_async_context(serving(each)) for each in plans}
        servers = {
            name: ToolServer(name=name, url=url or each.url, **{"tiers": TIERS, **fields})
            for name, each in running.items()
        }
        scope = Scope(models=frozenset(), tools=tools or tuple(f"{name}__*" for name in servers))
        limits = Limits(default_output_tokens=100)
        agents = {
            name: agent(name, scope=scope, limits=limits, budgets=())
            for name in ("triage", "other")
        }
        config = replace(organisation(agents=agents), tools=servers)
        clock = SystemClock()
        ledger = MemoryLedger()
        pool = Pool()
        stack.push_async_callback(pool.close)
        worker = Worker(
            Surroundings(
                ledger=ledger,
                client=pool,
                secrets=EnvironmentSecrets(
                    frozenset({"KEY", "CRM"}), {"KEY": "k" * 20, "CRM": SECRET}
                ),
                clock=clock,
                ids=SequentialIds(),
                readiness=lambda: "",
                users=MemoryUsers(),
                approvals=approvals,
                neighbours=Neighbours(number=number, count=count, folder=folder),
                seal_key=b"k" * 32,
            ),
            Recovered(),
        )
        configuration = Configuration(organisations={"acme": config}, digest="sha256:1", epoch=1)
        worker.install(configuration, {}, [credential(each) for each in agents.values()], [])
        server = Server(worker.data_plane.handle)
        port = await server.listen("127.0.0.1", 0)
        if count > 1:
            await server.listen_unix(folder / f"worker-{number}.sock")
        stack.push_async_callback(server.close)
        stack.push_async_callback(worker.tooling.door.close)
        where = f"http://127.0.0.1:{port}"
        yield World(worker, ledger, running, pool, where, config, server)


Scene = Callable[[World], Awaitable[None]]


def play(scene: Scene, *plans: Plan, **more: Any) -> None:  # noqa: ANN401 (as `world` takes them)
    """Play a scene in a world."""

    async def run() -> None:
        async with world(*plans, **more) as made:
            await scene(made)

    asyncio.run(run())


def text_of(answer: Json) -> str:
    """What a result says."""
    return str(answer["result"]["content"][0]["text"])
