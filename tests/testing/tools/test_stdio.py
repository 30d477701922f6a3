import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from tests.testing.tools.asking import META

import ringfence

Json = dict[str, Any]


async def spoken(lines: list[Json], answers: int) -> list[Json]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ringfence.testing.tools",
        "--stdio",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(ringfence.__file__).parents[1])},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in lines:
        process.stdin.write(msgspec.json.encode(line) + b"\n")
    found = [msgspec.json.decode(await process.stdout.readline()) for _ in range(answers)]
    process.stdin.close()
    assert await process.wait() == 0
    return found


def request(number: int, method: str, **params: object) -> Json:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def test_both_eras_are_spoken_on_the_same_streams() -> None:
    lines = [
        request(1, "server/discover", _meta=META),
        request(2, "initialize", protocolVersion="2025-06-18", capabilities={}),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request(3, "tools/call", name="counter"),
    ]
    found = {each["id"]: each["result"] for each in asyncio.run(spoken(lines, 3))}
    assert found[1]["supportedVersions"] == ["2026-07-28"]
    assert found[2]["protocolVersion"] == "2025-06-18"
    assert found[3]["content"][0]["text"] == "1"
