"""A worker as a process of its own: told everything by its supervisor, and ending with it."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, final

from ringfence.app.change_message import (
    Configure,
    CredentialsChange,
    Renewal,
    SecretsChange,
    StateChange,
)
from ringfence.app.data_port import DataPort
from ringfence.app.health import totals
from ringfence.app.inquiry import Inquiries
from ringfence.app.interpreter import cpu_us, freeze, memory_bytes, prefer_loop
from ringfence.app.message import (
    VERSION,
    ActionTaken,
    CarryOut,
    CatchUp,
    Done,
    Drain,
    Hurry,
    Learned,
    Measure,
    Message,
    PlaneTrouble,
    Pulse,
    ReportAction,
    Start,
    Started,
    ToolGrantChanged,
    Watched,
)
from ringfence.app.sandbox_message import (
    EndSandbox,
    ListSandboxes,
    OpenSandbox,
)
from ringfence.app.sandboxing import run_socket
from ringfence.app.serving import AnyChange, Serving, secrets_of
from ringfence.app.storage import storage_at
from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.app.worker_stores import close_worker_stores, open_worker_stores
from ringfence.decisions.input_bound import Evidence
from ringfence.decisions.retry import Retried
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.lease import Recall
from ringfence.domain.pacing import Entered, Paused
from ringfence.domain.registry import Ended, Marked, Opened
from ringfence.domain.tool_source import ToolSource
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.invocation_view import RegistryWire
from ringfence.enforcement.provider_object import Kept
from ringfence.enforcement.refused_token import TokenRefused
from ringfence.enforcement.watch import Noticed
from ringfence.gateways.tool.neighbour import Neighbours
from ringfence.stores.ledger import LedgerWriter, Recovered
from ringfence.stores.ledger.masking import Masking
from ringfence.transport.client import Pool
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds
from ringfence.transport.link import Link
from ringfence.transport.tls import client_context

_LOG = logging.getLogger(__name__)

GRACE_S: Final = 20.0
"""How long running answers may take to end after SIGTERM."""
PULSE_S: Final = 0.25
_TIDY_S: Final = 2.0
_ORPHAN_GRACE_S: Final = 1.0
"""How long answers may end after the supervisor has gone: without authority few can."""
_REPORT_EVERY: Final = 4
"""How many pulses pass between two reports of what was spent: one second."""


@final
class WorkerProcess:
    """Takes messages in order and does what they say; implements `transport.link.Receiver`.

    INVARIANT: a change has been taken whole when its answer is sent, and before any renewal of
    authority that was sent after it counts.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Nothing is opened before `Start`. Made inside the running loop."""
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._clock = SystemClock()
        self._ids = RandomIds(self._clock)
        self._authority = Authority(self._clock, is_shared=True)
        self._closing = contextlib.AsyncExitStack()
        self._hurry = asyncio.Event()
        self._ending: asyncio.Task[Message] | None = None
        self._finished = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._inquiries = Inquiries()
        self._plane_trouble = ""
        self._early: list[tuple[AnyChange, asyncio.Future[Message]]] = []
        self._early_tools: list[ToolSource] = []
        self._link: Link[Message] | None = None
        self._serving: Serving | None = None

    async def serve(self, connection: socket.socket) -> None:
        """Serve until the supervisor says so, or has gone.

        Raises RingfenceError: `link_version`, `link_closed`, `events_lost`.
        """
        self._link = await Link[Message].over(connection, Message, VERSION, self)
        self._inquiries.link = self._link
        await self._finished.wait()
        await asyncio.sleep(0)  # the last answer leaves at the end of the turn
        self._link.close()
        if self._serving is not None:
            self._serving.health.conclude()

    def end(self, grace_s: float = GRACE_S, *, is_alone: bool = True) -> asyncio.Task[Message]:
        """Drain and write everything, once; `serve` returns after that.

        One that ends alone leaves new connections to the others; else nobody else takes them.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(grace_s, is_alone=is_alone))
            self._ending.add_done_callback(lambda _: self._finished.set())
        return self._ending

    # `Receiver`

    def told(self, message: Message) -> None:
        """What needs no answer."""
        match message:
            case Renewal(until_us, change):
                self._authority.renew(until_us, change)
            case Hurry():
                self._hurry.set()
            case PlaneTrouble(words):
                self._plane_trouble = words
            case Learned():
                self._serving_now().hear(message)
            case Entered():
                self._inquiries.entered(message)
            case ToolGrantChanged(organisation=organisation, server=server):
                dispatcher = self._serving_now().worker.tooling.dispatcher
                dispatcher.forget_grant(organisation, server)
            case ToolSource():
                self._tools(message)
            case _:
                raise _unexpected(message)

    def asked(self, message: Message) -> Message | Awaitable[Message]:
        """What is answered; a change takes effect before this returns."""
        match message:
            case Start():
                return self._start(message)
            case (
                Configure()
                | CredentialsChange()
                | StateChange()
                | SecretsChange()
                | Opened()
                | Ended()
                | Marked()
            ):
                return self._change(message)
            case ReportAction(reported):
                return ActionTaken(self._serving_now().worker.actions.take(reported))
            case OpenSandbox() | ListSandboxes() | EndSandbox():
                return self._serving_now().of_sandboxes(message)
            case Recall() | CatchUp() | Measure() | Watched() | CarryOut():
                return self._serving_now().asked(message)
            case Drain(grace_s):
                return asyncio.shield(self.end(grace_s, is_alone=False))
            case _:
                raise _unexpected(message)

    def closed(self, why: RingfenceError) -> None:
        """The supervisor has gone: from this moment nothing more is admitted or written."""
        self._authority.revoke()
        self._inquiries.closed()
        if self._ending is None:
            _LOG.error("the supervisor has gone; this worker ends: %s", why)
        elif not self._finished.is_set():
            self._loop.call_later(_ORPHAN_GRACE_S, self._hurry.set)
        self.end(_ORPHAN_GRACE_S)

    # Within

    def _serving_now(self) -> Serving:
        if self._serving is None:
            raise UnavailableError("worker_starting", "this worker does not serve yet")
        return self._serving

    async def _start(self, start: Start) -> Message:
        secrets = secrets_of(start.configure, self._environment)
        log, bodies = await asyncio.to_thread(open_worker_stores, start)
        masking = Masking()
        journal = storage_at(Path(start.data), start.database).journal(start.log)
        ledger = LedgerWriter(log, bodies, masking, journal)
        self._closing.push_async_callback(close_worker_stores, ledger, bodies)
        pool = Pool(tls=client_context())
        self._closing.push_async_callback(pool.close)
        folder = Path(start.data) / "workers"
        folder.mkdir(mode=0o700, exist_ok=True)
        neighbours = Neighbours(number=start.worker, count=start.workers, folder=folder)
        worker = Worker(
            Surroundings(
                ledger=ledger,
                masking=masking,
                ledger_totals=partial(totals, ledger),
                client=pool,
                secrets=secrets,
                clock=self._clock,
                ids=self._ids,
                readiness=self._trouble,
                authority=self._authority,
                users=self._inquiries,
                approvals=self._inquiries,
                granted=self._inquiries,
                elsewhere=self._inquiries.elsewhere,
                pace_wire=self._inquiries,
                registry=RegistryWire(self._inquiries.registry, self._inquiries.tell),
                lender=self._inquiries,
                environment=self._environment,
                seal_key=start.seal_key,
                allowance=start.allowance,
                neighbours=neighbours,
                sandbox_socket=run_socket(Path(start.data), start.worker),
            ),
            Recovered(
                evidence={
                    (organisation, model): seen for organisation, model, seen in start.evidence
                },
                objects=list(start.objects),
            ),
        )
        self._closing.push_async_callback(worker.tooling.door.close)
        worker.install(start.configure.configuration, start.configure.states, start.credentials, ())
        self._authority.advance(start.configure.change)
        if worker.view is not None:
            worker.view.learn(start.opened)
        serving = Serving(worker, ledger, bodies, DataPort(worker.data_plane.handle))
        serving.hear(start.learned)
        worker.objects.on_note = self._tell_kept
        worker.tools.on_seen = self._inquiries.tell
        for source in (*start.tools, *self._early_tools):
            worker.tools.take(source)
        worker.bounds.on_learn = self._tell_seen
        worker.watch.tell = self._tell_watched
        self._serving = serving
        for change, done in self._early:
            self._take(serving, change)
            done.set_result(Done())
        self._closing.push_async_callback(worker.sandboxing.stop)  # also in the midst of the next
        await worker.sandboxing.listen()
        await serving.port.listen_unix(neighbours.socket(start.worker))
        port = await serving.port.listen(start.place, is_shared=True)
        worker.egress.ports |= {port, start.place.console_port}
        for work in (self._pulse(serving), self._tidy(serving)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        freeze()
        return Started(port=port)

    def _tools(self, source: ToolSource) -> None:
        if self._serving is None:
            self._early_tools.append(source)
        else:
            self._serving.worker.tools.take(source)

    def _tell_kept(self, kept: Kept) -> None:
        self._inquiries.tell(Learned(kept=(kept,)))

    def _tell_seen(self, organisation: str, model: str, evidence: Evidence) -> None:
        self._inquiries.tell(Learned(seen=((organisation, model, evidence),)))

    def _tell_watched(self, noticed: Noticed) -> None:
        match noticed:
            case Paused():
                self._inquiries.tell(Learned(paused=(noticed,)))
            case Retried():
                self._inquiries.tell(Learned(retried=(noticed,)))
            case TokenRefused():
                self._inquiries.tell(Learned(refused=(noticed.key,)))
            case _:
                self._inquiries.tell(Learned(breakers=(noticed,)))

    def _change(self, change: AnyChange) -> Message | Awaitable[Message]:
        if self._serving is None:
            done: asyncio.Future[Message] = self._loop.create_future()
            self._early.append((change, done))
            return done
        self._take(self._serving, change)
        return Done()

    def _take(self, serving: Serving, change: AnyChange) -> None:
        """INVARIANT: whole, or the exception ends this worker: nothing after it is trusted."""
        serving.take(change, self._environment)
        if not isinstance(change, Opened | Ended | Marked):
            self._authority.advance(change.change)

    def _trouble(self) -> str:
        """Why this worker cannot do its work; empty if it can."""
        if self._ending is not None:
            return "shutting down"
        if self._serving is None:
            return "starting"
        if self._serving.ledger.failure is not None:
            return "the ledger cannot be written"
        if not self._authority.is_fresh:
            return "the supervisor does not answer"
        return self._plane_trouble

    async def _pulse(self, serving: Serving) -> None:
        beats = 0
        while self._link is not None:
            configuration = serving.worker.directory.configuration
            self._link.tell(
                Pulse(
                    epoch=configuration.epoch if configuration is not None else 0,
                    open_invocations=len(serving.worker.invocations),
                    connections=serving.port.connections,
                    memory_bytes=memory_bytes(),
                    cpu_us=cpu_us(),
                    inquiries=self._inquiries.asked,
                    lapses=self._authority.lapses,
                    lost=serving.ledger.lost,
                    trouble=self._trouble(),
                )
            )
            beats += 1
            if serving.worker.slabs is not None and beats % _REPORT_EVERY == 0:
                serving.worker.slabs.report()
            await asyncio.sleep(PULSE_S)

    async def _tidy(self, serving: Serving) -> None:
        while True:
            await asyncio.sleep(_TIDY_S)
            serving.health.observe()
            try:
                serving.worker.tidy()
            except Exception:  # noqa: BLE001 (the next round may do better)
                _LOG.exception("tidying up failed; it is tried again")

    async def _end(self, grace_s: float, *, is_alone: bool) -> Message:
        if self._serving is not None:
            await self._serving.worker.sandboxing.stop()
            self._serving.worker.data_plane.shut()
            port = self._serving.port
            await port.drain(grace_s, self._hurry, is_answering=not is_alone)
            self._serving.worker.refusals.flush(everything=True)
            self._serving.worker.observations.flush(everything=True)
        for task in tuple(self._tasks):
            task.cancel()
        await self._closing.aclose()
        return Done()


def _unexpected(message: Message) -> PeerError:
    return PeerError("link_malformed", f"a worker does not take `{type(message).__name__}`")


async def run(descriptor: int, environment: Mapping[str, str]) -> None:
    """Be a worker of the supervisor at the other end of an inherited socket, until it ends us.

    SIGINT and SIGHUP reach the whole terminal and are the supervisor's; SIGTERM ends this worker
    in order. Raises RingfenceError as `WorkerProcess.serve`.
    """
    prefer_loop()
    loop = asyncio.get_running_loop()
    process = WorkerProcess(environment)
    for number in (signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, process.end)
    with socket.socket(fileno=descriptor) as connection:
        await process.serve(connection)
