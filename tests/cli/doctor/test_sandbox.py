from ringfence.cli.doctor.sandbox import bounded, finding, sandboxes
from ringfence.domain.agent import SandboxTier
from ringfence.sandbox.preflight import Step
from ringfence.sandbox.trouble import StepName

_SYSTEM = Step(name=StepName.SYSTEM, is_ok=True, found="Linux 6.8 on x86_64")
_START = Step(name=StepName.START, is_ok=True, found="a program starts inside")


def test_a_tier_that_works_says_with_what() -> None:
    found = finding(SandboxTier.STRICT, (_SYSTEM, _START))
    assert found.level == "ok"
    assert found.what == "agents can be run with `sandbox: strict` (2 steps tried)"
    assert found.help == "Linux 6.8 on x86_64"


def test_a_tier_that_does_not_work_says_why_and_how_to_mend_it() -> None:
    failed = Step(
        name=StepName.NAMESPACES, is_ok=False, found="not so: (EPERM)", mend="sysctl\nor this"
    )
    found = finding(SandboxTier.STRICT, (_SYSTEM, failed))
    assert found.level == "note"
    assert found.what == "agents with `sandbox: strict` cannot be run here: not so: (EPERM)"
    assert found.help == "sysctl\nor this"


def test_what_bounds_a_sandbox_is_told_and_how_to_have_more() -> None:
    whole = Step(name="bounds", is_ok=True, found="9 processes: cgroup v2")
    assert bounded(whole).what == "sandboxes are bounded as a whole: 9 processes: cgroup v2"
    less = Step(name="bounds", is_ok=False, found="memory: no bound", mend="systemd-run")
    found = bounded(less)
    assert (found.level, found.help) == ("note", "systemd-run")
    assert "no control group bounds sandboxes here as a whole: memory: no bound" in found.what


def test_both_tiers_are_really_tried() -> None:
    *tiers, bounds = [found.what for found in sandboxes()]
    assert len(tiers) == 2
    assert "processes" in bounds
    assert all(
        f"`sandbox: {name}`" in what
        for name, what in zip(("strict", "reduced"), tiers, strict=True)
    )
