"""The data plane of one process: directory, books, path and doors, around one ledger."""

import os
from collections.abc import Container, Mapping, Sequence

from ringfence.api.context import WorkerStatus
from ringfence.app.dialect import codecs
from ringfence.app.egress import EgressParts
from ringfence.app.holding import Holdings
from ringfence.app.interpreter import cpu_us, memory_bytes
from ringfence.app.masking import masks
from ringfence.app.sandboxing import Sandboxing
from ringfence.app.shell import ShellParts
from ringfence.app.standing import in_turns
from ringfence.app.surroundings import Surroundings
from ringfence.app.tooling import Tooling
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.decisions.retry import Retried
from ringfence.domain.agent import AgentState
from ringfence.domain.budget import Unit
from ringfence.domain.credential import AgentCredential
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.organisation import Configuration
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.action_path import PathParts
from ringfence.enforcement.allowance import Allowance
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.closing import Closing
from ringfence.enforcement.credential_injection import Injections
from ringfence.enforcement.declared_tool import Declarations
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.dispatch import Dispatcher
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.handover import Handovers
from ringfence.enforcement.input_bound import InputBounds
from ringfence.enforcement.issuer_keys import FetchedKeys
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.observation import Observations
from ringfence.enforcement.policy import Policies
from ringfence.enforcement.proof import Proofs
from ringfence.enforcement.provider_object import ProviderObjects
from ringfence.enforcement.refusal import Refusals
from ringfence.enforcement.tool_call import ToolPath
from ringfence.enforcement.tool_finish import ToolFinish
from ringfence.enforcement.tool_memory import ToolMemory
from ringfence.enforcement.tool_registry import ToolRegistry
from ringfence.enforcement.tool_secret import SecretScans
from ringfence.enforcement.watch import Watch
from ringfence.gateways.action import ActionDoor
from ringfence.gateways.approval import ApprovalDoor
from ringfence.gateways.data_plane import DataPlane
from ringfence.gateways.invocation import InvocationDoor
from ringfence.gateways.model.classifier import ModelClassifier
from ringfence.gateways.model.door import ModelDoor
from ringfence.gateways.model.reading import Codecs
from ringfence.gateways.tool.errand import Errands
from ringfence.protocols.mcp.sealing import KEY_BYTES
from ringfence.stores.ledger import Recovered
from ringfence.stores.secret import Secrets
from ringfence.stores.state.grant import Grant
from ringfence.telemetry.metric import Measured, Meter
from ringfence.transport import entropy


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
        holdings = Holdings(around, self.directory, self._epoch)
        self.slabs, self.book = holdings.slabs, holdings.book
        self.view, self.invocations = holdings.view, holdings.invocations
        self._recovered = recovered
        self.objects = ProviderObjects()
        self.bounds = InputBounds(recovered.evidence)
        self._meter = Meter()
        self._ledger_totals = around.ledger_totals
        self.refusals = Refusals(
            ledger=ledger, directory=self.directory, clock=clock, ids=ids, meter=self._meter
        )
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
            supplier=holdings.supplier,
        )
        self.tools = ToolRegistry(self.directory, clock)
        self.handovers = Handovers(around.approvals)
        self._open_paths(parts, around)
        self._open_doors(around)

    def _open_paths(self, parts: PathParts, around: Surroundings) -> None:
        """What decides each kind of action, with what it needs beside what all of them need."""
        self.path = ModelPath(
            parts,
            bounds=self.bounds,
            objects=self.objects,
            policies=self.policies,
            handovers=self.handovers,
            declarations=Declarations(self.tools, parts.findings),
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
        self.tool_finish = ToolFinish(path=self.tool_path, memory=memory, clock=self._clock)

    def _open_doors(self, around: Surroundings) -> None:
        """What agents come to, and what serves their sandboxes."""
        clock, path, allowance = self._clock, self.path, Allowance(around.allowance)
        self.actions = ActionDoor(
            path=self.tool_path,
            shell=self.shell.path,
            egress=self.egress.path,
            approvals=around.approvals,
            clock=clock,
            authority=self.authority,
            elsewhere=around.elsewhere,
        )
        self.dispatcher = Dispatcher(around.client, around.secrets)
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
            token_refused=self.watch.tokens.refused,
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
                ledger=around.ledger,
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
            ledger=around.ledger,
            clock=clock,
            ids=around.ids,
            data_plane=self.data_plane,
            injections=self.injections,
            egress=self.egress,
            shell=self.shell,
            socket=around.sandbox_socket,
        )

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
        self.watch.renewed()

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
