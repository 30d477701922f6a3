"""An agent that knows the sources, the folders and the pids of what holds it gains nothing by it.

On a whole plane of the same user, in both tiers.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.attacks.attempt import PROGRAMS
from tests.sandbox import jail
from tests.sandbox.conftest import need
from tests.sandbox.whole import AGENT, WholePlane, standing

from ringfence.domain.agent import SandboxTier

PROGRAM = "".join((PROGRAMS / each).read_text() for each in ("becoming.py", "knowing.py"))
_TIERS = ("strict", "reduced")
NOTHING = {
    "ENOENT", "EACCES", "EPERM", "ESRCH", "EAFNOSUPPORT", "ECONNREFUSED", "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def plane() -> Iterator[WholePlane]:
    agents = [AGENT.format(name=f"a-{tier}", tier=tier) for tier in _TIERS]
    agents.append(AGENT.format(name="other", tier="strict"))
    with standing(*agents) as made:
        yield made


@pytest.mark.parametrize("tier", _TIERS)
def test_knowing_everything_gains_nothing(plane: WholePlane, tier: str) -> None:
    need(SandboxTier(tier))
    told = {
        "DATA": str(plane.data),
        "SOURCE": str(Path(__file__).parents[2] / "src"),
        "CONTROL": _control_port(plane),
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in told.items())
    wait = "MONITOR = int(open('monitor').read())\n"
    begin = "import time, os\nwhile not os.path.exists('monitor'): time.sleep(0.01)\n"
    (plane.work / "knowing.py").write_text(begin + wait + head + PROGRAM)
    (plane.work / "monitor").unlink(missing_ok=True)
    with plane.running(jail.PYTHON, "knowing.py", agent=f"a-{tier}") as process:
        (plane.work / "pid").write_text(str(process.pid))
        (plane.work / "pid").rename(plane.work / "monitor")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    became = json.loads(out)
    hidden = became.pop("hidden from the monitor")
    assert became.pop("a lie") == "201"
    assert set(became.values()) <= NOTHING, became
    events = plane.events()
    begins = max(n for n, each in enumerate(events) if each.get("what") == "sandbox.started")
    commands = {
        each["resource"]: each.get("enforced", "")
        for each in events[begins:]
        if each.get("action_kind") == "shell.exec" and each["kind"] == "intent"
    }
    # Whatever it says of itself, what it ran is seen; and what it says is marked so.
    assert (commands["id"], commands["ls"]) == ("", "by_caller")
    # What makes itself unreadable is read all the same, or does not run; either is on record.
    tried = [each for each in events[begins:] if each.get("what") == "call.refused"]
    is_told = any(each["detail"].get("with") == "unreadable" for each in tried)
    assert ("whoami" in commands, is_told) == (hidden == "ran", hidden == "EACCES"), (hidden, tried)


def _control_port(plane: WholePlane) -> int:
    lines = [json.loads(line) for line in plane.log.read_text().splitlines()]
    return int(next(each["control_port"] for each in lines if each["event"] == "ready"))
