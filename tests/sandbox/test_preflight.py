import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sandbox import jail
from tests.sandbox.jail import Outcome
from tests.transport.kernel.child import needs_linux

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import bwrap
from ringfence.sandbox.preflight import examine
from ringfence.transport.kernel import bpf, mount, namespace, seccomp
from ringfence.transport.kernel.bpf import Rule, refuse
from ringfence.transport.kernel.syscall import architecture

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
    monkeypatch.setattr(bwrap, "PROGRAMS", str(tmp_path))
    (step,) = examine(SandboxTier.STRICT)
    assert (step.name, step.is_ok) == ("bwrap", False)
    assert "apt-get" in step.mend


def _where(spoil: Callable[[], None], tier: SandboxTier = SandboxTier.STRICT) -> list[str]:
    """The last step of a tier on a machine that was spoilt: its name, what was found, the mend."""

    def do() -> Outcome:
        spoil()
        step = examine(tier)[-1]
        return Outcome(value=[step.name, step.found, step.mend, step.is_ok])

    *said, is_ok = jail.as_user("ordinary", do).value
    assert not is_ok, said
    return [str(each) for each in said]


def _alone(flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    namespace.unshare(namespace.USER | flags)
    namespace.map_ids(uid=uid, gid=gid, outer_uid=uid, outer_gid=gid)


def test_a_machine_that_has_no_namespaces_left_is_told_apart(strict_tier: SandboxTier) -> None:
    def spoil() -> None:
        _alone(0)
        Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="utf-8")

    name, found, mend = _where(spoil, strict_tier)
    assert name == "namespaces"
    assert "no space left" in found
    assert "user.max_user_namespaces" in mend
    assert "sandbox: reduced" in mend


def _filtered(action: int, *names: str) -> None:
    seccomp.no_new_privileges()
    seccomp.install(bpf.assemble(architecture(), {name: [Rule(action)] for name in names}))


def test_a_container_that_forbids_namespaces_is_told_apart(strict_tier: SandboxTier) -> None:
    name, found, mend = _where(lambda: _filtered(refuse(errno.EPERM), "unshare"), strict_tier)
    assert (name, "operation not permitted" in found) == ("namespaces", True)
    assert "seccomp=unconfined" in mend


def test_a_container_that_hides_proc_is_told_apart(strict_tier: SandboxTier) -> None:
    def spoil() -> None:
        _alone(namespace.MOUNT)
        mount.keep_to_ourselves()
        mount.mount_temporary("/proc/sys", "size=4k")

    name, found, mend = _where(spoil, strict_tier)
    assert name == "start"
    assert "proc" in found
    assert "systempaths=unconfined" in mend


def test_a_sandbox_in_a_sandbox_is_told_apart(reduced_tier: SandboxTier) -> None:
    def spoil() -> None:
        seccomp.no_new_privileges()
        seccomp.install_notifying(bpf.assemble(architecture(), {"reboot": [Rule(bpf.NOTIFY)]}))

    name, _, mend = _where(spoil, reduced_tier)
    assert name == "filter"
    assert "sandbox within" in mend.replace("\n", " ")


def _forbid_looking() -> None:
    _filtered(refuse(errno.EPERM), "process_vm_readv")


def test_a_machine_where_nobody_may_look_at_a_process_is_told_apart(tier: SandboxTier) -> None:
    """As with Yama's `ptrace_scope` 3, and for the reduced tier 2."""
    name, found, mend = _where(_forbid_looking, tier)
    assert name == "looking"
    assert "operation not permitted" in found
    assert mend


def test_what_the_doctor_says_is_what_a_run_is_refused_with(tier: SandboxTier, root: Path) -> None:
    def do() -> Outcome:
        _forbid_looking()
        return jail.run_here(jail.plan_of(tier, root, ["sh", "-c", "touch began"]))

    said = jail.as_user("ordinary", do)
    assert said.error == "no_sandbox"
    assert "looking: operation not permitted" in said.message
    assert said.help == _where(_forbid_looking, tier)[2]
    assert not (root / "workspace" / "began").exists()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_kernel_without_landlock_has_no_reduced_tier(
    reduced_tier: SandboxTier, code: int
) -> None:
    name, _, mend = _where(lambda: _filtered(refuse(code), "landlock_create_ruleset"), reduced_tier)
    assert name == "landlock"
    assert "CONFIG_SECURITY_LANDLOCK" in mend


def test_strict_holds_without_landlock(strict_tier: SandboxTier) -> None:
    def do() -> Outcome:
        _filtered(refuse(errno.ENOSYS), "landlock_create_ruleset")
        return Outcome(value=[[step.is_ok, step.found] for step in examine(strict_tier)])

    steps = jail.as_user("ordinary", do).value
    assert all(is_ok for is_ok, _ in steps)
    assert any("a layer less" in found for _, found in steps)
