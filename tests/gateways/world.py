"""A data plane without sockets: the real worker, a ledger in memory, providers that obey a test."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ringfence.app.surroundings import Surroundings
from ringfence.app.worker import Worker
from ringfence.domain.agent import Agent, AgentState, Category, Limits, Scope
from ringfence.domain.budget import Budget, Per
from ringfence.domain.credential import AgentCredential
from ringfence.domain.error import PeerError, RingfenceError, UnavailableError
from ringfence.domain.event import AnyEvent, Change, Intent, Outcome, Refusal, spoken_in
from ringfence.domain.model import Model, Provider, ProviderProtocol
from ringfence.domain.money import Money
from ringfence.domain.organisation import Configuration, Organisation, Role, Team, User
from ringfence.domain.price import RateCard, Rates
from ringfence.enforcement.approval import Approvals
from ringfence.enforcement.authority import LEASE_US, Authority
from ringfence.enforcement.invocation_view import RegistryWire
from ringfence.enforcement.lack import Supplier
from ringfence.enforcement.lease import Lender
from ringfence.enforcement.pacing import PaceWire
from ringfence.stores.body import Body
from ringfence.stores.ledger import Recovered
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.testing.clock import ManualClock
from ringfence.testing.http import MemoryRequest, MemoryResponse
from ringfence.testing.ids import SequentialIds
from ringfence.transport.entropy import Ids
from ringfence.transport.http import Headers, Origin, Prepared, Sink, Taker
from ringfence.transport.work import until_over

OWNER = "owner@acme.example"
PROVIDER_KEY = "sk-canary-provider-key-0123456789"
TOKEN = "rf_agt_triage"
NANO = 1_000_000_000
SECOND_US = 1_000_000
RATES = Rates(input=NANO, output=10 * NANO)
"""1 USD per million input tokens, 10 USD per million output tokens."""


class MemoryLedger:
    """A `Ledger` that keeps events in order.

    `is_failing` refuses intents; `is_holding` leaves them unwritten until `commit`. With
    `is_lingering` outcomes are not durable before somebody flushes, and not even then if it
    `is_stuck`.
    """

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.bodies: dict[str, bytes] = {}
        self.is_failing = False
        self.is_holding = False
        self.is_lingering = self.is_stuck = False
        self.is_open = False
        """Whether a journal would have done for the last intent."""
        self.flushes = 0
        self._lingering: list[AnyEvent] = []
        self._listeners: list[Callable[[Sequence[AnyEvent]], None]] = []
        self._held: list[tuple[Intent, Body | None, asyncio.Future[None]]] = []
        self._written = asyncio.Event()

    def intend(
        self, intent: Intent, body: Body | None, *, is_open: bool = False
    ) -> asyncio.Future[None]:
        self.is_open = is_open
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_failing:
            done.set_exception(UnavailableError("store_unavailable", "the ledger is away"))
        elif self.is_holding:
            self._held.append((intent, body, done))
        else:
            self.record(intent, body)
            done.set_result(None)
        return done

    def record(self, event: AnyEvent, body: Body | None = None) -> None:
        if isinstance(event, Outcome):
            assert event.action in self.actions(Intent), "an outcome without its intent"
            assert event.action not in self.actions(Outcome), "a second outcome"
        self.events.append(event)
        if body is not None:
            self.bodies[f"{type(event).__name__} {spoken_in(event)}"] = body.whole
        self._lingering.append(event)
        if not self.is_lingering:
            self.write()

    def listen(self, written: Callable[[Sequence[AnyEvent]], None]) -> None:
        self._listeners.append(written)

    def write(self) -> None:
        """What was recorded is durable from now on."""
        written, self._lingering = self._lingering, []
        for listener in self._listeners:
            listener(written)

    async def flush(self) -> None:
        self.flushes += 1
        if self.is_failing:
            raise UnavailableError("store_unavailable", "the ledger is away")
        if not self.is_stuck:
            self.write()
        while self._held:
            self._written.clear()
            await self._written.wait()
            if self.is_failing:
                raise UnavailableError("store_unavailable", "the ledger is away")

    def commit(self) -> None:
        """What was held becomes durable, in order."""
        held, self._held = self._held, []
        for intent, body, done in held:
            if not self.is_failing:
                self.record(intent, body)
            if not done.done() and self.is_failing:
                done.set_exception(UnavailableError("store_unavailable", "the ledger is away"))
            elif not done.done():
                done.set_result(None)
        self._written.set()

    def actions(self, kind: type[Intent | Outcome]) -> set[str]:
        return {each.action for each in self.events if isinstance(each, kind)}

    @property
    def intents(self) -> list[Intent]:
        return [each for each in self.events if isinstance(each, Intent)]

    @property
    def outcomes(self) -> list[Outcome]:
        return [each for each in self.events if isinstance(each, Outcome)]

    @property
    def refusals(self) -> list[Refusal]:
        return [each for each in self.events if isinstance(each, Refusal)]

    @property
    def changes(self) -> list[str]:
        return [each.what for each in self.events if isinstance(each, Change)]


@dataclass(slots=True)
class Sent:
    """One request as a provider got it."""

    origin: Origin
    target: str
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 (whatever was sent)
        return msgspec.json.decode(self.body)


class Upstream:
    """An `UpstreamResponse` that a test feeds. `ending` is what follows the given pieces."""

    def __init__(
        self,
        status: int = 200,
        pieces: Sequence[bytes] = (),
        *,
        ending: RingfenceError | str = "end",
        kind: bytes = b"text/event-stream",
        headers: Headers = (),
    ) -> None:
        self.status = status
        self.address = "192.0.2.1"
        self.headers: Headers = [(b"content-type", kind), *headers]
        self.is_closed = False
        self.is_paused = False
        self.pieces = list(pieces)
        self._ending = ending
        self._sink: Sink | None = None

    async def read(self, limit_bytes: int) -> bytes:
        body = b"".join(self.pieces)
        if len(body) > limit_bytes:
            raise PeerError("provider_malformed", "the answer is too large")
        return body

    def at_once(self) -> bytes | None:
        return None

    def pipe(self, sink: Sink) -> None:
        self._sink = sink
        asyncio.get_running_loop().call_soon(self._push)

    def feed(self, piece: bytes) -> None:
        if self._sink is not None and not self.is_closed:
            self._sink.data(piece)

    def end(self) -> None:
        if self._sink is not None and not self.is_closed:
            self._sink.end()

    def _push(self) -> None:
        """One piece in each turn of the loop, as a network gives them."""
        if self.is_closed or self._sink is None:
            return
        if self.is_paused:
            asyncio.get_running_loop().call_soon(self._push)
        elif self.pieces:
            self._sink.data(self.pieces.pop(0))
            asyncio.get_running_loop().call_soon(self._push)
        elif self._ending != "hang":
            sink, self._sink = self._sink, None
            if isinstance(self._ending, RingfenceError):
                sink.failed(self._ending)
            else:
                sink.end()

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True
        self._sink = None


Answering = Callable[[Sent], Awaitable[Upstream]]


@dataclass(slots=True)
class Providers:
    """A `Client` whose upstreams answer as the test says; `sent` is what reached them."""

    ledger: MemoryLedger
    answering: Answering
    sent: list[Sent] = field(default_factory=list)

    def prepare(  # noqa: PLR0913 (the shape of a client)
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        *,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> Sent:
        assert method == b"POST"
        assert connect_timeout_s > 0
        assert idle_timeout_s > 0
        names = [name for name, _ in headers]
        assert len(names) == len(set(names)), "a header was sent twice"
        return Sent(origin, target.decode(), dict(headers), b"")

    def send(self, prepared: Prepared, body: bytes, taker: Taker) -> "Asking":
        assert isinstance(prepared, Sent)
        sent = replace(prepared, body=body)
        self.sent.append(sent)
        open_intents = self.ledger.actions(Intent) - self.ledger.actions(Outcome)
        assert open_intents, "INVARIANT I1: nothing is dispatched whose intent is not durable"
        return Asking(self.answering(sent), taker)

    async def request(self, *_: object, **__: object) -> Upstream:
        raise UnavailableError("provider_unavailable", "nobody answers coroutines here")

    async def close(self) -> None:
        """Nothing is open."""


class Asking:
    """An `Exchange`: a provider at work on its answer."""

    def __init__(self, answering: Awaitable[Upstream], taker: Taker) -> None:
        self._taker: Taker | None = taker
        self._task = asyncio.ensure_future(self._ask(answering))

    async def _ask(self, answering: Awaitable[Upstream]) -> None:
        try:
            upstream = await answering
        except Exception as error:  # noqa: BLE001 (the taker is told of all)
            if self._taker is not None:
                self._taker.unanswered(error)
        else:
            if self._taker is not None:
                self._taker.answered(upstream)

    def abandon(self, _taker: Taker) -> None:
        self._taker = None
        self._task.cancel()


def usd(amount: float, per: Per) -> Budget:
    return Budget(limit=Money(round(amount * NANO)), per=per)


def model(name: str, provider: str = "house", **more: Any) -> Model:  # noqa: ANN401 (fields of it)
    plain = Model(name=name, provider=provider, upstream=f"{name}-upstream")
    return replace(plain, **({"price": RateCard(rates=RATES)} | more))


def agent(name: str = "triage", /, **more: Any) -> Agent:  # noqa: ANN401 (fields of it)
    plain = Agent(
        name=name,
        id=f"agt_{name}",
        owner=OWNER,
        team="support",
        category=Category.BOUNDED,
        purpose="Route tickets.",
        scope=Scope(models=frozenset({"small", "claude", "flash", "embed"})),
        limits=Limits(default_output_tokens=100),
        budgets=(usd(5, Per.DAY),),
    )
    return replace(plain, **more)


def provider(name: str, protocol: ProviderProtocol, **more: Any) -> Provider:  # noqa: ANN401 (fields)
    path = "/v1" if protocol is ProviderProtocol.OPENAI else ""
    plain = Provider(
        name=name,
        protocol=protocol,
        base_url=f"http://{name}.example:9001{path}",
        credential="KEY",
    )
    return replace(plain, **more)


def organisation(**more: Any) -> Organisation:  # noqa: ANN401 (fields of it)
    """One provider of each protocol, a model at each, and the agent `triage`."""
    plain = Organisation(
        name="acme",
        id="org_acme",
        budgets=(usd(100, Per.MONTH),),
        teams={"support": Team(name="support", id="team_support")},
        users={OWNER: User(name=OWNER, id="user_owner", roles=frozenset({Role.ADMIN}))},
        providers={
            "house": provider("house", ProviderProtocol.OPENAI),
            "spare": provider("spare", ProviderProtocol.OPENAI),
            "anthropic": provider("anthropic", ProviderProtocol.ANTHROPIC),
            "google": provider("google", ProviderProtocol.GEMINI),
        },
        models={
            "small": model("small"),
            "other": model("other"),
            "embed": model("embed"),
            "claude": model("claude", "anthropic"),
            "flash": model("flash", "google"),
        },
        agents={"triage": agent()},
    )
    return replace(plain, **more)


class MemoryUsers:
    """A `UserRegistry`; `is_failing` makes it not answer."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], str] = {}
        self.is_failing = False

    async def user_id(self, organisation: str, name: str) -> str:
        await asyncio.sleep(0)
        if self.is_failing:
            raise UnavailableError("store_unavailable", "the state store is away")
        return self.ids.setdefault((organisation, name), f"user_{len(self.ids)}")


