"""The plane under test: its configuration, its process, and what its command line says."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from tests.journeys.case import does
from tests.journeys.journey import Journey
from tests.journeys.play import OUTPUT_LIMIT

from ringfence.domain.model import Dialect

PROVIDER_KEY = "sk-journeys-provider"
_KEY_VARIABLE = "JOURNEY_PROVIDER_KEY"
_OWNER = "owner@acme.example"
_START_S = 30.0
_COMMAND_S = 30.0

PROVIDERS: Mapping[Dialect, str] = MappingProxyType(
    {
        Dialect.CHAT: "openai",
        Dialect.RESPONSES: "openai",
        Dialect.MESSAGES: "anthropic",
        Dialect.GEMINI: "gemini",
    }
)
# Nano-dollars per million tokens; odd, so that a wrong component or a wrong rounding shows.
RATES: Mapping[str, int] = MappingProxyType(
    {
        "input": 1_234_567_801,
        "output": 9_876_543_209,
        "cache_read": 123_456_701,
        "cache_write": 1_543_210_903,
        "cache_write_1h": 2_469_135_707,
        "reasoning": 11_111_111_113,
    }
)
_METER_USD = 10
"""The budget cases price output alone, so that a limit in tokens is a limit in money."""


class PlaneError(Exception):
    """The plane or its command line failed."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A running plane."""

    port: int
    folder: Path
    database: str = ""
    workers: int = 1

    async def token(self, agent: str) -> str:
        """A new token of an agent. Raises PlaneError."""
        return (await self._ringfence("agent", "token", agent)).strip()

    async def user_token(self, user: str) -> str:
        """A new token with which agents act for a user. Raises PlaneError."""
        return (await self._ringfence("user", "token", user)).strip()

    async def events(self, *filters: str) -> list[dict[str, Any]]:
        """The events that these options of `audit query` name, oldest first. Raises PlaneError."""
        query = ("audit", "query", "--limit", "1000", "--json", *filters)
        found: list[dict[str, Any]] = json.loads(await self._ringfence(*query))
        return found[::-1]

    async def verify(self) -> str:
        """What `audit verify` says of a record that holds. Raises PlaneError."""
        return await self._ringfence("audit", "verify")

    async def held(self, agent: str) -> list[dict[str, Any]]:
        """The calls of an agent that wait for a person. Raises PlaneError."""
        listed = json.loads(await self._ringfence("approval", "list", "--json"))
        return [each for each in listed if each["agent_name"] == agent]

    async def answer(self, approval: str, answer: str, comment: str) -> None:
        """Let a person answer; `answer` is `approve` or `deny`. Raises PlaneError."""
        await self._ringfence("approval", answer, approval, "--comment", comment)

    async def status(self) -> dict[str, Any]:
        """What `status` says. Raises PlaneError."""
        found: dict[str, Any] = json.loads(await self._ringfence("status", "--json"))
        return found

    async def traces(self, agent: str) -> list[str]:
        """The ids of an agent's traces. Raises PlaneError."""
        listed = json.loads(await self._ringfence("trace", "list", "--agent", agent, "--json"))
        return [line["id"] for line in listed]

    async def steps(self, agent: str) -> list[dict[str, Any]]:
        """Every step of every trace of an agent, oldest first. Raises PlaneError."""
        steps: list[dict[str, Any]] = []
        for trace in await self.traces(agent):
            shown = json.loads(await self._ringfence("trace", "show", trace, "--json"))
            steps.extend(_steps(shown))
        return sorted(steps, key=lambda step: int(step["time_us"]))

    async def _ringfence(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *_command(self.folder, arguments),
            env=_variables(self.database),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), _COMMAND_S)
        if process.returncode:
            words = " ".join(arguments)
            said = (output + errors).decode(errors="replace")[-600:]
            raise PlaneError(f"`ringfence {words}` ended with {process.returncode}: {said}")
        return output.decode()


@asynccontextmanager
async def running(
    folder: Path, configuration: str, *, workers: int = 1, database: str = ""
) -> AsyncIterator[Plane]:
    """A plane that serves while the context lasts; no `database` is files. Raises PlaneError."""
    (folder / "ringfence.yaml").write_text(configuration, encoding="utf-8")
    log = folder / "plane.log"
    up = ("up", "--port", "0", "--console-port", "0", "--workers", str(workers))
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *_command(folder, up),
            env=_variables(database),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        yield Plane(await _port(process, log), folder, database, workers)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), _START_S)


