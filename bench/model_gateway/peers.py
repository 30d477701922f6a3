"""Other gateways for models: LiteLLM, Portkey, FerroGW."""

import os
import shutil
from pathlib import Path

from bench.model_gateway.load import Target
from bench.model_gateway.process import Pinned
from bench.model_gateway.scenario import MODEL
from bench.model_gateway.subject import (
    NotInstallableError,
    Place,
    Running,
    environment_of,
    free_port,
    run_quietly,
    version_of,
    wait_for,
)

_KEY = "sk-bench-0000000000000000"

_LITELLM = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: sk-provider
      input_cost_per_token: 0.00000025
      output_cost_per_token: 0.000002
general_settings: {{master_key: {key}}}
litellm_settings: {{max_budget: 1000000, budget_duration: 30d, telemetry: false}}
router_settings:
  provider_budget_config: {{openai: {{budget_limit: 1000000, time_period: 30d}}}}
"""

_FERROGW = """
strategy: {{mode: single}}
targets:
  - virtual_key: openai
"""


class LiteLLM:
    """Its virtual keys need a PostgreSQL server; without one it is measured with less on."""

    name = "LiteLLM"
    does = "master key, budgets of proxy and provider in memory; no record"

    def install(self, tools: Path) -> str:
        self._environment = environment_of(tools, "litellm", "litellm[proxy]")
        return version_of(self._environment, "litellm")

    def start(self, place: Place) -> Running:
        port = free_port()
        settings = place.run / "litellm.yaml"
        settings.write_text(_LITELLM.format(model=MODEL, upstream=place.upstream_port, key=_KEY))
        command = [str(self._environment / "bin/litellm"), "--config", str(settings)]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        process = Pinned(
            command,
            core=place.core,
            log=place.run / "litellm.log",
            environment={"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        ready_s = wait_for(process, port, "/health/liveliness", 120, self.name)
        return Running(
            target=Target(port=port, headers=(("authorization", f"Bearer {_KEY}"),)),
            process=process,
            ready_s=ready_s,
        )


class Portkey:
    """The open gateway: keys, budgets and records are in its hosted service only."""

    name = "Portkey"
    does = "routes and translates; no keys, budgets or record"

    def install(self, tools: Path) -> str:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise NotInstallableError("node and npm are missing")
        folder = tools / "portkey"
        package = folder / "node_modules/@portkey-ai/gateway"
        if not package.exists():
            folder.mkdir(parents=True, exist_ok=True)
            command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
            run_quietly([*command, "--prefix", str(folder), "@portkey-ai/gateway"])
        self._node = node
        self._script = package / "build/start-server.js"
        program = f"console.log(require({str(package / 'package.json')!r}).version)"
        return run_quietly([node, "-e", program]).strip()

    def start(self, place: Place) -> Running:
        port = free_port()
        process = Pinned(
            [self._node, str(self._script), f"--port={port}", "--headless"],
            core=place.core,
            log=place.run / "portkey.log",
            environment={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"},
        )
        ready_s = wait_for(process, port, "/", 30, self.name)
        headers = (
            ("authorization", "Bearer sk-provider"),
            ("x-portkey-provider", "openai"),
            ("x-portkey-custom-host", f"http://127.0.0.1:{place.upstream_port}/v1"),
        )
        return Running(target=Target(port=port, headers=headers), process=process, ready_s=ready_s)


class FerroGW:
    name = "FerroGW"
    does = "master key; no budget, no record"

    def install(self, tools: Path) -> str:
        self._environment = environment_of(tools, "ferrogw", "ferrogw")
        return version_of(self._environment, "ferrogw")

    def start(self, place: Place) -> Running:
        port = free_port()
        settings = place.run / "ferrogw.yaml"
        settings.write_text(_FERROGW.format())
        process = Pinned(
            [str(self._environment / "bin/ferrogw"), "serve"],
            core=place.core,
            log=place.run / "ferrogw.log",
            environment={
                "GATEWAY_CONFIG": str(settings),
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "MASTER_KEY": _KEY,
                "OPENAI_API_KEY": "sk-provider",
                "OPENAI_BASE_URL": f"http://127.0.0.1:{place.upstream_port}/v1",
                "GOMAXPROCS": "1",
                "LOG_LEVEL": "error",
                "RATE_LIMIT_RPS": "1000000",
                "RATE_LIMIT_BURST": "1000000",
                "NO_PROXY": os.environ.get("NO_PROXY", "127.0.0.1"),
            },
        )
        ready_s = wait_for(process, port, "/health", 30, self.name)
        return Running(
            target=Target(port=port, headers=(("authorization", f"Bearer {_KEY}"),)),
            process=process,
            ready_s=ready_s,
        )