class World:
    """One worker and everything around it. Made inside a running loop."""

    def __init__(  # noqa: PLR0913 (what a worker may share with others)
        self,
        config: Organisation | None = None,
        recovered: Recovered | None = None,
        supplier: Supplier | None = None,
        *,
        is_shared: bool = False,
        registry: RegistryWire | None = None,
        lender: Lender | None = None,
        clock: ManualClock | None = None,
        ids: Ids | None = None,
        pace_wire: PaceWire | None = None,
        approvals: Approvals | None = None,
    ) -> None:
        """A worker that shares its agents with others has no authority until `renew`."""
        self.clock = clock or ManualClock()
        self.authority = Authority(self.clock, is_shared=is_shared)
        self.ids = ids or SequentialIds()
        self.ledger = MemoryLedger()
        self.providers = Providers(self.ledger, answer_chat)
        self.epoch = 0
        self.trouble = ""
        self.users = MemoryUsers()
        self.is_late = False
        """Whether bodies are still on their way when their request is handled."""
        self.worker = Worker(
            Surroundings(
                ledger=self.ledger,
                client=self.providers,
                secrets=EnvironmentSecrets(frozenset({"KEY"}), {"KEY": PROVIDER_KEY}),
                clock=self.clock,
                ids=self.ids,
                readiness=lambda: self.trouble,
                users=self.users,
                approvals=approvals,
                supplier=supplier,
                registry=registry,
                lender=lender,
                pace_wire=pace_wire,
                authority=self.authority,
            ),
            recovered or Recovered(),
        )
        self.config = config or organisation()
        names = self.config.agents.values()
        self.credentials = {each.name: _credential(each) for each in names}
        self.worker.install(self._next(), {}, list(self.credentials.values()), [])

    def _next(self) -> Configuration:
        self.epoch += 1
        digest = f"sha256:{self.epoch}"
        return Configuration(
            organisations={self.config.name: self.config}, digest=digest, epoch=self.epoch
        )

    def renew(self) -> None:
        """Authority for one second from now."""
        self.authority.renew(self.clock.monotonic_us() + LEASE_US, self.authority.epoch)

    async def reload(
        self, config: Organisation, states: Mapping[str, AgentState] | None = None
    ) -> None:
        self.config = config
        await self.worker.configuration_changed(self._next(), states or {})

    async def suspend(self, name: str = "triage", state: AgentState = AgentState.SUSPENDED) -> None:
        await self.worker.agent_state_changed(self.config.id, f"agt_{name}", state)

    async def ask(
        self,
        target: str = "/v1/chat/completions",
        body: object = None,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | Headers = (),
        method: str = "POST",
    ) -> MemoryResponse:
        """One request, answered to its end."""
        response = MemoryResponse()
        await self.handle(target, body, response, token=token, headers=headers, method=method)
        return response

    async def handle(  # noqa: PLR0913 (a request has these parts)
        self,
        target: str,
        body: object,
        response: MemoryResponse,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | Headers = (),
        method: str = "POST",
    ) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        sent = [(_raw(name), _raw(value)) for name, value in pairs]
        if token is not None:
            sent.append((b"authorization", b"Bearer " + token.encode()))
        data = (
            body
            if isinstance(body, bytes)
            else msgspec.json.encode(chat() if body is None else body)
        )
        request = MemoryRequest(method, target, headers=sent, body=data)
        request.is_late = self.is_late
        going = self.worker.data_plane.handle(request, response)
        if isinstance(going, Coroutine):
            await going
        elif going is not None:
            await until_over(going)

    def check_books(self) -> None:
        """INVARIANT: books and ledger agree, each intent has one outcome, nothing is set aside."""
        lines = self.worker.book.standing(self.config.id, self.clock.now_us())
        charged = sum(int(each.cost_nano) for each in self.ledger.outcomes)
        assert self.ledger.actions(Intent) == self.ledger.actions(Outcome)
        for line in lines:
            assert line.reserved == 0
            if line.key.holder == self.config.id:
                assert line.spent == charged


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _credential(of: Agent) -> AgentCredential:
    return AgentCredential(
        id=f"crd_{of.name}",
        organisation="org_acme",
        agent=of.id,
        digest=hashlib.sha256(f"rf_agt_{of.name}".encode()).digest(),
        created_us=0,
    )