def configuration(journeys: Iterable[Journey], cases: Sequence[str], provider_url: str) -> str:
    """One agent for each case of each journey, all on the scripted provider."""
    credential = f"${{{_KEY_VARIABLE}}}"
    bases = {"openai": f"{provider_url}/v1", "anthropic": provider_url, "gemini": provider_url}
    models: dict[str, Any] = {}
    for name in bases:
        price = {key: _usd(rate) for key, rate in RATES.items()}
        models[f"talk-{name}"] = {"provider": name, "upstream": "scripted", "price": price}
        models[f"meter-{name}"] = {"provider": name, "upstream": "scripted", "price": _meter()}
    agents = {
        agent_of(journey, case): _agent(case, model_of(journey, case))
        for journey in journeys
        for case in cases
        if does(journey, case)
    }
    # Exactly one answer of full length, whoever asks for it on their behalf.
    clients = {user_of(journey): {"budget": _one_answer()} for journey in journeys}
    document = {
        "format": 1,
        "organisation": {"name": "journeys", "timezone": "UTC"},
        "users": {_OWNER: {"roles": ["admin"]}, **clients},
        "providers": {
            name: {"protocol": name, "base_url": url, "credential": credential}
            for name, url in bases.items()
        },
        "models": models,
        "agents": agents,
    }
    return yaml.safe_dump(document, sort_keys=False)


def agent_of(journey: Journey, case: str) -> str:
    """The agent that a case is run as."""
    return f"{journey.name}-{case}"


def user_of(journey: Journey) -> str:
    """The user on whose behalf the case `behalf` is run."""
    return f"user-of-{journey.name}@acme.example"


def model_of(journey: Journey, case: str) -> str:
    """The alias that a case asks for."""
    kind = "talk" if case in {"talk", "loop"} else "meter"
    return f"{kind}-{PROVIDERS[journey.dialect]}"


def cost_nano(usage: Mapping[str, Any]) -> int:
    """The price of a call in nano-dollars, reckoned apart from the plane; rounded up once."""
    cached = usage["cache_read_tokens"] + usage["cache_write_tokens"]
    counts = {
        "input": usage["input_tokens"] - cached,
        "output": usage["output_tokens"] - usage["reasoning_tokens"],
        "cache_read": usage["cache_read_tokens"],
        "cache_write": usage["cache_write_tokens"] - usage["cache_write_1h_tokens"],
        "cache_write_1h": usage["cache_write_1h_tokens"],
        "reasoning": usage["reasoning_tokens"],
    }
    total: int = sum(RATES[name] * count for name, count in counts.items())
    return -(-total // 1_000_000)


def _meter() -> dict[str, int]:
    return {"input": 0, "output": _METER_USD}


def _agent(case: str, model: str) -> dict[str, Any]:
    agent: dict[str, Any] = {
        "owner": _OWNER,
        "category": "bounded",
        "purpose": "Be driven by a real client.",
        "models": [model],
    }
    match case:
        case "talk" | "loop":
            return {**agent, "budget": {"usd": 100, "per": "day"}}
        case "between":
            budget = _one_answer()
        case _:
            budget = {"usd": 1, "per": "total"}
    return {**agent, "budget": budget, "limits": {"output_tokens": OUTPUT_LIMIT}}


def _one_answer() -> dict[str, Any]:
    """A budget for exactly one answer of full length."""
    return {"usd": float(f"{OUTPUT_LIMIT * _METER_USD / 1e6:.6f}"), "per": "total"}


def _usd(nano_per_million: int) -> str:
    whole, rest = divmod(nano_per_million, 10**9)
    return f"{whole}.{rest:09d}"


def _steps(branch: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    yield from branch["steps"]
    for child in branch["children"]:
        yield from _steps(child)


def _command(folder: Path, arguments: Sequence[str]) -> list[str]:
    place = ["--config", str(folder / "ringfence.yaml"), "--data", str(folder / "data")]
    return [sys.executable, "-m", "ringfence", *arguments, *place]


def _variables(database: str) -> dict[str, str]:
    known = {**os.environ, _KEY_VARIABLE: PROVIDER_KEY}
    known.pop("RINGFENCE_DATABASE", None)
    return known | ({"RINGFENCE_DATABASE": database} if database else {})


async def _port(process: asyncio.subprocess.Process, log: Path) -> int:
    """The data port, from the log line that says that the plane is ready."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _START_S
    while loop.time() < end and process.returncode is None:
        for line in _text(log).splitlines():
            if '"data_port"' in line:
                return int(json.loads(line)["data_port"])
        await asyncio.sleep(0.05)
    raise PlaneError(f"the plane did not start: {_text(log)[-2000:]}")


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
