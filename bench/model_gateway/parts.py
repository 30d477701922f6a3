"""Where Ringfence's time goes: CPU of each thread under load, and of each stage by itself.

Run `python -m bench.model_gateway.parts`. Stages are timed in this process, best of many runs, with
nothing else going on; under load, with caches and the interpreter shared, each takes about half as
long again.
"""

import asyncio
import os
import tempfile
import timeit
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.model_gateway.load import press
from bench.model_gateway.ringfence import Ringfence, settings_text
from bench.model_gateway.run import LOAD_CORE, Bench
from bench.model_gateway.scenario import Scenario, body_of
from bench.model_gateway.upstream import document

from ringfence.app.configuration import prepare
from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.config.settings import resolve
from ringfence.decisions.settlement import Billing
from ringfence.domain.credential import AgentCredential
from ringfence.domain.event import AnyEvent, Intent, Status
from ringfence.domain.model import ProviderProtocol
from ringfence.enforcement.directory import Caller, digest_of
from ringfence.enforcement.model_call import ModelKnock
from ringfence.enforcement.ticket import Ending, Ticket
from ringfence.protocols import canonical
from ringfence.protocols import headers as passing
from ringfence.protocols.chat import ChatCodec
from ringfence.stores.body import Body
from ringfence.stores.body.address import Addresses
from ringfence.stores.ledger import Recovered
from ringfence.transport.client import Pool
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds
from ringfence.transport.http import Client

_ROOT: Final = Path(__file__).parents[2]
TOKEN: Final = b"rf_0000000000000000000000000000000000000000000"
_HEADERS: Final = (
    (b"host", b"127.0.0.1:8484"),
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer " + TOKEN),
    (b"content-length", b"4005"),
)


class _NoLedger:
    """Takes events and does nothing with them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Callable[[Sequence[AnyEvent]], None]] = []

    def intend(
        self, _intent: Intent, _body: Body | None, *, is_open: bool = False
    ) -> asyncio.Future[None]:
        del is_open
        done = self._loop.create_future()
        self._loop.call_soon(_end, done)
        return done

    def record(self, event: AnyEvent, _body: Body | None = None) -> None:
        """Nobody reads it."""
        for listener in self._listeners:
            listener((event,))

    def listen(self, written: Callable[[Sequence[AnyEvent]], None]) -> None:
        self._listeners.append(written)

    async def flush(self) -> None:
        return


def _end(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


class _DoneLedger(_NoLedger):
    """The same for stages that are timed while the loop stands still: done from the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._done = self._loop.create_future()
        self._done.set_result(None)

    def intend(
        self, _intent: Intent, _body: Body | None, *, is_open: bool = False
    ) -> asyncio.Future[None]:
        del is_open
        return self._done


class _NoUsers:
    """Nobody acts for a user here."""

    async def user_id(self, organisation: str, name: str) -> str:
        raise ValueError(organisation, name)


def worker(
    folder: Path, client: Client, ledger: _NoLedger | None = None, settings_of: str = ""
) -> Worker:
    """A worker that knows one agent, `bench`, with a ledger that only says yes."""
    settings = folder / "ringfence.yaml"
    settings.write_text(settings_of or settings_text(1))
    clock = SystemClock()
    prepared = prepare(resolve({}, config=str(settings)), os.environ, clock.now_us())
    name, organisation = next(iter(prepared.configuration.organisations.items()))
    agent = replace(organisation.agents["bench"], id="agt_bench")
    teams = {key: replace(team, id="team_bench") for key, team in organisation.teams.items()}
    known = replace(organisation, id="org_bench", agents={"bench": agent}, teams=teams)
    made = Worker(
        Surroundings(
            ledger=ledger or _NoLedger(),
            client=client,
            secrets=prepared.secrets,
            clock=clock,
            ids=RandomIds(clock),
            readiness=str,
            users=_NoUsers(),
        ),
        Recovered(),
    )
    made.install(
        replace(prepared.configuration, organisations={name: known}), {}, [_CREDENTIAL], []
    )
    return made


