"""A running plane: stores, worker, data port and control plane, from start to drained stop."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from functools import partial

import msgspec

from ringfence import __version__
from ringfence.api import local
from ringfence.api.application import create_app
from ringfence.api.context import ControlContext
from ringfence.api.serving import ControlServer, Endpoint
from ringfence.app import alert, approval
from ringfence.app.alert import BudgetAlerts
from ringfence.app.configuration import Prepared, prepare, register
from ringfence.app.data_port import tls_of
from ringfence.app.embedded import Embedded
from ringfence.app.group import Beginning, Epoch, Group, Place
from ringfence.app.health import LedgerHealth
from ringfence.app.hearing import Hearing, keeps_journal
from ringfence.app.note import PlaneNotes
from ringfence.app.own_file import own_files
from ringfence.app.plane_secret import PlaneSecrets
from ringfence.app.policy import judge_all, known_tools, trouble_of
from ringfence.app.readers import readers
from ringfence.app.recovery import remembered
from ringfence.app.retention import RetentionWork
from ringfence.app.secret import Proposal, stored_secrets
from ringfence.app.sharing import Sharing
from ringfence.app.storage import storage_of
from ringfence.app.stores import attest_others, open_in_turn
from ringfence.app.supervisor import Supervisor
from ringfence.app.tool import ToolArchive
from ringfence.app.user import StoredUsers
from ringfence.app.warning import Warnings, sources
from ringfence.app.witness import Witnesses
from ringfence.config.loading import load
from ringfence.config.settings import SQLITE, Settings
from ringfence.domain.error import RingfenceError
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.tool import ToolServer
from ringfence.enforcement.allowance import AllowanceLimits
from ringfence.enforcement.approval import ApprovalDesk
from ringfence.enforcement.tool_grant import SPACE, ToolGrants
from ringfence.stores.approval import EndedApprovals
from ringfence.stores.body import BodyReader
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.ledger import LedgerReader, Recovered
from ringfence.stores.retention import Retention
from ringfence.transport import entropy
from ringfence.transport.client import Pool
from ringfence.transport.clock import Clock, SystemClock
from ringfence.transport.entropy import Ids, RandomIds
from ringfence.transport.tls import client_context

_LOG = logging.getLogger(__name__)

_TIDY_S = 2.0
_MIB = 1024 * 1024
GRACE_S = 20.0
"""How long running answers may take to end after SIGTERM."""


class Plane:
    """Everything of one installation in one process."""

    workers: Group

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Nothing is opened yet. Raises UsageError as `storage_of`."""
        self._settings = settings
        self._environment = environment
        self._storage = storage_of(settings)
        self._keys = SigningKeys(settings.data, settings.signing_key)
        self._clock: Clock = SystemClock()
        self._ids: Ids = RandomIds(self._clock)
        self._is_stopping = False
        self._hurry = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._started_us = self._clock.now_us()
        self._close = contextlib.AsyncExitStack()
        self._configuration: Configuration | None = None
        self._sharing: Sharing | None = None
        self._logs: tuple[str, ...] = ()
        self.port = 0
        self.control_port = 0

    async def start(self) -> Prepared:
        """Open, recover, load, listen; agents are served when this returns.

        Raises RingfenceError; then everything that was opened is closed again.
        """
        try:
            return await self._start()
        except BaseException:
            await self._close.aclose()
            raise

    async def stop(self) -> None:
        """Let running answers end, write everything, close.

        Raises UnavailableError `events_lost` if something could not be written.
        """
        self._is_stopping = True
        await self._close.aclose()
        self._health.conclude()

    async def _start(self) -> Prepared:
        settings, now_us = self._settings, self._clock.now_us()
        seed = await asyncio.to_thread(self._storage.hash_seed)
        supervisor = self._supervisor(seed)
        preparing = asyncio.create_task(
            asyncio.to_thread(prepare, settings, self._environment, now_us)
        )
        try:
            self._stores = await open_in_turn(
                self._storage,
                self._clock,
                self._ids,
                self._keys,
                is_running=lambda: local.is_answering(local.address(settings.data)),
            )
        except BaseException:
            with contextlib.suppress(RingfenceError):
                await preparing
            raise
        # Stopped after the stores, so that the last checkpoint is copied too.
        witnesses = Witnesses(settings.data, settings.witnesses)
        self._close.push_async_callback(witnesses.stop)
        self._close.push_async_callback(self._stores.close)
        self._look_after(witnesses)
        self._tool_archive = ToolArchive(self._stores.state.tools)
        self._close.callback(self._tool_archive.close)
        await self._open_approvals()
        self._tool_grants = self._made_grants()
        if supervisor is None:
            self.workers = Embedded(
                self._stores, self._clock, self._ids, self._readiness, settings.data
            )
            self._close.push_async_callback(self.workers.close)
        prepared = await preparing
        sharing = await self._join(prepared)
        await self._begin(prepared, sharing)
        await self._listen()
        witnesses.start()
        self._work()
        return prepared

    def _look_after(self, witnesses: Witnesses) -> None:
        """Notes of the plane's own, and what is told of it when something goes wrong."""
        self._notes = PlaneNotes(self._stores.ledger, self._clock, self.configuration)
        watched = sources(
            keeper=self._stores.keeper,
            ledger=self._stores.ledger,
            witnesses=witnesses.trouble,
            workers=self._worker_trouble,
            secrets=self._secret_trouble,
        )
        self._warnings = Warnings(watched, self._notes.warning)
        self._health = LedgerHealth(self._stores.ledger)

    async def _open_approvals(self) -> None:
        self._news = approval.ApprovalNews(
            self.configuration,
            self._notes.record,
            lambda rules: approval.opened(self._pool, self._secret, rules),
        )
        self._close.push_async_callback(self._news.stop)
        self._approvals = ApprovalDesk(
            self._stores.state.approvals,
            clock=self._clock,
            ids=self._ids,
            approvers=approval.Approvers(self.configuration),
            tell=self._news.tell,
        )
        await self._approvals.begin()

    def _work(self) -> None:
        """What goes on beside all calls, until the plane stops."""
        retention = RetentionWork(
            Retention(self._keys, self._storage),
            EndedApprovals(self._stores.state.approvals, self._storage),
            self._clock,
            self._organisations,
            self._notes.record,
        )
        alerts = BudgetAlerts(
            self.workers.budgets,
            self._notes.record,
            partial(alert.opened, self._pool, self._secret),
        )
        watching = alerts.run(self._alerted, self._clock)
        for work in (self._tidy(), watching, retention.run(), self._secrets.run()):
            self._close.callback(asyncio.create_task(work).cancel)

    async def _join(self, prepared: Prepared) -> Sharing | None:
        """Become one of the planes of the database, if this one has a database."""
        self._logs = self._worker_logs()
        shares = self._storage.shares(self._stores.log)
        if shares is None:
            return None
        sharing = self._sharing = Sharing(shares, self._clock)
        self._close.push_async_callback(sharing.close)
        await sharing.join(self._logs, prepared.configuration.digest, self._storage.owns)
        return sharing

    async def _begin(self, prepared: Prepared, sharing: Sharing | None) -> None:
        self._pool = Pool(tls=client_context())
        self._close.push_async_callback(self._pool.close)
        self._secrets = PlaneSecrets(
            stored_secrets(self._settings.data, self._environment, self._stores.state, self._clock),
            self._environment,
            self._pool,
            self._clock,
            tell=self.workers.secrets_changed,
        )
        proposal = await self._propose_secrets(prepared)
        configuration = await asyncio.to_thread(self._register, prepared.configuration, "plane")
        self._configuration = configuration
        await self._secrets.take(proposal, configuration)
        await self._secrets.check_stored()
        recovered = await asyncio.to_thread(
            remembered, self._stores.recovered, configuration, self._storage
        )
        beginning = self._beginning(configuration, recovered, sharing)
        self.workers.install(beginning)
        if sharing is not None:
            await self._share(sharing, beginning)
        self._warn_of_policies(configuration)
        await self._notes.epoch(configuration, "plane")
        await self._notes.restored(self._settings.data)
        for action in self._stores.recovered.unknown:
            _LOG.warning("an action of an earlier run has no known outcome", extra={"act": action})

    def _warn_of_policies(self, configuration: Configuration) -> None:
        """Tell of policies that do not fit what is known of tools: these calls are denied."""
        facts = known_tools(configuration, self.workers.tools)
        for problem in judge_all(configuration, facts, self._settings.config).found():
            _LOG.warning("a policy does not fit: %s", problem.render())

    async def _share(self, sharing: Sharing, beginning: Beginning) -> None:
        """Know what the other planes do from now on, and have them know what this one does."""
        sharing.epoch = beginning.epoch.configuration.epoch
        sharing.keeps_journal = keeps_journal(beginning.epoch.configuration)
        hearing = Hearing(
            sharing=sharing,
            storage=self._storage,
            state=self._stores.state,
            keys=self._keys,
            clock=self._clock,
            beginning=beginning,
            secrets=self._secrets.stored_changed,
        )
        self._close.push_async_callback(hearing.close)
        if isinstance(self.workers, Supervisor):
            await self.workers.share(hearing.begin)

    def _beginning(
        self,
        configuration: Configuration,
        recovered: Recovered,
        sharing: Sharing | None,
    ) -> Beginning:
        state = self._stores.state
        organisations = [each.id for each in configuration.organisations.values()]
        return Beginning(
            epoch=self._epoch(configuration),
            credentials=tuple(state.tokens.all()),
            grants=tuple(grant for each in organisations for grant in state.grants.list(each)),
            recovered=recovered,
            users=StoredUsers(state, self._clock, self._ids),
            ledger=self._stores.ledger,
            approvals=self._approvals,
            granted=self._tool_grants,
            tools=state.tools.all(),
            tool_archive=self._tool_archive,
            logs=self._logs,
            sharing=sharing,
            signing_key=str(self._settings.signing_key or ""),
            allowance=_allowance(self._settings),
            database=self._settings.database,
            token_refused=self._secrets.token_refused,
        )

    @property
    def _has_processes(self) -> bool:
        """Whether workers are processes: where there are several, here or on other planes."""
        return self._settings.workers > 1 or self._settings.database != SQLITE

    def _supervisor(self, seed: str) -> Supervisor | None:
        """The group of a plane with several workers, whose processes are started first of all."""
        settings = self._settings
        if not self._has_processes:
            return None
        supervisor = Supervisor(
            settings.data, settings.workers, self._clock, self._ids, self._environment, seed
        )
        supervisor.spawn()
        self.workers = supervisor
        self._close.push_async_callback(supervisor.close)
        return supervisor

    def _worker_logs(self) -> tuple[str, ...]:
        if not self._has_processes:
            return ()
        own = self._stores.log
        return self._storage.worker_logs(self._settings.workers, own, self._ids)

    def _epoch(self, configuration: Configuration) -> Epoch:
        states = {
            agent: agent_state
            for each in configuration.organisations.values()
            for agent, agent_state in self._stores.state.agents.states(each.id).items()
        }
        return Epoch(configuration=configuration, states=states, secrets=self._secrets.in_force)

    async def _listen(self) -> None:
        settings, place = self._settings, Place.of(self._settings)
        tls = tls_of(place)
        context = self._context()
        self._close.push_async_callback(context.undoings.stop)
        control = ControlServer(
            create_app(context),
            Endpoint(
                host=settings.console_host,
                port=settings.console_port,
                hosts=frozenset({settings.console_host}),
                tls=tls.context if tls is not None else None,
            ),
            settings.data,
        )
        await control.start()
        self._close.push_async_callback(control.stop)
        self.control_port = control.port
        place = msgspec.structs.replace(place, console_port=self.control_port)
        self.port = await self.workers.listen(place)
        self._close.push_async_callback(self.workers.drain, GRACE_S, self._hurry)

    def hurry(self) -> None:
        """Do not wait for running answers any longer."""
        self._hurry.set()

    def _context(self) -> ControlContext:
        return ControlContext(
            state=self._stores.state,
            workers=self.workers,
            configuration=self.configuration,
            reload=self.reload,
            proposed=lambda: load(self._settings.config, self._environment).configuration,
            record=self._notes.record,
            clock=self._clock,
            ids=self._ids,
            version=__version__,
            started_us=self._started_us,
            readiness=self._readiness,
            warnings=lambda: self._warnings.raised,
            keys=self._keys,
            vouch=self._vouch,
            open_ledger=lambda: LedgerReader(self._storage.logs()),
            catch_up=self.workers.catch_up,
            open_bodies=self._open_bodies,
            open_shelves=self._storage.shelves,
            holds=self._storage.holds,
            readers=readers(),
            tools=self.workers.tools,
            secrets=self._secrets.desk(self._secrets_stored),
            approvals=self._approvals,
            grants=self._tool_grants,
            policy_trouble=self._policy_trouble,
            own_files=partial(own_files, settings=self._settings),
        )

    def _policy_trouble(self, organisation: Organisation) -> str:
        known = known_tools(self.configuration(), self.workers.tools)
        return trouble_of(organisation, known, self._settings.config)

    def _vouch(self) -> None:
        keys = SigningKeys(self._settings.data, self._settings.signing_key)
        attest_others(self._stores.log, self._storage, keys, self._clock.now_us())

    def _open_bodies(self) -> BodyReader:
        self.workers.flush_bodies()
        return BodyReader(self._storage.shelves())

    async def reload(self, actor: str) -> Configuration:
        """Read the files again and take a new epoch, all or nothing.

        Raises RingfenceError with everything as it was.
        """
        async with self._reloading:
            now_us = self._clock.now_us()
            prepared = await asyncio.to_thread(prepare, self._settings, self._environment, now_us)
            facts = known_tools(self.configuration(), self.workers.tools)
            judged = partial(judge_all, prepared.configuration, facts, self._settings.config)
            (await asyncio.to_thread(judged)).check()
            proposal = await self._propose_secrets(prepared)
            configuration = await asyncio.to_thread(self._register, prepared.configuration, actor)
            before, self._configuration = self.configuration(), configuration
            if self._sharing is not None:
                self._sharing.epoch = configuration.epoch
                self._sharing.configuration = configuration.digest
                self._sharing.keeps_journal = keeps_journal(configuration)
            async with self._secrets.turn:
                await self._secrets.take(proposal, configuration)
                # Read and sent in one turn: no suspension can come between and be overwritten.
                await self.workers.configuration_changed(self._epoch(configuration))
            await self._notes.epoch(configuration, actor, before)
        _LOG.info("configuration loaded", extra={"epoch": configuration.epoch, "actor": actor})
        return configuration

    async def _propose_secrets(self, prepared: Prepared) -> Proposal:
        """Every secret of a configuration that is not in force yet. Raises UsageError."""
        return await self._secrets.propose(prepared, self._stores.state.configurations.known)

    async def _secrets_stored(self) -> None:
        """Somebody has changed what is stored: return when every plane uses it."""
        await (await self._secrets.stored_changed())
        if self._sharing is not None:
            await self._sharing.settle()

    def _secret_trouble(self) -> str:
        return self._secrets.trouble()

    def _register(self, configuration: Configuration, actor: str) -> Configuration:
        return register(
            self._stores.state, configuration, clock=self._clock, ids=self._ids, actor=actor
        )

    def configuration(self) -> Configuration:
        """The configuration in force. Raises RuntimeError before there is one."""
        if self._configuration is None:
            raise RuntimeError("no configuration is loaded yet")
        return self._configuration

    def _worker_trouble(self) -> str:
        return self.workers.readiness()  # of the group, which comes after the warnings

    def _readiness(self) -> str:
        if self._is_stopping:
            return "shutting down"
        if self._stores.ledger.failure is not None:
            return "the ledger cannot be written"
        return self.workers.readiness()

    def _organisations(self) -> list[Organisation]:
        return list(self.configuration().organisations.values())

    def _alerted(self) -> list[Organisation]:
        """Whose budgets this plane watches: of several planes one does."""
        is_due = self._sharing is None or self._sharing.is_first
        return self._organisations() if is_due else []

    def _made_grants(self) -> ToolGrants:
        """Where what people grant of tool servers is kept."""
        pool = Pool(tls=client_context())
        self._close.push_async_callback(pool.close)
        return ToolGrants(
            stored_secrets(
                self._settings.data,
                self._environment,
                self._stores.state,
                self._clock,
                space=SPACE,
            ),
            pool,
            self._clock,
            servers=self._tool_server,
            secret=self._secret,
            random=lambda: entropy.secret(""),
        )

    def _tool_server(self, organisation: str, name: str) -> ToolServer | None:
        found = (each for each in self._organisations() if each.id == organisation)
        return next((each.tools.get(name) for each in found), None)

    def _secret(self, name: str) -> str:
        """The value that is in force now."""
        return self._secrets.value(name)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_S)
            self._health.observe()
            with contextlib.suppress(RingfenceError):
                await self._approvals.tidy()
            try:
                self._warnings.observe()
                await self.workers.tidy()
            except Exception:  # noqa: BLE001 (the next round may do better)
                _LOG.exception("tidying up failed; it is tried again")


def _allowance(settings: Settings) -> AllowanceLimits:
    return AllowanceLimits(
        bytes_in_all=settings.memory_mb * _MIB,
        bytes_per_credential=settings.memory_mb_per_credential * _MIB,
        calls_per_credential=settings.calls_per_credential,
    )
