"""An installation in a folder: its files, its tokens, a scripted provider, a plane or a process."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ringfence.app.configuration import prepare, register
from ringfence.app.plane import Plane
from ringfence.app.storage import storage_of
from ringfence.config.settings import Settings
from ringfence.domain.credential import AgentCredential
from ringfence.domain.event import AnyEvent, Change, Hold, Intent, Observation, Outcome, Refusal
from ringfence.domain.organisation import Configuration
from ringfence.stores.ledger import LedgerReader
from ringfence.stores.state.token import TokenRecord
from ringfence.testing.model.script import Script, parse
from ringfence.testing.model.serving import Running, serving
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds

KEY = "sk-canary-provider-key-0123456789"
ENVIRONMENT = {"PROVIDER_KEY": KEY}
TOKEN = "rf_agt_triage"

CONFIG = """\
format: 1
organisation: {{name: acme, timezone: UTC, budget: {{usd: 5000, per: month}}}}
teams:
  support: {{budget: {{usd: 200, per: month}}}}
users:
  owner@acme.example: {{roles: [admin]}}
providers:
  house: {{protocol: openai, base_url: "{url}/v1", credential: "${{PROVIDER_KEY}}"}}
  claude: {{protocol: anthropic, base_url: "{url}", credential: "${{PROVIDER_KEY}}"}}
models:
  small: {{provider: house, price: {{input: {input_usd}, output: 10}}}}
  claude: {{provider: claude, price: {{input: 1, output: 10}}}}
agents:
  triage:
    owner: owner@acme.example
    team: support
    category: bounded
    purpose: Route incoming tickets.
    models: [{models}]
    budget: [{{usd: {usd}, per: day}}]
"""

SCRIPT = """\
format: 1
rules:
  - {when: {user: "hang"}, answer: {text: never, faults: {hang: true}}}
  - {when: {user: "stall"}, answer: {text: a b c d e f, faults: {hang_after_chunks: 3}}}
  - answer: {text: hello there, usage: {input_tokens: 5, output_tokens: 7}}
"""


@dataclass(slots=True)
class Answer:
    """What came back over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(msgspec.json.decode(self.body)["error"]["ringfence"]["code"])