# What is asked and answered


def chat(text: str = "hello", /, **more: object) -> dict[str, object]:
    """A chat request with a limit of 50 output tokens."""
    plain = {"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    return plain | more


def message(text: str = "hello", /, **more: object) -> dict[str, object]:
    plain = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    return plain | more


def gemini(text: str = "hello", /, **more: object) -> dict[str, object]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]} | more


def respond(text: str = "hello", /, **more: object) -> dict[str, object]:
    return {"model": "small", "max_output_tokens": 50, "input": text} | more


def chat_answer(given: int = 5, output: int = 7, /, **more: object) -> dict[str, object]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "hi"},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": given, "completion_tokens": output, "total_tokens": given + output}
    plain = {"id": "chatcmpl-1", "object": "chat.completion", "model": "small-upstream"}
    return plain | {"choices": [choice], "usage": usage} | more


def message_answer(given: int = 5, output: int = 7) -> dict[str, object]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-upstream",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": given, "output_tokens": output},
    }


def gemini_answer(given: int = 5, output: int = 7) -> dict[str, object]:
    content = {"role": "model", "parts": [{"text": "hi"}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": given,
            "candidatesTokenCount": output,
            "totalTokenCount": given + output,
        },
    }


def response_answer(name: str = "resp_1", given: int = 5, output: int = 7) -> dict[str, object]:
    return {
        "id": name,
        "object": "response",
        "status": "completed",
        "model": "small-upstream",
        "output": [],
        "usage": {"input_tokens": given, "output_tokens": output, "total_tokens": given + output},
    }


