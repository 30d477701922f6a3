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
_SECONDS = 5.0
_BOUND_S = 3.0
"""For a busy machine; it took as long as the flood when a connection could keep the loop to itself."""
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
    head = f"TIER, SECONDS = {tier!r}, {_SECONDS}\n"
    (plane.work / "flooding.py").write_text(head + PROGRAM)
    with plane.running(jail.PYTHON, "flooding.py", agent=f"a-{tier}") as process:
        assert first_line(process) == "on\n"
        ends, longest_s, count = time.monotonic() + _SECONDS, 0.0, 0
        while time.monotonic() < ends:
            longest_s, count = max(longest_s, _asked(url, token)), count + 1
            time.sleep(0.02)
        process.wait(60)
    assert process.returncode == 0
    assert longest_s < _BOUND_S, count
    assert plane.ask("audit", "verify").returncode == 0


def _asked(url: str, token: str) -> float:
    """How long an agent outside waited for an answer."""
    began = time.monotonic()
    headers = {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/v1/models", headers=headers)  # noqa: S310 (the plane's own)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (likewise)
        assert answer.status == 200
    return time.monotonic() - began
