"""The sandbox tiers: whether this machine can make them, found out by making each."""

import sys
from collections.abc import Iterator
from typing import Final

from ringfence.cli.doctor.finding import Finding
from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.preflight import Step, bounds, examine
from ringfence.sandbox.trouble import StepName

_TIERS: Final = (SandboxTier.STRICT, SandboxTier.REDUCED)
_TOLD: Final = frozenset({StepName.SYSTEM, StepName.BWRAP, StepName.LANDLOCK})
"""Steps of which more is found than that they succeed."""


def sandboxes() -> Iterator[Finding]:
    """One finding for each tier; a plane works without them, `ringfence run` does not."""
    for tier in _TIERS:
        yield finding(tier, examine(tier))
    if sys.platform == "linux":
        yield bounded(bounds())


def bounded(step: Step) -> Finding:
    """What bounds the processes and the memory of a sandbox."""
    if step.is_ok:
        return Finding("ok", f"sandboxes are bounded as a whole: {step.found}")
    what = f"no control group bounds sandboxes here as a whole: {step.found}"
    return Finding("note", what, step.mend)


def finding(tier: SandboxTier, steps: tuple[Step, ...]) -> Finding:
    """What the steps of a tier come to: the first that fails tells why."""
    failed = next((step for step in steps if not step.is_ok), None)
    if failed is not None:
        what = f"agents with `sandbox: {tier.value}` cannot be run here: {failed.found}"
        return Finding("note", what, failed.mend)
    details = "\n".join(step.found for step in steps if step.name in _TOLD)
    what = f"agents can be run with `sandbox: {tier.value}` ({len(steps)} steps tried)"
    return Finding("ok", what, details)
