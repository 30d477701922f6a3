"""A control plane with a real state store, and workers that only remember what they were told."""

import asyncio
import hashlib
from collections.abc import Container, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import Message as AsgiMessage

from ringfence.api.access import LISTENER, LocalListener, NetworkListener, digest_of
from ringfence.api.application import create_app
from ringfence.api.context import ChangeNote, ControlContext, WorkerStatus
from ringfence.app.approval import Approvers
from ringfence.app.tool import AtOnce
from ringfence.decisions.budget import MONEY
from ringfence.decisions.period import Line
from ringfence.domain.agent import Agent, AgentState, Category, Limits, Scope
from ringfence.domain.approval import Approval
from ringfence.domain.budget import Budget, Per, Unit
from ringfence.domain.credential import AgentCredential, ApiKey
from ringfence.domain.errand import Errand, ErrandOutcome
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.event import AnyEvent
from ringfence.domain.exchange import Message, Part, Reading
from ringfence.domain.model import UpstreamStanding
from ringfence.domain.money import Money
from ringfence.domain.organisation import Configuration, Organisation, Role, Team, User
from ringfence.domain.sandbox import Sandbox, SandboxGrant, SandboxOrder
from ringfence.enforcement.approval import ApprovalDesk
from ringfence.enforcement.secret_desk import SecretDesk
from ringfence.enforcement.tool_custody import ToolCustody
from ringfence.protocols.command_exchange import CommandReader
from ringfence.stores.body import Body, BodyReader, BodyStore
from ringfence.stores.body.sqlite import SqliteShelves
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.hold import FileHolds
from ringfence.stores.ledger import Fence, LedgerWriter
from ringfence.stores.ledger.reader import LedgerReader
from ringfence.stores.secret import StoredSecrets, WrappingKeys
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.grant import Grant
from ringfence.stores.state.key import KeyRecord
from ringfence.stores.state.store import open_state
from ringfence.stores.state.token import TokenRecord
from ringfence.telemetry.metric import Measured
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

