"""The egress gateway for the bench: one open sandbox, with its proxy listener on loopback.

    python -m bench.egress.gateway --port PORT --authority FILE --folder DIR [--profile LINES]

Everything is real but the namespace: the path, policies, the secret and its scrubbing, the ledger
(SQLite, FULL sync) and the bodies. Prints the port of the proxy and the file of its certificate.
"""

import argparse
import asyncio
import cProfile
import pstats
import signal
import socket
from dataclasses import replace
from pathlib import Path

import uvloop
from bench.egress.upstream import CREDENTIAL
from tests.gateways.world import MemoryUsers, agent, organisation

from ringfence.app.interpreter import freeze, prefer_loop
from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.domain.agent import Limits, SandboxTier
from ringfence.domain.credential import AgentCredential
from ringfence.domain.egress import EgressRules
from ringfence.domain.monitoring import Close, Ended, ExecWaits, Join, Kill
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.sandbox import ListenerKind, SandboxOrder
from ringfence.domain.secret import (
    FromStore,
    InHeader,
    SecretBinding,
    SecretDefinition,
    SecretValue,
)
from ringfence.stores.body import BodyStore
from ringfence.stores.ledger import Fence, LedgerWriter, Recovered
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.transport.client import Pool
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds


class _Nobody:
    """A monitor that is asked nothing."""

    async def end(self, _close: Close) -> Ended | None:
        return None

    def tell(self, _message: ExecWaits | Kill) -> None:
        """Nothing is asked of a person here."""


def house(port: int, authority: str) -> Organisation:
    """One agent with one host, and one secret that is added there."""
    base = agent(limits=Limits(http_call_bytes=1 << 20), secrets=frozenset({"crm"}))
    used = replace(base, scope=replace(base.scope, hosts=(f"localhost:{port}",)))
    binding = SecretBinding(host="localhost", port=port, location=InHeader(prefix="Bearer "))
    secret = SecretDefinition(name="crm", origin=FromStore(), bindings=(binding,))
    rules = EgressRules(authority=authority, addresses={"localhost": "127.0.0.1"})
    return organisation(agents={used.name: used}, secrets={"crm": secret}, egress=rules)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    clock, folder = SystemClock(), Path(arguments.folder)
    bodies = BodyStore.open(folder, limit_bytes=1 << 30)
    ledger = LedgerWriter.open(Fence.take(folder, "log_bench"), bodies=bodies)
    value = SecretValue(organisation="acme", name="crm", value=CREDENTIAL)
    config = house(arguments.port, arguments.authority)
    worker = Worker(
        Surroundings(
            ledger=ledger,
            client=Pool(),
            secrets=EnvironmentSecrets(frozenset(), {}, [value]),
            clock=clock,
            ids=RandomIds(clock),
            readiness=str,
            users=MemoryUsers(),
        ),
        Recovered(),
    )
    known = Configuration(organisations={config.name: config}, digest="sha256:1", epoch=1)
    worker.install(known, {}, list[AgentCredential](), [])
    registry = worker.sandboxing.registry
    order = SandboxOrder(
        organisation="org_acme",
        agent="agt_triage",
        tier=SandboxTier.STRICT,
        command=("bash",),
        workspace="/project",
        directory="/project",
        actor="cli:uid=0",
    )
    grant = await registry.open(order)
    proxy = socket.create_server(("127.0.0.1", 0))
    join = Join(
        version="1", ticket=grant.ticket, tier=grant.tier, pid=7, plan="", binds=(), kinds=()
    )
    await registry.join(join, [(ListenerKind.PROXY, proxy)], _Nobody())
    trust = folder / "sandbox.pem"
    trust.write_text(grant.ca_pem)
    print(f"{proxy.getsockname()[1]} {trust}", flush=True)
    freeze()  # as workers do when they are wired, and below when they begin
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    await ended.wait()
    if arguments.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(arguments.profile)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authority", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--profile", type=int, default=0)
    prefer_loop()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args()))
