from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.sandbox.jail import Outcome
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import bwrap
from ringfence.sandbox.preflight import examine

pytestmark = needs_linux


def test_every_step_of_a_tier_is_tried_and_holds(tier: SandboxTier, who: str) -> None:
    def do() -> Outcome:
        steps = examine(tier)
        return Outcome(value=[[step.name, step.is_ok] for step in steps])

    found = jail.as_user(who, do).value
    assert all(is_ok for _, is_ok in found)
    names = [name for name, _ in found]
    assert names[0] == "system"
    assert names[-1] == "start"
    assert ("namespaces" in names) == (tier is SandboxTier.STRICT)


def test_the_tier_without_a_sandbox_needs_nothing() -> None:
    assert examine(SandboxTier.NONE) == ()


def test_what_comes_after_a_failure_was_not_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bwrap, "_PLACES", str(tmp_path))
    (step,) = examine(SandboxTier.STRICT)
    assert (step.name, step.is_ok) == ("bwrap", False)
    assert "apt-get" in step.mend