_CREDENTIAL: Final = AgentCredential(
    id="crd_bench",
    organisation="org_bench",
    agent="agt_bench",
    digest=digest_of(TOKEN),
    created_us=0,
)


class _Stages:
    """The path of one call without network and ledger, cut where one stage hands to the next."""

    def __init__(self, folder: Path) -> None:
        made = worker(folder, Pool(), _DoneLedger())
        self._directory, self._clock, self._path = made.directory, SystemClock(), made.path
        self._codec, self._body, self._answer = ChatCodec(), body_of(Scenario()).whole, document()
        self.asked = self._codec.parse(self._body)
        self.caller = self.identify()
        self._knock = ModelKnock(
            caller=self.caller, request=self.asked, protocol=ProviderProtocol.OPENAI
        )
        self.ticket = self.begin()

    def identify(self) -> Caller:
        token = passing.credential(_HEADERS)
        passing.check(_HEADERS)
        passing.client_ids(_HEADERS)
        found = self._directory.identify(digest_of((token or "").encode()), self._clock.now_us())
        assert isinstance(found, Caller)
        return found

    def parse(self) -> None:
        self._codec.parse(self._body)

    def begin(self) -> Ticket:
        begun = self._path.begin(self._knock)
        assert isinstance(begun, Ticket)
        return begun

    def read(self) -> None:
        self._codec.read(self._answer)

    def begin_and_settle(self) -> None:
        ticket = self.begin()
        ticket.settle(
            Ending(
                status=Status.OK,
                billing=Billing.ANSWERED,
                leg=ticket.route.legs[0],
                answer=self._codec.read(self._answer),
                body=self._answer,
            )
        )

    def encode(self) -> None:
        canonical.encode(self.ticket.intent)

    def address(self) -> None:
        _ADDRESSES.whole(self._body)


_ADDRESSES: Final = Addresses(bytes(32))


def _best_us(stage: Callable[[], object]) -> float:
    return min(timeit.repeat(stage, number=200, repeat=50)) / 200 * 1e6


async def stages() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = _Stages(Path(folder))
        read, begin, whole = map(_best_us, (work.read, work.begin, work.begin_and_settle))
        rows = {
            "headers and credential": _best_us(work.identify),
            "read the request": _best_us(work.parse),
            "join, plan, reserve, intent": begin,
            "read the answer": read,
            "settle, outcome": whole - begin - read,
            "(ledger thread) one event as canonical JSON": _best_us(work.encode),
            "(ledger thread) address of a 4 KB body": _best_us(work.address),
        }
    for name, taken_us in rows.items():
        print(f"{taken_us:6.1f} µs  {name}")


def threads(seconds: int = 4) -> None:
    with Bench(_ROOT / ".bench", _ROOT / ".bench/parts") as bench:
        bench.add(Ringfence())
        running = bench.running("Ringfence")
        if running.process is None:
            raise SystemExit("Ringfence did not start")
        running.process.resume()
        before = _thread_times(running.process.pid)
        figures = press(
            running.target,
            Scenario(),
            body_of(Scenario()),
            seconds=seconds,
            core=LOAD_CORE,
            folder=_ROOT / ".bench/parts",
        )
        after = _thread_times(running.process.pid)
    for thread, (user_s, system_s) in after.items():
        earlier = before.get(thread, (0.0, 0.0))
        user, system = (
            (now - then) / figures.requests * 1e6
            for now, then in zip((user_s, system_s), earlier, strict=True)
        )
        if user + system > 1:
            print(f"{user + system:6.1f} µs  thread {thread}: {user:.1f} user, {system:.1f} system")


def _thread_times(pid: int) -> dict[int, tuple[float, float]]:
    """By thread, in the order in which they were started: the loop, bodies, the ledger."""
    tick = os.sysconf("SC_CLK_TCK")
    times = {}
    for task in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name)):
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        times[int(task.name)] = (int(fields[11]) / tick, int(fields[12]) / tick)
    return times


if __name__ == "__main__":
    asyncio.run(stages())
    threads()