@dataclass(slots=True)
class Installation:
    """One folder with a configuration, and a data folder inside."""

    folder: Path
    port: int = 0
    control_port: int = 0
    workers: int = 1
    database: str = "sqlite"
    lines: list[str] = field(default_factory=list)
    """What a process has logged."""

    @property
    def settings(self) -> Settings:
        return Settings(
            config=self.folder / "ringfence.yaml",
            data=self.data,
            port=0,
            console_port=0,
            workers=self.workers,
            database=self.database,
        )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def configure(
        self, url: str, *, models: str = "small, claude", usd: str = "5", input_usd: str = "1"
    ) -> None:
        text = CONFIG.format(url=url, models=models, usd=usd, input_usd=input_usd)
        (self.folder / "ringfence.yaml").write_text(text)

    def give_token(self) -> Configuration:
        """Put the token `TOKEN` of `triage` into the store."""
        clock = SystemClock()
        ids = RandomIds(clock)
        prepared = prepare(self.settings, ENVIRONMENT, clock.now_us())
        state = storage_of(self.settings).state()
        known = register(state, prepared.configuration, clock=clock, ids=ids, actor="test")
        credential = AgentCredential(
            id=ids.make("crd"),
            organisation=known.organisations["acme"].id,
            agent=known.organisations["acme"].agents["triage"].id,
            digest=hashlib.sha256(TOKEN.encode()).digest(),
            created_us=clock.now_us(),
        )
        state.tokens.add(TokenRecord(credential=credential, label="", created_by="test"))
        state.close()
        return known

    async def ask(
        self,
        text: str = "hello",
        *,
        target: str = "/v1/chat/completions",
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Answer:
        """One chat request with a connection of its own."""
        said = [{"role": "user", "content": text}]
        body = {"model": "small", "max_tokens": 50, "stream": stream, "messages": said} | more
        lines = {"authorization": f"Bearer {TOKEN}"} | dict(headers or {})
        return await self.send("POST", target, msgspec.json.encode(body), lines)

    def request(self, text: str, *, stream: bool = False) -> bytes:
        """The bytes of a chat request, for a connection of one's own."""
        said = [{"role": "user", "content": text}]
        body = msgspec.json.encode(
            {"model": "small", "max_tokens": 50, "stream": stream, "messages": said}
        )
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: ringfence\r\nconnection: close\r\n"
            f"authorization: Bearer {TOKEN}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        port: int = 0,
    ) -> Answer:
        lines = {"host": "ringfence", "content-length": str(len(body)), "connection": "close"}
        head = "".join(f"{k}: {v}\r\n" for k, v in (lines | dict(headers or {})).items())
        return await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body, port)

    async def raw(self, data: bytes, port: int = 0) -> Answer:
        """Bytes as they are, and whatever comes back until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
            received = await asyncio.wait_for(reader.read(-1), 60)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return _parsed(received)

    def worker_pids(self) -> list[int]:
        """The workers of a process that was started, as its log names them."""
        stated = (json.loads(line) for line in self.lines if '"worker_pid"' in line)
        return [int(line["worker_pid"]) for line in stated]

    def events(self) -> list[AnyEvent]:
        """Everything that the ledger holds."""
        reader = LedgerReader(storage_of(self.settings).logs())
        try:
            organisation = self.give_ids()
            exported = b"".join(reader.export(organisation))
        finally:
            reader.close()
        kind: type[AnyEvent] = Intent | Outcome | Refusal | Hold | Observation | Change  # type: ignore[assignment] # a union
        return [msgspec.json.decode(line, type=kind) for line in exported.splitlines()]

    def give_ids(self) -> str:
        """The id of the organisation, as the store has it."""
        clock = SystemClock()
        state = storage_of(self.settings).state()
        loaded = prepare(self.settings, ENVIRONMENT, clock.now_us()).configuration
        ids = RandomIds(clock)
        known = register(state, loaded, clock=clock, ids=ids, actor="test")
        state.close()
        return known.organisations["acme"].id


def ready(installed: Installation, running: Running, **more: str) -> None:
    """Point the configuration at a provider, and let the agent in."""
    installed.configure(running.url, **more)
    installed.give_token()


async def until(there: Running, requests: int) -> None:
    """Wait until the provider has got so many requests."""
    async with asyncio.timeout(60):
        while there.journal.total < requests:  # noqa: ASYNC110 (the provider tells nobody)
            await asyncio.sleep(0.005)


def _parsed(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return Answer(int(first.split()[1]) if first else 0, headers, body)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        whole += rest[:length]
        body = rest[length + 2 :]
    return whole


@asynccontextmanager
async def provider(script: Script | None = None) -> AsyncIterator[Running]:
    """A scripted provider in this loop."""
    async with serving(script or parse(SCRIPT)) as running:
        yield running


@asynccontextmanager
async def plane(installed: Installation) -> AsyncIterator[Plane]:
    """A whole plane in this loop."""
    made = Plane(installed.settings, ENVIRONMENT)
    await made.start()
    installed.port, installed.control_port = made.port, made.control_port
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def process(installed: Installation) -> AsyncIterator[asyncio.subprocess.Process]:
    """A plane as a process of its own; killed at the end if it still runs."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringfence", "up", "--port", "0", "--console-port", "0"),
        *("--config", str(installed.settings.config), "--data", str(installed.data)),
        *("--workers", str(installed.workers), "--database", installed.database),
        env=os.environ | ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert started.stderr is not None
    try:
        ready = await logged(started.stderr, installed, "ready")
        installed.port = int(str(ready["data_port"]))
        installed.control_port = int(str(ready["control_port"]))
        yield started
    finally:
        if started.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                started.send_signal(signal.SIGKILL)
        rest = await started.stderr.read()
        installed.lines.extend(rest.decode().splitlines())
        await started.wait()


async def logged(
    stream: asyncio.StreamReader, installed: Installation, wanted: str
) -> dict[str, object]:
    """Read log lines up to the one whose event begins like this."""
    async with asyncio.timeout(60):
        while line := (await stream.readline()).decode():
            installed.lines.append(line)
            with contextlib.suppress(ValueError):
                stated: dict[str, object] = json.loads(line)
                if str(stated["event"]).startswith(wanted):
                    return stated
    raise AssertionError(f"`{wanted}` was never logged: {installed.lines}")