def embedding_answer(given: int = 5) -> dict[str, object]:
    usage = {"prompt_tokens": given, "total_tokens": given}
    return {"object": "list", "data": [], "model": "embed-upstream", "usage": usage}


def whole(document: object, status: int = 200, headers: Headers = ()) -> Upstream:
    data = msgspec.json.encode(document)
    return Upstream(status, [data], kind=b"application/json", headers=headers)


def chunk(text: str = "word ", /, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    plain = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + msgspec.json.encode(plain | more) + b"\n\n"


def chat_stream(words: int = 3, *, given: int = 5, usage: bool = True) -> list[bytes]:
    """The chunks of a whole stream: one token each, the usage, the end."""
    stated = {"prompt_tokens": given, "completion_tokens": words, "total_tokens": given + words}
    last = [chunk(choices=[], usage=stated)] if usage else []
    stop = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return [*[chunk() for _ in range(words)], chunk(choices=stop), *last, b"data: [DONE]\n\n"]


async def answer_chat(_sent: Sent) -> Upstream:
    return whole(chat_answer())


def always(make: Callable[[], Upstream]) -> Answering:
    """Every request is answered like this."""

    async def answer(_sent: Sent) -> Upstream:
        return make()

    return answer


def failing(error: RingfenceError) -> Answering:
    """No request gets a head."""

    async def answer(_sent: Sent) -> Upstream:
        raise error

    return answer


async def turns(count: int = 20) -> None:
    """Let everything run that can run now."""
    for _ in range(count):
        await asyncio.sleep(0)


def error_of(response: MemoryResponse) -> Any:  # noqa: ANN401 (a document)
    return msgspec.json.decode(response.body)["error"]


def code_of(response: MemoryResponse) -> str:
    return str(error_of(response)["ringfence"]["code"])
