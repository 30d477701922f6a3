"""However much one sandbox asks for, other agents of the same worker are answered."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.sandbox.conftest import need
from tests.sandbox.whole import AGENT, WholePlane, first_line, standing

from ringfence.domain.agent import SandboxTier

PROGRAM = (Path(__file__).parent / "programs" / "flooding.py").read_text(encoding="utf-8")
_FLOOD_S = 60.0
_LEAST_S = 3.0
_ANSWERS = 20
"""In a flood; there was none before its end when a connection could keep the loop to itself."""
_FLOODER = AGENT.rstrip() + "\n    limits: {{commands: unlimited}}\n    hosts: [allowed.test]\n"


@pytest.fixture(scope="module")
def plane() -> Iterator[WholePlane]:
    agents = [_FLOODER.format(name=f"a-{tier}", tier=tier) for tier in ("strict", "reduced")]
    agents.append(AGENT.format(name="other", tier="strict"))
    with standing(*agents) as made:
        yield made


@pytest.mark.parametrize("tier", ["strict", "reduced"])
def test_a_sandbox_that_floods_everything_keeps_nobody_waiting(
    plane: WholePlane, tier: str
) -> None:
    need(SandboxTier(tier))
    token = plane.ask("agent", "token", "other").stdout.split()[-1]
    lines = [json.loads(line) for line in plane.log.read_text().splitlines()]
    url = next(each["anthropic"] for each in lines if each["event"] == "ready")
    head = f"TIER, SECONDS = {tier!r}, {_FLOOD_S}\n"
    (plane.work / "over").unlink(missing_ok=True)
    (plane.work / "flooding.py").write_text(head + PROGRAM)
    with plane.running(jail.PYTHON, "flooding.py", agent=f"a-{tier}") as process:
        assert first_line(process) == "on\n"
        began, count = time.monotonic(), 0
        while count < _ANSWERS or time.monotonic() < began + _LEAST_S:
            _ask(url, token)
            count += 1
            time.sleep(0.02)
        took_s = time.monotonic() - began
        (plane.work / "over").touch()
        process.wait(60)
    assert process.returncode == 0
    assert took_s < _FLOOD_S, count
    assert plane.ask("audit", "verify").returncode == 0


def _ask(url: str, token: str) -> None:
    """An agent outside gets its answer."""
    headers = {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/v1/models", headers=headers)  # noqa: S310 (the plane's own)
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 (likewise)
        assert answer.status == 200
