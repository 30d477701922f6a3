"""The data plane of one process: directory, books, path and doors, around one ledger."""

import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from ringfence.api.context import WorkerStatus
from ringfence.app.egress import EgressParts
from ringfence.app.interpreter import cpu_us, memory_bytes
from ringfence.app.masking import masks
from ringfence.app.sandboxing import Sandboxing
from ringfence.app.shell import ShellParts
from ringfence.app.standing import in_turns
from ringfence.app.tooling import Tooling
from ringfence.decisions.budget import MONEY, Book
from ringfence.decisions.period import Line
from ringfence.decisions.retry import Retried
from ringfence.decisions.slab import LentBook
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.model import Dialect, UpstreamStanding
from ringfence.domain.organisation import Configuration
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.action_path import PathParts
from ringfence.enforcement.allowance import Allowance, AllowanceLimits
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.closing import Closing
from ringfence.enforcement.credential_injection import Injections
from ringfence.enforcement.declared_tool import Declarations
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.dispatch import Dispatcher
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.handover import Handovers
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.invocation_view import InvocationView, RegistryWire
from ringfence.enforcement.issuer_keys import FetchedKeys
from ringfence.enforcement.lack import Lack, Supplier, Supplies
from ringfence.enforcement.lease import Lender, Slabs
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.observation import Observations
from ringfence.enforcement.pacing import PaceWire
from ringfence.enforcement.policy import Policies
from ringfence.enforcement.proof import Proofs, UserRegistry
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.refusal import Refusals
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_finish import ToolFinish
from ringfence.enforcement.tool_grant import Grants
from ringfence.enforcement.tool_memory import ToolMemory
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.enforcement.tool_secret import SecretScans
from ringfence.enforcement.watch import Watch
from ringfence.gateways.action import ActionDoor, Elsewhere, nowhere
from ringfence.gateways.approval import ApprovalDoor
from ringfence.gateways.data_plane import DataPlane, Readiness
from ringfence.gateways.invocation import InvocationDoor
from ringfence.gateways.model.classifier import ModelClassifier
from ringfence.gateways.model.door import ModelDoor
from ringfence.gateways.model.reading import Codecs
from ringfence.gateways.tool.errand import Errands
from ringfence.gateways.tool.neighbour import ALONE, Neighbours
from ringfence.protocols.chat import ChatCodec
from ringfence.protocols.count_tokens import CountTokensCodec
from ringfence.protocols.dialect import Codec
from ringfence.protocols.embeddings import EmbeddingsCodec
from ringfence.protocols.gemini import GeminiCodec
from ringfence.protocols.mcp.sealing import KEY_BYTES
from ringfence.protocols.messages import MessagesCodec
from ringfence.protocols.responses import ResponsesCodec
from ringfence.stores.ledger import Recovered
from ringfence.stores.ledger.masking import Masking
from ringfence.stores.secret import Secrets
from ringfence.stores.state.grant import Grant
from ringfence.telemetry.metric import Measured, Meter
from ringfence.transport import entropy
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids
from ringfence.transport.http import Client


