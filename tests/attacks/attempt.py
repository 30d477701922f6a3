"""Run a program of attacks in a sandbox, and read what became of each attempt."""

import json
from pathlib import Path
from typing import Any

from tests.sandbox import jail
from tests.sandbox.jail import Outcome

from ringfence.domain.agent import SandboxTier
from ringfence.transport.kernel.syscall import architecture

PROGRAMS = Path(__file__).parent / "programs"


def attack(
    tier: SandboxTier, root: Path, program: str, *words: str, who: str = "ordinary", **more: Any
) -> tuple[dict[str, str], Outcome]:
    """What became of each attempt of a program that lies in `programs`, and the whole outcome."""
    environment = {
        "SYSCALLS": json.dumps(dict(architecture().numbers)),
        "LIBRARY": (PROGRAMS / "attempting.py").read_text(encoding="utf-8"),
        "OUTSIDE": str(root / "outside"),
        "WORKSPACE": str(root / "workspace"),
    }
    source = (PROGRAMS / program).read_text(encoding="utf-8")
    plan = jail.plan_of(
        tier, root, [jail.PYTHON, "-c", source, *words], environment=environment, **more
    )
    outcome = jail.run(plan, who=who, root=root)
    assert outcome.exit_code == 0, outcome
    return results(outcome.out), outcome


def results(out: str) -> dict[str, str]:
    """The lines of a program's output, by attempt."""
    pairs = (line.partition(": ") for line in out.splitlines() if ": " in line)
    return {name: result for name, _, result in pairs}


def done(found: dict[str, str]) -> set[str]:
    """The attempts that succeeded."""
    assert found, "the program attempted nothing"
    return {name for name, result in found.items() if result.startswith("DONE")}