OWNER = "owner@acme.example"
NETWORK = NetworkListener(authorities=frozenset({"127.0.0.1:8485", "localhost:8485"}))
LOCAL = LocalListener(uid=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    pieces: Sequence[bytes]
    """The body as it was sent."""

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def json(self) -> Any:  # noqa: ANN401 (whatever the route gives)
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        return str(self.json()["error"]["code"])


@dataclass(slots=True)
class RecordingWorkers:
    """Workers that acknowledge at once; `told` keeps what they heard, in order."""

    told: list[tuple[str, object]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    standings: dict[str, Sequence[UpstreamStanding]] = field(default_factory=dict)
    measured: Measured = field(default_factory=Measured)
    running: list[Sandbox] = field(default_factory=list)
    outcomes: dict[str, ErrandOutcome] = field(default_factory=dict)
    """What becomes of errands, by what they undo."""

    async def credentials_changed(self, credentials: Sequence[AgentCredential]) -> None:
        self.told.append(("credentials", tuple(credentials)))

    async def agent_state_changed(self, organisation: str, agent: str, state: AgentState) -> None:
        self.told.append(("state", (organisation, agent, state)))

    async def grant_added(self, grant: Grant) -> None:
        self.told.append(("grant", grant))

    async def budgets(self, organisation: str, units: Container[Unit] = MONEY) -> Sequence[Line]:
        mine = [line for line in self.lines if line.key.organisation == organisation]
        return [line for line in mine if line.key.unit in units]

    async def status(self) -> Sequence[WorkerStatus]:
        return [WorkerStatus(pid=7, epoch=1, open_invocations=2, connections=3)]

    async def carry_out(self, errand: Errand) -> ErrandOutcome:
        self.told.append(("errand", errand))
        outcome = self.outcomes.get(errand.about)
        if outcome is None:
            raise UnavailableError("link_closed", "the worker has gone")
        return outcome

    async def tool_grant_changed(self, organisation: str, server: str) -> None:
        self.told.append(("grant", (organisation, server)))

    async def upstreams(self, organisation: str) -> Sequence[UpstreamStanding]:
        return self.standings.get(organisation, ())

    async def metrics(self) -> Measured:
        return self.measured

    async def open_sandbox(self, order: SandboxOrder) -> SandboxGrant:
        self.told.append(("sandbox", order))
        return SandboxGrant(
            id="sbx_1",
            ticket="rf_tkt_1",
            socket="/run/1.sock",
            invocation="inv_1",
            token="rf_inv_1",
            tier=order.tier,
        )

    async def sandboxes(self, organisation: str) -> Sequence[Sandbox]:
        return [each for each in self.running if each.organisation == organisation]

    async def end_sandbox(self, organisation: str, sandbox: str, message: str) -> bool:
        self.told.append(("end", (organisation, sandbox, message)))
        return any(each.id == sandbox for each in await self.sandboxes(organisation))


@dataclass(slots=True)
class RecordingCustody:
    """Values in use that only count how often they have changed; it cannot use `unusable`."""

    changes: int = 0
    troubles: dict[str, str] = field(default_factory=dict)

    def judge(self, organisation: str, name: str, value: str, /) -> None:
        del organisation
        if value == "unusable":
            raise UsageError("secret_unusable", f"the value of secret `{name}` cannot be used")

    def standing(self, organisation: str, /) -> Mapping[str, str]:
        return self.troubles if organisation == "acme" else {}

    async def changed(self) -> None:
        self.changes += 1


class PlainReader:
    """Bodies that are their own text: `a|b` is two messages."""

    def read_exchange(self, request: bytes, response: bytes, *, streamed: bool) -> Reading:
        answer = f"{response.decode()}{' (streamed)' if streamed else ''}"
        return Reading(
            context=[_say("user", text) for text in request.decode().split("|")],
            answer=_say("assistant", answer),
        )


class Plane:
    """One installation.

    `notes` are the recorded changes; `is_recording` False breaks the ledger. `reloading` is what
    the files say at the next reload; None makes them wrong.
    """

    def __init__(self, folder: Path, *organisations: Organisation) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.ids = SequentialIds()
        self.state = open_state(folder)
        self.workers = RecordingWorkers()
        self.notes: list[ChangeNote] = []
        self.news: list[tuple[str, str]] = []
        self.is_recording = True
        self.reloading: Sequence[Organisation] | None = organisations
        self.load(*organisations)
        self.approvals = ApprovalDesk(
            self.state.approvals,
            clock=self.clock,
            ids=self.ids,
            approvers=Approvers(lambda: self.configuration),
            tell=self._tell,
        )
        self.tools = ToolCustody(
            configuration=lambda: self.configuration,
            sources=self.state.tools.all(),
            archive=AtOnce(self.state.tools),
            note=lambda *_: None,
        )
        keys = WrappingKeys(default_path(folder))
        self.stored = StoredSecrets(self.state.secrets, keys, self.clock.now_us)
        self.custody = RecordingCustody()
        self.secrets = SecretDesk(self.stored, self.custody, self.custody.changed)
        self.context = ControlContext(
            state=self.state,
            workers=self.workers,
            configuration=lambda: self.configuration,
            reload=self._reload,
            proposed=self._proposed,
            record=self._record,
            keys=SigningKeys(folder),
            open_ledger=lambda: LedgerReader(folder),
            open_bodies=lambda: BodyReader(folder),
            open_shelves=lambda: SqliteShelves(folder),
            holds=lambda organisation: FileHolds(folder, organisation),
            readers={"chat": PlainReader(), "shell.exec": CommandReader()},
            approvals=self.approvals,
            tools=self.tools,
            secrets=self.secrets,
            clock=self.clock,
            ids=self.ids,
            version="0.0.test",
            started_us=self.clock.now_us(),
        )
        self.app = create_app(self.context)

    def load(self, *organisations: Organisation) -> None:
        digest = hashlib.sha256(repr(organisations).encode()).hexdigest()
        file = Configuration(
            organisations={each.name: each for each in organisations}, digest=f"sha256:{digest}"
        )
        self.configuration = self.state.configurations.register(
            file, Registration(now_us=self.clock.now_us(), actor="plane", make_id=self.ids.make)
        )

    def close(self) -> None:
        self.state.close()

    async def _tell(self, what: str, approval: Approval) -> None:
        self.news.append((what, approval.id))

    @property
    def acme(self) -> Organisation:
        return self.configuration.organisations["acme"]

    def key(self, *roles: Role, organisation: str = "acme", user: str = OWNER) -> str:
        """A key, put into the store without the API."""
        owner = self.configuration.organisations[organisation]
        secret = f"rf_key_{self.ids.make('key')}"
        key = ApiKey(
            id=self.ids.make("key"),
            organisation=owner.id,
            user=owner.users[user].id,
            digest=digest_of(secret),
            roles=frozenset(roles),
            created_us=self.clock.now_us(),
        )
        self.state.keys.add(KeyRecord(key=key, label="", created_by="test"))
        return secret

    def token(self, agent: str = "triage") -> str:
        """An agent token, put into the store without the API."""
        secret = f"rf_agt_{self.ids.make('crd')}"
        credential = AgentCredential(
            id=self.ids.make("crd"),
            organisation=self.acme.id,
            agent=self.acme.agents[agent].id,
            digest=digest_of(secret),
            created_us=self.clock.now_us(),
        )
        self.state.tokens.add(TokenRecord(credential=credential, label="", created_by="test"))
        return secret

    def write(self, *events: AnyEvent | tuple[AnyEvent, bytes]) -> None:
        """Put events, with or without a body, into the ledger as the data plane would."""
        pairs = [each if isinstance(each, tuple) else (each, None) for each in events]

        async def main() -> None:
            bodies = BodyStore.open(self.folder)
            with closing(bodies):
                fence = Fence.take(self.folder, self.ids.make("log"))
                writer = LedgerWriter.open(fence, bodies=bodies)
                for event, whole in pairs:
                    await writer.append(event, None if whole is None else Body(whole))
                await writer.close()

        asyncio.run(main())

    def ask(  # noqa: PLR0913 (a request has these parts)
        self,
        method: str,
        target: str,
        *,
        key: str | None = None,
        body: object = None,
        headers: Sequence[tuple[str, str]] = (),
        listener: object = None,
    ) -> Answer:
        """One request: over TCP with a key, else over the Unix socket unless told otherwise."""
        if listener is None:
            listener = LOCAL if key is None else NETWORK
        sent = list(headers)
        if not any(name == "host" for name, _ in sent):
            sent.append(("host", "localhost:8485"))
        if key is not None:
            sent.append(("authorization", f"Bearer {key}"))
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            sent.append(("content-type", "application/json"))
        return asyncio.run(self.send(method, target, sent, data, listener))

    async def send(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        listener: object = LOCAL,
    ) -> Answer:
        """The same within a running loop, exactly as it is told."""
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path if path.startswith("/") else f"/api/v1/{path}",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "server": ("127.0.0.1", 8485),
            LISTENER: listener,
        }
        messages: list[AsgiMessage] = []
        unread = [body]

        async def receive() -> AsgiMessage:
            if not unread:
                await asyncio.Event().wait()  # nobody disconnects
            return {"type": "http.request", "body": unread.pop(), "more_body": False}

        async def send(message: AsgiMessage) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        return Answer(
            status=messages[0]["status"],
            headers={name.decode(): value.decode() for name, value in messages[0]["headers"]},
            pieces=[message.get("body", b"") for message in messages[1:]],
        )

    async def _reload(self, actor: str) -> Configuration:
        if self.reloading is None:
            raise UsageError("configuration_invalid", f"ringfence.yaml:3: wrong, said to {actor}")
        self.load(*self.reloading)
        return self.configuration

    def _proposed(self) -> Configuration:
        """What the files say: the next reload, with nothing registered."""
        found = self.reloading or ()
        return Configuration(organisations={each.name: each for each in found}, digest="")

    async def _record(self, note: ChangeNote) -> None:
        if not self.is_recording:
            raise UnavailableError("store_unavailable", "the ledger does not answer")
        self.notes.append(note)


def _say(role: str, text: str) -> Message:
    return Message(role=role, parts=[Part(kind="text", text=text)])


def organisation(name: str = "acme", **changes: Any) -> Organisation:  # noqa: ANN401 (fields of it)
    """An organisation with one agent, `triage`, and users that have one role each."""
    triage = Agent(
        name="triage",
        owner=OWNER,
        team="support",
        category=Category.BOUNDED,
        purpose="Route tickets.",
        scope=Scope(models=frozenset({"small"}), tools=("files__*",)),
        limits=Limits(model_calls=30),
        budgets=(usd(5, Per.DAY), usd(1, Per.INVOCATION)),
    )
    plain = Organisation(
        name=name,
        budgets=(usd(100, Per.MONTH),),
        teams={"support": Team(name="support")},
        users={
            OWNER: User(name=OWNER, roles=frozenset({Role.ADMIN})),
            **{role.value: User(name=role.value, roles=frozenset({role})) for role in Role},
        },
        agents={"triage": triage},
    )
    return replace(plain, **changes)


def usd(dollars: int, per: Per) -> Budget:
    return Budget(limit=Money(dollars * 1_000_000_000), per=per)