def codecs() -> Mapping[Dialect, Codec]:
    """Every dialect that the model gateway speaks."""
    return {
        Dialect.CHAT: ChatCodec(),
        Dialect.RESPONSES: ResponsesCodec(),
        Dialect.EMBEDDINGS: EmbeddingsCodec(),
        Dialect.MESSAGES: MessagesCodec(),
        Dialect.COUNT_TOKENS: CountTokensCodec(),
        Dialect.GEMINI: GeminiCodec(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker is given: the ledger, the network, time, chance, secrets, users' ids."""

    ledger: Ledger
    client: Client
    secrets: Secrets
    clock: Clock
    ids: Ids
    readiness: Readiness
    users: UserRegistry
    approvals: Approvals | None = None
    """Where calls wait for a person; None where nobody can be asked, which denies."""
    granted: Grants | None = None
    """Whoever has access tokens that people have granted; None where nobody has."""
    elsewhere: Elsewhere = nowhere
    """Takes the outcome of an action that another worker keeps."""
    registry: RegistryWire | None = None
    """The way to the registry of invocations; None where this worker knows them all."""
    supplier: Supplier | None = None
    """Whoever can be asked for what another process holds; None where this one holds everything."""
    lender: Lender | None = None
    """Whoever lends it slabs of shared limits; None where all of every limit is held here."""
    pace_wire: PaceWire | None = None
    """The way to the lanes of paced upstreams; None where they are held here."""
    ledger_totals: Callable[[], Mapping[str, int]] = dict
    """What the ledger has counted, by the names that metrics have."""
    authority: Authority | None = None
    """How long it may act on its own; None where it shares its agents with nobody."""
    masking: Masking | None = None
    """What masks messages before the ledger stores them."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process's own environment, of which tool servers that are commands need a little."""
    neighbours: Neighbours = ALONE
    """Where the plane's other workers are."""
    sandbox_socket: str = ""
    """Where the monitors of its sandboxes join it."""
    allowance: AllowanceLimits = field(default_factory=AllowanceLimits)
    """What calls may hold of its memory."""
    seal_key: bytes = field(default=b"", repr=False)
    """Seals what clients carry for the plane: one for all its workers; empty for one of its own."""


class Worker:
    """One worker; implements `api.context.Workers` for a plane that has no other.

    INVARIANT: used by one event loop, whose turns are its only lock.
    """

    def __init__(self, around: Surroundings, recovered: Recovered) -> None:
        """Wire the parts; `install` lets agents in."""
        clock, ids, ledger = around.clock, around.ids, around.ledger
        self._clock, self._masking = clock, around.masking
        self.authority = around.authority or Authority(clock)
        self.directory = Directory()
        self.policies = Policies()
        self.slabs = self._slabs(around.lender, ledger)
        self.book: Book = Book() if self.slabs is None else self.slabs.book
        self._recovered = recovered
        self.objects = ProviderObjects()
        self.bounds = InputBounds(recovered.evidence)
        self._meter = Meter()
        self._ledger_totals = around.ledger_totals
        self.refusals = Refusals(
            ledger=ledger, directory=self.directory, clock=clock, ids=ids, meter=self._meter
        )
        self.view = self._view(around)
        self.invocations = self._invocations(around)
        suppliers = self._suppliers()
        self.observations = Observations(
            ledger=ledger,
            directory=self.directory,
            invocations=self.invocations,
            clock=clock,
            ids=ids,
        )
        findings = FindingLog(ledger=ledger, directory=self.directory, clock=clock)
        self.watch = Watch(findings, around.pace_wire)
        parts = PathParts(
            directory=self.directory,
            invocations=self.invocations,
            book=self.book,
            ledger=ledger,
            refusals=self.refusals,
            findings=findings,
            watch=self.watch,
            closing=Closing(
                directory=self.directory,
                invocations=self.invocations,
                book=self.book,
                ledger=ledger,
                clock=clock,
            ),
            meter=self._meter,
            clock=clock,
            ids=ids,
            supplier=Supplies(suppliers, around.supplier) if suppliers else around.supplier,
        )
        self.tools, self.handovers = (
            ToolRegistry(self.directory, clock),
            Handovers(around.approvals),
        )
        path = self.path = ModelPath(
            parts,
            bounds=self.bounds,
            objects=self.objects,
            policies=self.policies,
            handovers=self.handovers,
            declarations=Declarations(self.tools, findings),
        )
        self.secret_scans = SecretScans(around.secrets)
        memory = ToolMemory()
        self.tool_path = ToolPath(
            parts,
            tools=self.tools,
            policies=self.policies,
            secrets=self.secret_scans,
            memory=memory,
            approvals=around.approvals,
        )
        self.shell = ShellParts(
            parts,
            policies=self.policies,
            approvals=around.approvals,
            observations=self.observations,
            secrets=self.secret_scans,
            authority=self.authority,
        )
        self.injections = Injections(around.client, around.secrets)
        self.egress = EgressParts(
            parts,
            policies=self.policies,
            injections=self.injections,
            approvals=around.approvals,
            observations=self.observations,
            authority=self.authority,
        )
        self.actions = ActionDoor(
            path=self.tool_path,
            shell=self.shell.path,
            egress=self.egress.path,
            approvals=around.approvals,
            clock=clock,
            authority=self.authority,
            elsewhere=around.elsewhere,
        )
        self.tool_finish = ToolFinish(path=self.tool_path, memory=memory, clock=clock)
        self.dispatcher = Dispatcher(around.client, around.secrets)
        allowance = Allowance(around.allowance)
        self.tooling = Tooling(
            allowance=allowance,
            path=self.tool_path,
            registry=self.tools,
            finish=self.tool_finish,
            client=around.client,
            secrets=around.secrets,
            environment=around.environment,
            clock=clock,
            authority=self.authority,
            approvals=around.approvals,
            granted=around.granted,
            got=self.secret_scans.learn,
            neighbours=around.neighbours,
            seal_key=around.seal_key or entropy.random_bytes(KEY_BYTES),
        )
        proofs = Proofs(
            directory=self.directory,
            keys=FetchedKeys(around.client, clock),
            users=around.users,
            clock=clock,
        )
        model_door = ModelDoor(
            path=path,
            dispatcher=self.dispatcher,
            codecs=Codecs(codecs),
            clock=clock,
            allowance=allowance,
            authority=self.authority,
        )
        path.topics.classifier = ModelClassifier(model_door.handle)
        self.data_plane = DataPlane(
            directory=self.directory,
            path=path,
            model_door=model_door,
            invocation_door=InvocationDoor(
                invocations=self.invocations,
                path=path,
                proofs=proofs,
                ledger=ledger,
                clock=clock,
                authority=self.authority,
            ),
            action_door=self.actions,
            approval_door=ApprovalDoor(around.approvals, path, self.authority),
            tool_door=self.tooling.door,
            proofs=proofs,
            clock=clock,
            readiness=around.readiness,
            authority=self.authority,
        )
        self.sandboxing = Sandboxing(
            directory=self.directory,
            invocations=self.invocations,
            ledger=ledger,
            clock=clock,
            ids=ids,
            data_plane=self.data_plane,
            injections=self.injections,
            egress=self.egress,
            shell=self.shell,
            socket=around.sandbox_socket,
        )

    def _view(self, around: Surroundings) -> InvocationView | None:
        """What this worker is told of invocations; None if it knows them all by itself."""
        if around.registry is None:
            return None
        return InvocationView(
            directory=self.directory,
            book=self.book,
            ledger=around.ledger,
            clock=around.clock,
            ids=around.ids,
            wire=around.registry,
            slabs=self.slabs,
        )

    def _invocations(self, around: Surroundings) -> Invocations:
        """Those that this worker knows: all, or as far as it is told."""
        if self.view is not None:
            return self.view
        return Invocations(
            directory=self.directory,
            book=self.book,
            ledger=around.ledger,
            clock=around.clock,
            ids=around.ids,
        )

    def _suppliers(self) -> dict[Lack, Supplier]:
        """Who is asked for what another process holds."""
        suppliers: dict[Lack, Supplier] = {}
        if self.slabs is not None:
            suppliers[Lack.LEASE] = self.slabs
        if self.view is not None:
            suppliers[Lack.INVOCATION] = self.view
        return suppliers

    def _slabs(self, lender: Lender | None, ledger: Ledger) -> Slabs | None:
        """What it has been lent of shared limits; None if it holds all of every limit."""
        if lender is None:
            return None
        return Slabs(book=LentBook(), lender=lender, ledger=ledger, epoch=self._epoch)

    def _epoch(self) -> int:
        configuration = self.directory.configuration
        return configuration.epoch if configuration is not None else 0

    def install(
        self,
        configuration: Configuration,
        states: Mapping[str, AgentState],
        credentials: Sequence[AgentCredential],
        grants: Sequence[Grant],
    ) -> None:
        """Begin: take the first epoch and everything the state store knows."""
        self.directory.install(configuration, states)
        self.policies.install(configuration)
        if self._masking is not None:
            self._masking.install(masks(configuration))
        self.watch.reloaded(configuration)
        self.tools.reloaded()
        self.directory.put_credentials(credentials)
        for key, start_us, spent in self._recovered.spent:
            self.book.load(key, start_us, spent)
        for grant in grants:
            self.book.grant(grant.account, grant.window_start_us, grant.amount)
        self.invocations.restore_closed(self._recovered.closed)
        self.invocations.restore(self._recovered.invocations)
        for each in self._recovered.objects:
            runtime = self.directory.agent(each.agent)
            if runtime is not None and runtime.organisation.id == each.organisation:
                self.objects.restore(runtime, each.name, each.tokens)

    def replace_secrets(self, secrets: Secrets) -> None:
        """Use these from now on, and look for them in what is answered."""
        self.dispatcher.replace_secrets(secrets)
        self.tooling.dispatcher.replace_secrets(secrets)
        self.secret_scans.replace(secrets)
        self.sandboxing.injections.replace_secrets(secrets)

    def tidy(self) -> None:
        """End and drop what is over and write out what was counted; call every few seconds."""
        now_us = self._clock.now_us()
        self.refusals.flush()
        self.observations.flush()
        self.actions.tidy()
        self.invocations.expire(now_us)
        self.invocations.end_calls(now_us)  # of tokens whose time for rotation has passed
        self.book.drop_past(now_us)
        if self.slabs is not None:
            self.slabs.report()
        self.invocations.check_calls(self._clock.monotonic_us())
        self.sandboxing.registry.check()
        self.tooling.door.tidy()

    async def configuration_changed(
        self, configuration: Configuration, states: Mapping[str, AgentState]
    ) -> None:
        """Take a new epoch whole, and stop what agents are doing that are no longer in it."""
        self.take_configuration(configuration, states)

    def take_configuration(
        self, configuration: Configuration, states: Mapping[str, AgentState]
    ) -> None:
        """The same, at once."""
        self.directory.install(configuration, states)
        self.policies.install(configuration)
        if self._masking is not None:
            self._masking.install(masks(configuration))
        self.watch.reloaded(configuration)
        self.tools.reloaded()
        if self.slabs is not None:
            self.slabs.restate()
        self.invocations.end_calls(self._clock.now_us())
        self.sandboxing.registry.check()

    def hear_retried(self, retried: Retried) -> None:
        """Another worker has noticed something of a run that may be known here."""
        live = self.invocations.find(retried.invocation)
        if live is not None:
            self.watch.loops.hear(live, retried)

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        """Take these credentials as new, or as replacing those with the same id."""
        self.take_credentials(credentials)

    def take_credentials(self, credentials: Sequence[AgentCredential]) -> None:
        """The same, at once."""
        self.directory.put_credentials(credentials)
        self.invocations.end_calls(self._clock.now_us())

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        """Admit, or refuse and stop, this agent from now on."""
        self.take_state(organisation, agent, state)

    def take_state(self, organisation: str, agent: str, state: AgentState) -> None:
        """The same, at once."""
        runtime = self.directory.agent(agent)
        if runtime is not None and runtime.organisation.id == organisation:
            runtime.state = state
            self.invocations.end_calls(self._clock.now_us())
            self.sandboxing.registry.check()

    async def grant_added(self, grant: Grant) -> None:
        """Raise the limit of one account in one window."""
        self.book.grant(grant.account, grant.window_start_us, grant.amount)

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        """The books of every account of an organisation that was used in its present window."""
        turns = self.book.standing_in_turns(organisation, self._clock.now_us(), units)
        return await in_turns(turns)

    async def status(self) -> Sequence[WorkerStatus]:
        """How this worker is."""
        return [
            WorkerStatus(
                pid=os.getpid(),
                epoch=self._epoch(),
                open_invocations=len(self.invocations),
                connections=self.connections,
                memory_bytes=memory_bytes(),
                cpu_us=cpu_us(),
            )
        ]

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        """Make a call that a person asks for, through everything that governs calls."""
        return await Errands(self.tooling.door, self.directory, self.tools).carry_out(errand)

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        """Use no token any more that was got with an earlier grant."""
        self.tooling.dispatcher.forget_grant(organisation, server)

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        """How its upstreams stand with this worker."""
        return self.watch.standing(organisation)

    async def metrics(self) -> Measured:
        """What this worker has counted."""
        measured = self._meter.read()
        measured.totals = dict(self._ledger_totals())
        return measured

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        """Make a sandbox, to be served here."""
        return await self.sandboxing.registry.open(order)

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        """Every sandbox of an organisation that has not ended."""
        return self.sandboxing.registry.of(organisation)

    async def end_sandbox(self, organisation: str, sandbox: str, message: str) -> bool:
        """End a sandbox, and return when that is recorded."""
        return await self.sandboxing.registry.end(organisation, sandbox, message)

    connections = 0
    """Set by the plane from its server."""
