"""The plane's configuration for tool calls: two servers, a policy, an agent for each run."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from tests.journeys.calling.case import Case
from tests.journeys.calling.journey import Caller
from tests.journeys.calling.play import COUNTING, FORBIDDEN, HERE, NOTE, PROCESSES, SERVER

from ringfence.domain.model import Dialect

WHY: Final = "this word is not for tools"
DENIED_BECAUSE: Final = "not this account"
MODEL: Final = "scripted-model"
_OWNER: Final = "owner@acme.example"
_PROTOCOLS: Final = {
    Dialect.CHAT: "openai",
    Dialect.RESPONSES: "openai",
    Dialect.MESSAGES: "anthropic",
}


def write_policies(folder: Path) -> None:
    """The policy that forbids a word."""
    (folder / "policies").mkdir()
    rule = f"""@id("no-such-word")
@reason("{WHY}")
forbid (principal, action == Action::"tool.call", resource == Tool::"{SERVER}__echo")
when {{ context.arguments.text == "{FORBIDDEN}" }};
"""
    (folder / "policies/journeys.cedar").write_text(rule, encoding="utf-8")


def configuration(
    callers: Sequence[Caller],
    *,
    provider: str,
    servers: dict[str, str],
    processes: dict[str, Any],
    held_s: int,
) -> str:
    """`servers` are URLs by name; a call is held for `held_s` seconds."""
    bases = {"openai": f"{provider}/v1", "anthropic": provider}
    agents = {name: _agent(caller) for caller in callers for name in agents_of(caller)}
    document = {
        "format": 1,
        "organisation": {"name": "journeys", "timezone": "UTC"},
        "users": {_OWNER: {"roles": ["admin"]}},
        "providers": {
            name: {"protocol": name, "base_url": url, "credential": "${JOURNEY_PROVIDER_KEY}"}
            for name, url in bases.items()
        },
        "models": {
            f"{MODEL}-{name}": {
                "provider": name,
                "upstream": "scripted",
                "price": {"input": 1, "output": 1},
            }
            for name in bases
        },
        "tools": {name: _server(url) for name, url in servers.items()} | processes,
        "policies": "policies/",
        "approvals": {"seconds": held_s},
        "agents": agents,
    }
    return yaml.safe_dump(document, sort_keys=False)


def processes(folder: Path, packages: Path) -> dict[str, Any]:
    """The published servers as processes of the plane; `folder` gets what they may read."""
    files = folder / "files"
    files.mkdir()
    (files / NOTE).touch()
    arguments = {"everything": [], "filesystem": [str(files)], "memory": []}
    node = shutil.which("node") or "node"
    return {
        name: {
            "command": [node, str(packages / f"server-{name}/dist/index.js"), *more],
            "env": {"MEMORY_FILE_PATH": str(folder / "memory.json")},
            "read": ["get-sum", "list_directory", "search_nodes"],
        }
        for name, more in arguments.items()
    }


def agents_of(caller: Caller) -> list[str]:
    """Every agent that a client is run as: one for each case, and a neighbour."""
    return [agent_of(caller, case) for case in Case] + [neighbour_of(caller)]


def agent_of(caller: Caller, case: Case) -> str:
    """The agent that a case is run as."""
    return f"{caller.name}-{case.value}"


def neighbour_of(caller: Caller) -> str:
    """The agent of the same client that counts at the same time."""
    return f"{caller.name}-neighbour"


def model_of(caller: Caller) -> str:
    """The alias that a client asks for."""
    return f"{MODEL}-{_PROTOCOLS[caller.dialect]}" if caller.dialect else ""


def _server(url: str) -> dict[str, Any]:
    return {"url": url, "read": ["echo", "add", "counter*"], "irreversible": ["delete_*"]}


def _agent(caller: Caller) -> dict[str, Any]:
    """All tools but one are in its scope, so that one is not listed."""
    tools = [f"{SERVER}__{name}" for name in ("echo", "add", "delete_all")]
    return {
        "owner": _OWNER,
        "category": "bounded",
        "purpose": "Call tools as a real client.",
        "models": [model_of(caller)] if caller.dialect else [],
        "tools": [
            *tools,
            f"{COUNTING}__counter{HERE}",
            *(f"{asked.server}__{asked.tool}" for asked in PROCESSES),
        ],
        "budget": {"usd": 1, "per": "day"},
    }
