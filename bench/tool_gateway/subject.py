"""Who is measured: the server itself, nginx, Ringfence, FastMCP's proxy and IBM's ContextForge."""

import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.model_gateway import proxies
from bench.model_gateway.load import Target
from bench.model_gateway.process import Pinned
from bench.model_gateway.ringfence import SOURCES, token_of
from bench.model_gateway.subject import (
    PYTHON,
    NotInstallableError,
    Place,
    Running,
    environment_of,
    free_port,
    interpreter,
    run_quietly,
    version_of,
    wait_for,
)
from bench.tool_gateway.scenario import Dialect

from ringfence import __version__

_RULES = 20

_SETTINGS = """
format: 1
organisation: {{name: acme, timezone: UTC, budget: {{usd: 1000000, per: month}}}}
teams:
  support: {{budget: {{usd: 1000000, per: month}}}}
users:
  owner@acme.example: {{roles: [admin]}}
tools:
  bench: {{url: "http://127.0.0.1:{upstream}/mcp", read: ["*"]}}
agents:
  bench:
    owner: owner@acme.example
    team: support
    purpose: Be measured.
    tools: ["bench__*"]
    limits:
      tool_calls: unlimited
      calls_per_tool: unlimited
      seconds: unlimited
    loops: {{hint: unlimited, stop: unlimited, no_progress: unlimited}}
policies: policies/
"""


class Subject(Protocol):
    """One column of the results."""

    name: str
    does: str
    dialect: Dialect

    def install(self, tools: Path) -> str:
        """Make it ready and give its version. Raises NotInstallableError."""

    def start(self, place: Place) -> Running:
        """Start it in front of the server. Raises TimeoutError."""


class Direct:
    """The server itself: what every other figure is compared with."""

    name = "no gateway"
    does = "the server itself"
    dialect = Dialect()

    def install(self, tools: Path) -> str:
        del tools
        return ""

    def start(self, place: Place) -> Running:
        return Running(target=Target(port=place.upstream_port, path="/mcp"), process=None)


class Nginx(proxies.Nginx):
    """It passes bytes."""

    dialect = Dialect()

    def start(self, place: Place) -> Running:
        running = super().start(place)
        return replace(running, target=replace(running.target, path="/mcp"))


class Ringfence:
    """As `ringfence up` starts it, with twenty policies and the record on."""

    name = "Ringfence"
    does = f"identity, scope, {_RULES} policies, pins, limits, durable intent and outcome, bodies"
    dialect = Dialect()

    def install(self, tools: Path) -> str:
        del tools
        return f"{__version__}, {interpreter(PYTHON)}"

    def start(self, place: Place) -> Running:
        port, console = free_port(), free_port()
        folder = place.run
        settings = folder / "ringfence.yaml"
        settings.write_text(prepared_in(folder, place.upstream_port))
        command = [PYTHON, "-m", "ringfence", "up", "--config", str(settings)]
        command += ["--data", str(folder / "data"), "--port", str(port)]
        command += ["--console-port", str(console)]
        log = folder / "ringfence.log"
        process = Pinned(command, core=place.core, log=log, environment=SOURCES)
        ready_s = wait_for(process, port, "/readyz", 20, self.name)
        headers = (("authorization", f"Bearer {token_of(folder / 'data')}"),)
        target = Target(port=port, path="/mcp/bench", headers=headers)
        return Running(target=target, process=process, ready_s=ready_s)


def prepared_in(folder: Path, upstream: int) -> str:
    """Write the twenty policies to a folder; gives the settings that use them."""
    (folder / "policies").mkdir()
    (folder / "policies/bench.cedar").write_text("\n".join(map(_rule, range(_RULES))))
    return _SETTINGS.format(upstream=upstream)


