"""I5 from outside: canaries in every source, and nothing that a plane does shows one.

Also of a worker's crash, of commands that fail, and of configurations that are wrong.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.app.installation import ENVIRONMENT as PLANE_ENVIRONMENT
from tests.app.installation import Installation, process, provider
from tests.invariants.tooled import ringfence

from ringfence.api import local
from ringfence.api.application import ROUTES
from ringfence.cli.carrier import Order, SocketCarrier, Write
from ringfence.testing.tools.plan import Plan
from ringfence.testing.tools.serving import serving
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server

NAMES = "provider server variable mounted printed stored rotated vaulted token"
CANARY = {name: f"canary-{name}-{os.urandom(12).hex()}" for name in NAMES.split()}
ENVIRONMENT = {
    "PROVIDER_KEY": CANARY["provider"],
    "SERVER_KEY": CANARY["server"],
    "VARIABLE": CANARY["variable"],
    "VAULT_TOKEN": CANARY["token"],
}
SECRETS = """\
tools:
  crm: {{url: "{server}", credential: "${{SERVER_KEY}}", read: [echo, fail]}}
secrets:
  variable: {{environment: VARIABLE, bind: {{host: a.example, as: bearer}}, placeholder: ONE}}
  mounted: {{file: "{folder}/mounted", bind: {{host: b.example, as: {{query: key}}}}}}
  printed: {{command: [cat, "{folder}/printed"], refresh: 5}}
  stored: {{stored: true, bind: {{host: c.example, as: {{basic: git}}}}}}
  vaulted: {{vault: {{url: "{vault}", path: a/b, field: c, token: "${{VAULT_TOKEN}}"}}}}
"""
AGENT = """\
    secrets: [variable, mounted, stored]
    tools: ["crm__*"]
    models:"""


def shapes(value: str) -> list[bytes]:
    raw = value.encode()
    cores = [base64.b64encode(bytes(at) + raw)[4:-4] for at in range(3)]
    return [raw, raw.hex().encode(), raw[::-1], raw.decode().encode("utf-16-le"), *cores]


def shown(data: bytes) -> list[str]:
    """The names of canaries that these bytes show."""
    return [name for name, value in CANARY.items() if any(each in data for each in shapes(value))]


def answers(folder: Path) -> bytes:
    """What every route that reads says, and errors of those that change something."""
    said = bytearray()
    carrier = SocketCarrier(local.address(folder))

    def begin(status: int) -> Write:
        said.extend(str(status).encode())
        return said.extend

    for route in ROUTES:
        target = route.target.replace("{name}", "triage").replace("{id}", "nothing")
        body = b'{"value": 5, "is_rotation": "x"}' if route.method == "POST" else b""
        if route.method == "GET" or "/secret" in target:
            carrier.carry(Order(method=route.method, target=target, body=body), begin)
    assert len(said) > 10_000
    return bytes(said)


@asynccontextmanager
async def vault() -> AsyncIterator[str]:
    async def handle(request: Request, response: Response) -> None:
        assert request.header(b"x-vault-token") == CANARY["token"].encode()
        body = json.dumps({"data": {"data": {"c": CANARY["vaulted"]}}}).encode()
        response.send(200, (), body)

    server = Server(handle)
    port = await server.listen("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.close()


async def store(installed: Installation, name: str, value: str, command: str = "set") -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringfence", "secret", command, name),
        *("--config", str(installed.settings.config), "--data", str(installed.data)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(value.encode()), 60)
    return said


async def live(installed: Installation) -> bytes:
    """Use everything, rightly and wrongly; gives all that was said."""
    said = bytearray()
    said += await store(installed, "stored", CANARY["stored"])
    said += await store(installed, "stored", CANARY["rotated"], "rotate")
    said += await store(installed, "mounted", CANARY["stored"])  # it comes from elsewhere
    said += await store(installed, CANARY["stored"].upper(), "x")  # a value in a name's place
    for text in ("hello", "refuse"):
        said += (await installed.ask(text)).body
    said += (await installed.send("GET", "/readyz")).body
    config = installed.folder / "ringfence.yaml"
    good = config.read_text()
    for wrong in (
        good.replace("/mounted", "/no-such-file"),
        good.replace("[cat, ", f"[sh, -c, 'echo {CANARY['printed']}; exit 3', "),
        good.replace("stored: true", f"stored: {CANARY['stored']}"),
        good.replace("environment: VARIABLE", f"environment: {CANARY['variable']}"),
    ):
        config.write_text(wrong)
        with pytest.raises(AssertionError) as refused:
            await ringfence(installed, "reload")
        if "echo " not in wrong and CANARY["stored"] not in wrong:
            said += str(refused.value).encode()
        config.write_text(good)
    for command in (
        ("reload",),
        ("status", "--json"),
        ("secret", "list", "--json"),
        ("trace", "list", "--json"),
        ("audit", "export"),
        ("tools", "list", "--json"),
        ("agent", "show", "triage"),
        ("backup", str(installed.folder / "backup.tar")),
    ):
        said += (await ringfence(installed, *command)).encode()
    said += await asyncio.to_thread(answers, installed.data)
    return bytes(said)


def test_nothing_that_a_plane_writes_or_says_holds_a_canary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(PLANE_ENVIRONMENT, name, value)
    (tmp_path / "mounted").write_text(CANARY["mounted"])
    (tmp_path / "printed").write_text(CANARY["printed"])
    installed = Installation(tmp_path, workers=2)

    async def story() -> bytes:
        plan = Plan(token=CANARY["server"])
        async with provider() as there, serving(plan) as tools, vault() as far:
            installed.configure(there.url)
            config = tmp_path / "ringfence.yaml"
            further = SECRETS.format(server=tools.url, folder=tmp_path, vault=far)
            config.write_text(config.read_text().replace("    models:", AGENT) + further)
            installed.give_token()
            async with process(installed) as running:
                said = await live(installed)
                status = json.loads(await ringfence(installed, "status", "--json"))
                os.kill(int(status["workers"][0]["pid"]), signal.SIGABRT)  # it would leave a core
                await asyncio.sleep(0.5)
                running.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(running.wait(), 60)
            return said

    said = asyncio.run(story())
    log = "\n".join(installed.lines).encode()
    assert b"secrets have changed" in log
    assert b"configuration loaded" in log
    assert shown(said) == []
    assert shown(log) == []
    sources = {tmp_path / "mounted", tmp_path / "printed"}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path not in sources]
    assert len(files) > 10
    assert {path: found for path in files if (found := shown(path.read_bytes()))} == {}
    assert not [path for path in files if path.name.startswith("core")]