class FastMCP:
    """Its proxy, which opens the server anew or keeps it open as its release does by default."""

    name = "FastMCP proxy"
    does = "passes messages; no identity, policy or record"
    dialect = Dialect()

    def install(self, tools: Path) -> str:
        self._environment = environment_of(tools, "fastmcp", "fastmcp")
        return version_of(self._environment, "fastmcp")

    def start(self, place: Place) -> Running:
        port = free_port()
        script = place.run / "proxy.py"
        script.write_text(
            "from fastmcp.server import create_proxy\n"
            f"proxy = create_proxy('http://127.0.0.1:{place.upstream_port}/mcp', name='bench')\n"
            f"proxy.run(transport='http', host='127.0.0.1', port={port}, show_banner=False)\n"
        )
        process = Pinned(
            [str(self._environment / "bin/python"), str(script)],
            core=place.core,
            log=place.run / "fastmcp.log",
            environment={"FASTMCP_LOG_LEVEL": "ERROR", "FASTMCP_CHECK_FOR_UPDATES": "off"},
        )
        ready_s = wait_for(process, port, "/mcp", 30, self.name)
        return Running(target=Target(port=port, path="/mcp"), process=process, ready_s=ready_s)


class ContextForge:
    """With SQLite and without its console, the server registered as a gateway of its own."""

    name = "ContextForge"
    does = "its own login, no policy; SQLite"
    dialect = Dialect(is_modern=False, tool="bench-echo")
    _PASSWORD = "bench-Password-0000"
    _SECRET = "bench-secret-of-more-than-32-characters"

    def install(self, tools: Path) -> str:
        self._environment = environment_of(tools, "contextforge", "mcp-contextforge-gateway")
        return version_of(self._environment, "mcp-contextforge-gateway")

    def start(self, place: Place) -> Running:
        port = free_port()
        settings = {
            "DATABASE_URL": f"sqlite:///{place.run / 'mcp.db'}",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "JWT_SECRET_KEY": self._SECRET,
            "AUTH_ENCRYPTION_SECRET": self._SECRET,
            "PLATFORM_ADMIN_EMAIL": "admin@example.com",
            "PLATFORM_ADMIN_PASSWORD": self._PASSWORD,
            "DEFAULT_USER_PASSWORD": self._PASSWORD,
            "MCPGATEWAY_UI_ENABLED": "false",
            "MCPGATEWAY_ADMIN_API_ENABLED": "true",
            "SSRF_ALLOW_LOCALHOST": "true",
            "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
            "LOG_LEVEL": "ERROR",
            "PLUGINS_ENABLED": "false",
            "USE_STATEFUL_SESSIONS": "false",
            "JSON_RESPONSE_ENABLED": "true",
        }
        process = Pinned(
            [str(self._environment / "bin/mcpgateway"), "--host", "127.0.0.1", "--port", str(port)],
            core=place.core,
            log=place.run / "contextforge.log",
            environment=settings,
        )
        ready_s = wait_for(process, port, "/health", 120, self.name)
        token = self._token(settings)
        self._register(port, token, place.upstream_port)
        headers = (("authorization", f"Bearer {token}"),)
        target = Target(port=port, path="/mcp/", headers=headers)
        return Running(target=target, process=process, ready_s=ready_s)

    def _token(self, settings: Mapping[str, str]) -> str:
        make = ["env", *(f"{name}={value}" for name, value in settings.items())]
        make += [str(self._environment / "bin/python"), "-m"]
        make += ["mcpgateway.utils.create_jwt_token", "--username", "admin@example.com"]
        make += ["--exp", "10080", "--secret", self._SECRET, "--admin"]
        return run_quietly(make).strip().splitlines()[-1]

    @staticmethod
    def _register(port: int, token: str, upstream: int) -> None:
        given = {
            "name": "bench",
            "url": f"http://127.0.0.1:{upstream}/mcp",
            "transport": "STREAMABLEHTTP",
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/gateways",
            json.dumps(given).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310 (loopback)
                time.sleep(1)
        except OSError as error:
            detail = getattr(error, "read", bytes)()[:300]
            raise NotInstallableError(
                f"the server cannot be registered: {error} {detail!r}"
            ) from error


def _rule(number: int) -> str:
    """A policy that is about this agent's tools; every fourth reads the arguments."""
    tool = "echo" if number % 2 else f"tool_{number:03}"
    reads = f'context.arguments.text like "*forbidden-{number}*"' if number % 4 == 1 else "false"
    return (
        f'@id("rule-{number}")\nforbid (principal, action == Action::"tool.call", '
        f'resource == Tool::"bench__{tool}")\nwhen {{ {reads} }};\n'
    )
